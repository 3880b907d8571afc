"""GNU tar, bsdtar, unzip and 7z read what tarfile and zipfile read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from tests.bundles.conftest import ODD_NAMES
from tests.doubles.pantry import Pantry

pytestmark = pytest.mark.installed

GIB = 1024**3

EXTRACT = {
    "GNU tar": ("tar", ["tar", "-xf", "{archive}", "-C", "{target}"]),
    "bsdtar": ("tar", ["bsdtar", "-xf", "{archive}", "-C", "{target}"]),
    "7z, tar": ("tar", ["7z", "x", "-bd", "-o{target}", "{archive}"]),
    "bsdtar, zip": ("zip", ["bsdtar", "-xf", "{archive}", "-C", "{target}"]),
    "unzip": ("zip", ["unzip", "-q", "{archive}", "-d", "{target}"]),
    "7z, zip": ("zip", ["7z", "x", "-bd", "-o{target}", "{archive}"]),
}


def run(command: list[str], archive: Path, target: Path) -> str:
    named = [word.format(archive=archive, target=target) for word in command]
    words = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(named, check=False, capture_output=True, text=True, timeout=300, env=words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def found_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), int(path.stat().st_mtime))
        for path in folder.rglob("*")
        if path.is_file()
    }


def as_written(name: str, reader: str) -> str:
    """What a reader makes of a name that it does not take as it is."""
    if reader == "unzip":  # 6.0 leaves control characters out
        return re.sub(r"[\x00-\x1f]", "", name)
    if reader.startswith("bsdtar"):  # 3.6 brings both Unicode forms to one; of the odd pair the later stays
        return unicodedata.normalize("NFC", name)
    return name


@pytest.mark.parametrize("reader", EXTRACT)
def test_everything_is_extracted_with_its_time(odd: Pantry, tmp_path: Path, reader: str) -> None:
    form, command = EXTRACT[reader]
    archive, target = tmp_path / f"odd.{form}", tmp_path / "out"
    archive.write_bytes(odd.read(odd.layout(form)))  # type: ignore[arg-type]
    target.mkdir()

    run(command, archive, target)

    assert found_in(target) == {
        f"root/{as_written(row.path, reader)}": (content, row.mtime)
        for row, content in zip(odd.rows, odd.contents, strict=True)
    }
    assert len({unicodedata.normalize("NFC", name) for name in ODD_NAMES}) == len(ODD_NAMES) - 1


@pytest.mark.parametrize(
    ("form", "test"),
    [("tar", ["7z", "t", "{archive}"]), ("zip", ["unzip", "-tq", "{archive}"]), ("zip", ["7z", "t", "{archive}"])],
)
def test_checks_find_nothing(odd: Pantry, tmp_path: Path, form: str, test: list[str]) -> None:
    archive = tmp_path / f"odd.{form}"
    archive.write_bytes(odd.read(odd.layout(form)))  # type: ignore[arg-type]

    assert "arning" not in run(test, archive, tmp_path)


@pytest.mark.parametrize(
    ("form", "listing", "content"),
    [
        ("tar", ["tar", "-tvf", "{archive}"], ["tar", "-xOf", "{archive}", "root/after"]),
        ("tar", ["bsdtar", "-tvf", "{archive}"], ["bsdtar", "-xOf", "{archive}", "root/after"]),
        ("tar", ["7z", "l", "{archive}"], ["7z", "x", "-so", "{archive}", "root/after"]),
        ("zip", ["bsdtar", "-tvf", "{archive}"], ["bsdtar", "-xOf", "{archive}", "root/after"]),
        ("zip", ["unzip", "-l", "{archive}"], ["unzip", "-p", "{archive}", "root/after"]),
        ("zip", ["7z", "l", "{archive}"], ["7z", "x", "-so", "{archive}", "root/after"]),
    ],
)
def test_9_gib_and_what_lies_behind_them_are_read(
    pantry: Pantry, tmp_path: Path, form: str, listing: list[str], content: list[str]
) -> None:
    pantry.add("before", b"first")
    pantry.add_sparse("sparse", 9 * GIB)
    pantry.add("after", b"after 9 GiB")
    archive = tmp_path / f"large.{form}"
    pantry.write_sparsely(pantry.layout(form), archive)  # type: ignore[arg-type]

    listed, shown = run(listing, archive, tmp_path), run(content, archive, tmp_path)

    assert re.search(rf"\b{9 * GIB}\b.*root/sparse\n", listed)
    assert re.search(r"root/after\n", listed)
    assert shown == "after 9 GiB"


@pytest.mark.parametrize(
    ("form", "listing"),
    [
        ("tar", ["tar", "-tf", "{archive}"]),
        ("tar", ["bsdtar", "-tf", "{archive}"]),
        ("zip", ["bsdtar", "-tf", "{archive}"]),
        ("zip", ["unzip", "-Z1", "{archive}"]),
        ("zip", ["7z", "l", "-ba", "{archive}"]),
    ],
)
def test_more_members_than_16_bits_count(pantry: Pantry, tmp_path: Path, form: str, listing: list[str]) -> None:
    for number in range(70_000):
        pantry.add(f"{number:05}", b"%d" % number)
    archive = tmp_path / f"many.{form}"
    archive.write_bytes(pantry.read(pantry.layout(form)))  # type: ignore[arg-type]

    listed = run(listing, archive, tmp_path)

    assert listed.count("root/") == 70_000
    assert "root/69999\n" in listed


@pytest.mark.parametrize("reader", ["GNU tar", "bsdtar"])
@pytest.mark.parametrize("mtime", [-5, 2**32 + 5, 8**11 + 5])
def test_times_that_a_ustar_header_cannot_say(pantry: Pantry, tmp_path: Path, reader: str, mtime: int) -> None:
    pantry.add("then", b"x", mtime)
    archive, target = tmp_path / "then.tar", tmp_path / "out"
    archive.write_bytes(pantry.read(pantry.layout()))
    target.mkdir()

    listed = run([shutil.which(EXTRACT[reader][1][0]) or "", "-tvf", "{archive}"], archive, target)

    year = {-5: "1969", 2**32 + 5: "2106", 8**11 + 5: "2242"}[mtime]
    assert year in listed


@pytest.mark.parametrize("reader", ["bsdtar, zip", "unzip", "7z, zip"])
@pytest.mark.parametrize("mtime", [0, 157_766_401, 2**31 - 1, 2**31 + 1, 4_102_444_801])
def test_times_of_a_zip_are_the_same_to_all_readers(pantry: Pantry, tmp_path: Path, reader: str, mtime: int) -> None:
    pantry.add("then", b"x", mtime)
    archive, target = tmp_path / "then.zip", tmp_path / "out"
    archive.write_bytes(pantry.read(pantry.layout("zip")))
    target.mkdir()

    run(EXTRACT[reader][1], archive, target)

    assert found_in(target) == {"root/then": (b"x", mtime)}
