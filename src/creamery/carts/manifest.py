"""What somebody asks to have in a cart: the JSON list, read strictly, before anything is staged.

`{"fileids": [{"id": 1 or "text", "path": "a/b", "hashtype": "sha1", "hashsum": "..."}, ...], "bundle": false}`. Further
keys may be there. An empty `hashsum` means that nothing is verified. One leading slash of a path goes; a path that
would lead out of the cart, or would be two things at once, is refused with the entry that it stands in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from creamery.limits import Limits
from creamery.sections import is_web_address

MAX_ITEM_BYTES = 1_024
MAX_NAME_BYTES = 255

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_HEXADECIMAL = re.compile("[0-9a-fA-F]+", re.ASCII)
_ALGORITHMS = frozenset(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake"))
_DIGITS = {name: hashlib.new(name, usedforsecurity=False).digest_size * 2 for name in _ALGORITHMS}


class BadManifest(Exception):
    """It cannot be a cart; the text names the entry and what is wrong with it."""


class ManifestTooLarge(BadManifest):
    """It has more entries than one cart may have."""


class Entry(NamedTuple):
    """One file of a cart.

    Attributes:
        item: what its archive calls it.
        path: in the bundle, below its root.
        algorithm: of `expected`, as `hashlib` names it; None: nothing is verified.
        expected: the digest that its bytes must have, in small hexadecimal digits.
        archive: the archive's name; None: the first one.
    """

    item: str
    path: str
    algorithm: str | None
    expected: str | None
    archive: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a cart shall be.

    Attributes:
        entries: in the order in which they were given.
        bundle: the bundle's root is the cart's own name, whatever file name is asked for; None: as the hub has it.
        webhook: the address that wants to hear when the cart has ended.
    """

    entries: tuple[Entry, ...]
    bundle: bool | None
    webhook: str | None = None


def read_manifest(body: bytes, limits: Limits) -> Manifest:
    """Read the JSON of a POST. For threads: it takes a second for 200,000 entries.

    Raises:
        BadManifest: it is none; ManifestTooLarge where there are more entries than `limits.cart_files`.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadManifest(f"Invalid JSON document: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("fileids"), list):
        raise BadManifest('The document is not {"fileids": [...]}')
    given = document["fileids"]
    if len(given) > limits.cart_files:
        raise ManifestTooLarge(
            f"{len(given)} files are more than one cart may have: {limits.cart_files} (limits.cart_files)"
        )
    bundle = document.get("bundle")
    if bundle is not None and not isinstance(bundle, bool):
        raise BadManifest('"bundle" is neither true nor false')
    entries = tuple(_entry(number, each, limits) for number, each in enumerate(given))
    _refuse_clashes(entries)
    return Manifest(entries, bundle, _webhook(document.get("webhook")))


def _entry(number: int, given: object, limits: Limits) -> Entry:
    if not isinstance(given, dict):
        raise BadManifest(f"Entry {number} is no object")
    missing = [key for key in ("id", "path", "hashtype", "hashsum") if key not in given]
    if missing:
        raise BadManifest(f"Entry {number} lacks {', '.join(missing)}")
    algorithm, expected = _expected(number, given)
    return Entry(
        _item(number, given["id"]), _path(number, given["path"], limits), algorithm, expected, _archive(number, given)
    )


def _webhook(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > MAX_ITEM_BYTES or not is_web_address(given):
        raise BadManifest('"webhook" is no address that begins with http:// or https://')
    return given


def _item(number: int, given: object) -> str:
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        raise BadManifest(f"Entry {number}: its id is neither a number nor a text")
    item = str(given)
    _refuse_unprintable(number, "id", item, MAX_ITEM_BYTES)
    return item


def _archive(number: int, given: Mapping[str, Any]) -> str | None:
    name = given.get("archive")
    if name is None:
        return None
    if not isinstance(name, str):
        raise BadManifest(f"Entry {number}: its archive is no text")
    _refuse_unprintable(number, "archive", name, MAX_NAME_BYTES)
    return name


def _path(number: int, given: object, limits: Limits) -> str:
    if not isinstance(given, str):
        raise BadManifest(f"Entry {number}: its path is no text")
    path = given.removeprefix("/")
    _refuse_unprintable(number, "path", path, limits.cart_path_bytes)
    for name in path.split("/"):
        if name in {"", ".", ".."}:
            raise BadManifest(f"Entry {number}: the path {given[:200]!r} has an empty part, '.' or '..'")
        if len(name) > MAX_NAME_BYTES // 4 and len(name.encode()) > MAX_NAME_BYTES:
            raise BadManifest(
                f"Entry {number}: a part of the path {given[:200]!r} has more than {MAX_NAME_BYTES} bytes"
            )
    return path


def _expected(number: int, given: Mapping[str, Any]) -> tuple[str | None, str | None]:
    kind, digest = given["hashtype"], given["hashsum"]
    if not isinstance(kind, str) or not isinstance(digest, str):
        raise BadManifest(f"Entry {number}: hashtype and hashsum are texts")
    algorithm = kind.lower().replace("-", "_") if kind.lower().startswith("sha3") else kind.lower().replace("-", "")
    if not digest and (not kind or algorithm in _DIGITS):
        return None, None
    if algorithm not in _DIGITS:
        raise BadManifest(
            f"Entry {number}: nobody knows the hashtype {kind[:80]!r}; one of {', '.join(sorted(_DIGITS))}"
        )
    if len(digest) != _DIGITS[algorithm] or not _HEXADECIMAL.fullmatch(digest):
        raise BadManifest(f"Entry {number}: a hashsum of {algorithm} has {_DIGITS[algorithm]} hexadecimal digits")
    return algorithm, digest.lower()


def _refuse_unprintable(number: int, what: str, text: str, most_bytes: int) -> None:
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        raise BadManifest(f"Entry {number}: its {what} has half of a character") from error
    if not text or length > most_bytes:
        raise BadManifest(f"Entry {number}: its {what} is empty, or has more than {most_bytes} bytes")
    if _CONTROL.search(text):
        raise BadManifest(f"Entry {number}: its {what} has a control character")


def _refuse_clashes(entries: Sequence[Entry]) -> None:
    """Each path is one file, and no file is a folder as well."""
    seen: dict[str, int] = {}
    for number, entry in enumerate(entries):
        first = seen.setdefault(entry.path, number)
        if first != number:
            raise BadManifest(f"Entry {number}: the path {entry.path[:200]!r} is that of entry {first}, too")
    folders: set[str] = set()
    for number, entry in enumerate(entries):
        for folder in _folders(entry.path):
            if folder in folders:
                break
            folders.add(folder)
            if folder in seen:
                raise BadManifest(
                    f"Entry {seen[folder]}: the path {folder[:200]!r} is a file, and a folder of entry {number}"
                )


def _folders(path: str) -> Iterator[str]:
    """All folders that a path leads through, the innermost first."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)
