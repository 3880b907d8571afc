"""Source trees: the same on every machine, whatever a build leaves behind; and what they say of themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from creamery.client.source import Source, is_same_version, read_source
from creamery.contract import ProjectName


def tree(folder: Path, **files: str) -> Path:
    """A tree in a cache of uv's."""
    root = folder / "sdists-v9" / "index" / "0123" / "acme" / "1.0" / "abc" / "src"
    root.mkdir(parents=True)
    (folder / "sdists-v9" / ".git").touch()
    for name, text in {"PKG-INFO": "Name: Acme\nVersion: 1.0\n", "a.py": "1", **files}.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def source_of(root: Path) -> Source:
    found = read_source(root)
    assert found is not None
    return found


def test_the_same_files_are_the_same_source_wherever_they_lie(tmp_path: Path) -> None:
    one, two = tree(tmp_path / "one", b__c="2"), tree(tmp_path / "two", b__c="2")
    os.utime(two / "a.py", (1, 1))

    assert source_of(one).digest == source_of(two).digest
    assert source_of(one).project == "acme"
    assert source_of(one).version == "1.0"
    assert not source_of(one).is_checkout


@pytest.mark.parametrize(
    "left",
    ["acme.egg-info__SOURCES.txt", "src__acme.egg-info__PKG-INFO", "build__lib.linux__x.py", "__pycache____a.pyc"],
)
def test_what_a_build_leaves_behind_makes_no_difference(left: str, tmp_path: Path) -> None:
    root = tree(tmp_path)
    before = source_of(root).digest
    path = root / left.replace("__pycache____", "__PYCACHE__/").replace("__PYCACHE__", "\0").replace("__", "/").replace(
        "\0", "__pycache__"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("left")

    assert source_of(root).digest == before


def unpacked(folder: Path) -> Path:
    """A tree as poetry unpacks an sdist, in a folder of `tempfile`'s."""
    above = Path(tempfile.mkdtemp(dir=folder))
    (above / "acme-1.0").mkdir()
    (above / "acme-1.0" / "PKG-INFO").write_text("Name: Acme\nVersion: 1.0\n")
    return above / "acme-1.0"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_an_sdist_that_poetry_has_unpacked_is_the_source_that_it_is_for_uv(temporary: Path) -> None:
    root, same = unpacked(temporary), tree(temporary)
    (root / "a.py").write_text("1")

    assert source_of(root).digest == source_of(same).digest


@pytest.mark.parametrize("wrong", ["more beside it", "others may write", "a checkout", "no sdist", "elsewhere"])
def test_a_temporary_folder_of_somebodys_own_is_no_source(wrong: str, temporary: Path) -> None:
    root = unpacked(temporary)
    assert read_source(root) is not None
    if wrong == "more beside it":
        (root.parent / "notes").touch()
    elif wrong == "others may write":
        root.parent.chmod(0o777)
    elif wrong == "a checkout":
        (root / ".git").mkdir()
    elif wrong == "no sdist":
        (root / "PKG-INFO").unlink()
    else:
        root = unpacked(root.parent)

    assert read_source(root) is None


def test_a_pipe_that_a_build_has_left_is_not_waited_for(tmp_path: Path) -> None:
    root = tree(tmp_path)
    os.mkfifo(root / "pipe")

    assert read_source(root) is None


def test_what_a_tree_says_of_itself_is_not_read_out_of_a_device(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "PKG-INFO").unlink()
    (root / "PKG-INFO").symlink_to("/dev/zero")

    assert source_of(root).project is None


def test_what_builds_leave_behind_is_used_by_the_next_unless_it_is_of_another_python(tmp_path: Path) -> None:
    root = tree(tmp_path, build__own__a="1")
    (root / "build" / "bdist.linux-x86_64").mkdir()
    assert not source_of(root).is_used_for("cp312")

    found = {}
    for name in ("lib.linux-x86_64-cpython-312", "temp.macosx-11.0-arm64-3.8", "lib.linux-x86_64-pypy39"):
        folder = root / "build" / name
        folder.mkdir()
        (folder / "a.so").touch()
        found[name] = [tag for tag in ("cp38", "pp39", "cp311", "cp312") if source_of(root).is_used_for(tag)]
        (folder / "a.so").unlink()
    (root / "build" / "lib").mkdir()
    (root / "build" / "lib" / "a.py").touch()

    assert [*found.values()] == [["cp312"], ["cp38"], ["pp39"]]
    assert source_of(root).is_used_for("cp313")


def test_everything_else_makes_one(tmp_path: Path) -> None:
    root = tree(tmp_path)
    seen = {source_of(root).digest}
    (root / "a.py").write_text("2")
    seen.add(source_of(root).digest)
    (root / "a.py").chmod(0o755)
    seen.add(source_of(root).digest)
    (root / "a.py").rename(root / "b.py")
    seen.add(source_of(root).digest)
    (root / "build").mkdir()
    (root / "build" / "own.py").write_text("a package of that name")
    seen.add(source_of(root).digest)
    (root / "link").symlink_to("b.py")
    seen.add(source_of(root).digest)
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    seen.add(source_of(root).digest)

    assert len(seen) == 7


def test_a_name_cannot_pretend_to_be_another_files_end(tmp_path: Path) -> None:
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    (one / "x").write_text("")
    (one / "y").write_text("")
    (two / "x\0y".replace("\0", "_")).write_text("")

    assert source_of(one).digest != source_of(two).digest


def test_a_folder_of_ones_own_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "PKG-INFO").write_text("Name: acme\nVersion: 1\n")

    assert read_source(tmp_path / "own") is None


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_checkout_is_its_commit_and_its_tags(tmp_path: Path) -> None:
    root = tmp_path / "git-v0" / "checkouts" / "ab" / "cd"
    root.mkdir(parents=True)
    (root / "a.py").write_text("1")
    git(root, "init", "-q")
    git(root, "add", ".")
    seen = []
    for words in (
        ["commit", "-qm", "1"],
        ["commit", "-qm", "2", "--allow-empty"],
        ["tag", "v1"],
        ["pack-refs", "--all"],
    ):
        git(root, *words)
        seen.append(source_of(root).digest)
    (root / "sub").mkdir()
    below = source_of(root / "sub")

    assert len({*seen[:3], below.digest}) == 4
    assert seen[2] == seen[3]
    assert below.is_checkout
    (root / ".hg").mkdir()
    assert read_source(root) is None


