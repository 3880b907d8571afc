"""What a wheel is built from: an unpacked source tree, and what it says of itself.

uv unpacks sdists and checks repositories out into its cache, and builds there; poetry unpacks sdists into a temporary
folder each. Such a tree is the same on every machine, and its digest is the source of a build's key
(`contract/build_key.py`). A folder of somebody's own is none of that: it changes while they work, and nobody else has
it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from creamery.contract import Digest, InvalidName, ProjectName, normalize

MOST_FILES = 100_000
MOST_BYTES = 4 * 1024**3
"""Of a tree whose digest is worth its time."""
MOST_TEXT = 4 * 1024**2

_CACHED = re.compile(r"(?:sdists|git|built-wheels|archive)-v\d+")
"""Folders of uv's cache; one that is called otherwise is no cache, and what is in it is built as ever."""
_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}", re.ASCII)
_OTHER_HISTORIES = (".hg", ".svn", ".bzr")
_LEFT_BEHIND = re.compile(r"build/(?:lib|temp|bdist)[^/]*", re.ASCII)
_OF_PYTHON = re.compile(r"-(?:cpython-|pypy)?(\d)\.?(\d{1,2})t?(?:-pydebug)?$", re.ASCII)
"""How such a folder ends that is for one Python alone."""
_SAID = re.compile(r"^(Name|Version): *(\S+) *$", re.MULTILINE)
_REQUIRED = re.compile(r"^Requires-Dist: *([A-Za-z0-9._-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """An unpacked tree.

    Attributes:
        digest: SHA-256 of what is in it, and of the commit and tags where it is a checkout.
        project, version: as it says itself; None: it says so only when it is built.
        required: what it needs when it runs, as far as it says so.
        declared: variables that its build obeys, as its pyproject.toml says (`[tool.creamery] environment`).
        is_checkout: it comes from a repository, and not from an sdist.
        left: folders with what earlier builds have left in it. setuptools takes what it finds there as it is, though it
            was compiled with other settings, or against another numpy.
    """

    digest: Digest
    project: ProjectName | None
    version: str | None
    required: frozenset[ProjectName]
    declared: tuple[str, ...]
    is_checkout: bool
    left: frozenset[str] = frozenset()

    def is_used_for(self, python: str) -> bool:
        """Would a build for the Python of this tag (`cp313`) take what an earlier one has left?"""
        made_for = [_OF_PYTHON.search(folder) for folder in self.left]
        return any(match is None or match[1] + match[2] == python[2:] for match in made_for)


def read_source(tree: Path) -> Source | None:
    """A tree that an installer has unpacked; None: it is another one, too large, or nobody can tell what decides."""
    if not any(_CACHED.fullmatch(part) for part in tree.parts) and not _is_unpacked_alone(tree):
        return None
    history = _history(tree)
    digest = None if history is None else digest_of_tree(tree, history)
    return None if digest is None else _described(tree, digest, is_checkout=bool(history))


def _is_unpacked_alone(tree: Path) -> bool:
    """Is it an sdist, and nothing else in a folder of `tempfile`'s, as poetry unpacks it? Nobody works in there."""
    above = tree.parent
    try:
        is_temporary = above.parent == Path(tempfile.gettempdir()).resolve() and _TEMPORARY.fullmatch(above.name)
        is_ours_alone = os.name != "posix" or not above.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        is_alone = bool(is_temporary) and is_ours_alone and list(above.iterdir()) == [tree]
    except OSError:
        return False
    return is_alone and (tree / "PKG-INFO").is_file() and not (tree / ".git").exists()


def digest_of_tree(tree: Path, history: str = "") -> Digest | None:
    """SHA-256 of what is in a tree; None: it is too large, or has a pipe or the like in it, which would be waited for.

    Args:
        tree: a folder.
        history: of a checkout, which a version may be made from.
    """
    listed = hashlib.sha256(history.encode())
    size = count = 0
    for path, name in _files(tree):
        count += 1
        if path.is_symlink():
            listed.update(f"link {path.readlink()}\0{name}\0".encode(errors="surrogateescape"))
            continue
        status = path.stat()
        size += status.st_size
        if count > MOST_FILES or size > MOST_BYTES or not stat.S_ISREG(status.st_mode):
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        mode = "x" if status.st_mode & 0o100 else "-"
        listed.update(f"file {mode} {digest}\0{name}\0".encode(errors="surrogateescape"))
    return Digest(listed.hexdigest())


def _described(tree: Path, digest: Digest, *, is_checkout: bool) -> Source:
    said, pyproject = _text(tree / "PKG-INFO"), _pyproject(tree)
    head = said.partition("\n\n")[0]
    facts = dict(_SAID.findall(head))
    project = _table(pyproject, "project")
    version = facts.get("Version") or project.get("version")
    required = [*_REQUIRED.findall(head), *_names(project.get("dependencies"))]
    declared = _table(_table(pyproject, "tool"), "creamery").get("environment")
    return Source(
        digest=digest,
        project=_project(facts.get("Name") or project.get("name")),
        version=version if isinstance(version, str) else None,
        required=frozenset(name for name in map(_project, required) if name is not None),
        declared=tuple(map(str, declared)) if isinstance(declared, list) else (),
        is_checkout=is_checkout,
        left=frozenset(_left_behind(tree)),
    )


def _files(tree: Path) -> Iterator[tuple[Path, str]]:
    """All that counts, in one order: nothing that a build or a look at the repository leaves behind."""
    found = []
    for folder, folders, files in os.walk(tree):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and not _is_left_behind(here / name, tree)]
        found += [here / name for name in [*files, *links] if name != ".git" and not (here == tree and name == ".ok")]
    named = [(path, path.relative_to(tree).as_posix()) for path in found]
    return iter(sorted(named, key=lambda pair: os.fsencode(pair[1])))