def test_part_of_a_repository_is_none(tmp_path: Path) -> None:
    """odfpy 1.4.1 has a tag of its repository in its sdist, and was never shared."""
    root = tree(tmp_path)
    before = source_of(root).digest
    (root / ".git" / "refs" / "tags").mkdir(parents=True)
    (root / ".git" / "refs" / "tags" / "release").write_text("1")

    assert not source_of(root).is_checkout
    assert source_of(root).digest != before


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, env={"PATH": os.environ["PATH"], "HOME": str(folder)})


def test_what_it_needs_and_declares_is_read(tmp_path: Path) -> None:
    head = "Name: Acme\nVersion: 1.0\nRequires-Dist: NumPy>=1; extra == 'x'\n\nRequires-Dist: not-this\n"
    project = (
        '[project]\nname = "acme"\nversion = "2"\ndependencies = ["Torch>2", "x.y"]\n'
        '[tool.creamery]\nenvironment = ["ACME_FAST"]\n'
    )
    found = source_of(tree(tmp_path, **{"PKG-INFO": head, "pyproject.toml": project}))

    assert found.required == {ProjectName("numpy"), ProjectName("torch"), ProjectName("x-y")}
    assert found.declared == ("ACME_FAST",)
    assert found.version == "1.0"


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    found = source_of(tree(tmp_path, **{"PKG-INFO": "Name: ../x\n", "pyproject.toml": "not [ toml"}))

    assert (found.project, found.version, found.declared) == (None, None, ())


def test_versions_are_compared_as_installers_do() -> None:
    assert is_same_version("1.0", "1")
    assert is_same_version(None, "7")
    assert not is_same_version("1.0", "1.0.post1")
    assert not is_same_version("nonsense", "1.0")