def _is_left_behind(folder: Path, tree: Path) -> bool:
    return (
        folder.name == "__pycache__"
        or _is_repository(folder)
        or folder.name.endswith(".egg-info")
        or _LEFT_BEHIND.fullmatch(folder.relative_to(tree).as_posix()) is not None
    )


def _left_behind(tree: Path) -> Iterator[str]:
    for folder in (tree / "build").glob("*/"):
        name = folder.relative_to(tree).as_posix()
        if _LEFT_BEHIND.fullmatch(name) and any(path.is_file() for path in folder.rglob("*")):
            yield name


def _history(tree: Path) -> str | None:
    """What versions are made from: a checkout's commit and tags. Empty: it is none. None: it cannot be told."""
    for folder in (tree, *tree.parents):
        if any((folder / name).exists() for name in _OTHER_HISTORIES):
            return None
        git = folder / ".git"
        if git.is_file() and not git.stat().st_size:  # uv puts it there, so that nobody looks for a repository above
            break
        if git.is_file() or _is_repository(git):
            below = tree.relative_to(folder).as_posix()
            state = _git_state(git)
            return None if state is None else f"git {below}\n{state}"
        if _CACHED.fullmatch(folder.name):
            break
    return ""


def _is_repository(folder: Path) -> bool:
    """git takes no other for one; there are sdists with part of one (odfpy 1.4.1)."""
    return folder.name == ".git" and (folder / "HEAD").is_file()


def _git_state(git: Path) -> str | None:
    if not git.is_dir():  # a worktree's or a submodule's: its history lies elsewhere
        return None
    refs = dict(_packed(_text(git / "packed-refs")))
    tags = git / "refs" / "tags"
    for path in sorted(tags.rglob("*")) if tags.is_dir() else ():
        if path.is_file():
            refs[path.relative_to(git).as_posix()] = _text(path).strip()
    head = _text(git / "HEAD").strip()
    if head.startswith("ref: "):
        name = head[5:]
        head = _text(git / name).strip() or refs.get(name, "")
    if not re.fullmatch(r"[0-9a-f]{40,64}", head):
        return None
    return "\n".join([head, *(f"{name} {commit}" for name, commit in sorted(refs.items()) if "/tags/" in name)])


def _packed(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        commit, _, name = line.partition(" ")
        if name.startswith("refs/") and not line.startswith(("#", "^")):
            yield name, commit


def _text(path: Path) -> str:
    """What a file says; nothing, where there is none that can be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a link to /dev/zero has no end
            return ""
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_TEXT)
    except OSError:
        return ""


def _pyproject(tree: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(tree / "pyproject.toml"))
    except tomllib.TOMLDecodeError:  # uv says so, and its build fails
        return {}


def _table(tables: dict[str, Any], name: str) -> dict[str, Any]:
    found = tables.get(name)
    return found if isinstance(found, dict) else {}


def _names(requirements: object) -> list[str]:
    found = [re.match(r"[A-Za-z0-9._-]+", str(each)) for each in requirements] if isinstance(requirements, list) else []
    return [match[0] for match in found if match]


def _project(name: object) -> ProjectName | None:
    try:
        return normalize(name) if isinstance(name, str) else None
    except InvalidName:
        return None


def is_same_version(said: str | None, version: str) -> bool:
    """Do both mean one version (PEP 440)? What says none may be any."""
    try:
        return said is None or Version(said) == Version(version)
    except InvalidVersion:
        return False
