"""A wheel written anew for other platforms: all but its tags stays as it is, and what it says of itself is true."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from creamery.index import check_archive
from creamery.limits import Limits
from creamery.wheels.retagging import _with_tags, retag, retagged_name
from tests.doubles.compiled import compiled_wheel

MEMBERS = {"acme/__init__.py": b"x = 1\n", "acme/ext.so": b"\x7fELF" + bytes(300_000), "acme/empty.txt": b""}
TAGS = ["manylinux_2_17_x86_64", "manylinux2014_x86_64"]


def retagged(path: Path) -> tuple[str, bytes]:
    out = io.BytesIO()
    with path.open("rb") as source:
        return retag(source, path.name, TAGS, out), out.getvalue()


def test_it_is_a_sound_wheel_of_its_new_name(tmp_path: Path) -> None:
    name, content = retagged(compiled_wheel(tmp_path, MEMBERS))

    assert name == "acme-1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    assert check_archive(io.BytesIO(content), name, Limits()).version == "1.0"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        wheel = archive.read("acme-1.0.dist-info/WHEEL").decode().splitlines()
        assert wheel == [
            "Wheel-Version: 1.0",
            "Generator: tests",
            "Root-Is-Purelib: false",
            "Tag: cp311-cp311-manylinux2014_x86_64",
            "Tag: cp311-cp311-manylinux_2_17_x86_64",
        ]


def test_all_else_stays_in_its_order_with_its_date_and_its_mode(tmp_path: Path) -> None:
    made = compiled_wheel(tmp_path, MEMBERS)
    _, content = retagged(made)

    with zipfile.ZipFile(made) as old, zipfile.ZipFile(io.BytesIO(content)) as new:
        assert new.namelist() == old.namelist()
        for before, after in zip(old.infolist(), new.infolist(), strict=True):
            assert (after.date_time, after.external_attr) == (before.date_time, before.external_attr)
            if not before.filename.endswith(("WHEEL", "RECORD")):
                assert (after.CRC, after.compress_size, after.compress_type) == (
                    before.CRC,
                    before.compress_size,
                    before.compress_type,
                )
                assert new.read(after) == old.read(before)


def test_the_same_wheel_always_becomes_the_same_bytes(tmp_path: Path) -> None:
    made = compiled_wheel(tmp_path, MEMBERS)

    assert len({hashlib.sha256(retagged(made)[1]).hexdigest() for _ in range(3)}) == 1


def stored(folder: Path, end: str = "\n", quoted: bool = False) -> Path:
    """A wheel whose bytes no zlib decides, with a body behind WHEEL's fields and a RECORD that some tools write."""
    made = compiled_wheel(folder, MEMBERS)
    path = folder / "stored" / made.name
    path.parent.mkdir()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            body = old.read(member)
            if member.filename.endswith("/RECORD"):
                rows = [row.split(",") for row in body.decode().splitlines()]
                body = "".join(",".join([f'"{row[0]}"' if quoted else row[0], *row[1:]]) + end for row in rows).encode()
            entry = zipfile.ZipInfo(member.filename, member.date_time)
            entry.external_attr = member.external_attr
            new.writestr(entry, body)
    return path


def test_the_bytes_are_the_same_with_every_python_and_zlib(tmp_path: Path) -> None:
    _, content = retagged(stored(tmp_path))

    assert hashlib.sha256(content).hexdigest() == "b2a40f9d49e5d2671616b724e8dc4339e1d6df53bc55f8363de20fbc184782bc"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoted", [False, True])
def test_of_record_only_the_line_of_wheel_changes(tmp_path: Path, end: str, quoted: bool) -> None:
    made = stored(tmp_path, end, quoted)
    name, content = retagged(made)

    check_archive(io.BytesIO(content), name, Limits())
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(io.BytesIO(content)) as new:
        before, after = (each.read("acme-1.0.dist-info/RECORD").split(b"\n") for each in (old, new))
    changed = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert len(changed) == 1
    assert changed[0][1].startswith(changed[0][0].partition(b"sha256")[0])


def test_what_is_no_tag_in_wheel_stays_as_it_is(tmp_path: Path) -> None:
    """Lines ended where `str.splitlines` sees an end, and a body lost its lines."""
    odd = "Generator: a\x0bb\u2028c\r\nTag: cp311-cp311-linux_x86_64\r\nBuild: 1\r\n\r\nTag: in the body\r\n".encode()

    assert _with_tags(odd, "a-1.0-1-cp311-cp311-manylinux2014_x86_64.whl") == odd.replace(
        b"cp311-linux_x86_64", b"cp311-manylinux2014_x86_64"
    )


@settings(max_examples=25)
@given(
    contents=st.dictionaries(
        st.from_regex(r"acme/[a-z]{1,8}\.py", fullmatch=True), st.binary(max_size=300), max_size=4
    ),
    mode=st.sampled_from([0o644, 0o755, 0o100664]),
)
def test_tags_given_twice_are_the_last_ones(contents: dict[str, bytes], mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = compiled_wheel(Path(folder), contents, mode=mode)
        once = io.BytesIO()
        with made.open("rb") as source:
            name = retag(source, made.name, ["musllinux_1_2_x86_64"], once)
        twice = io.BytesIO()
        last = retag(once, name, TAGS, twice)

        assert (last, twice.getvalue()) == retagged(made)
        check_archive(twice, last, Limits())


def test_what_signed_the_old_record_is_left_out(tmp_path: Path) -> None:
    info = "acme-1.0.dist-info"
    made = compiled_wheel(tmp_path, {**MEMBERS, f"{info}/RECORD.jws": b"{}", f"{info}/RECORD.p7s": b"x"})
    name, content = retagged(made)

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert not [each for each in archive.namelist() if each.endswith((".jws", ".p7s"))]
        assert b"RECORD.jws" not in archive.read(f"{info}/RECORD")
    check_archive(io.BytesIO(content), name, Limits())


def test_a_wheel_that_was_written_in_one_go_has_no_descriptors_any_more(tmp_path: Path) -> None:
    made = compiled_wheel(tmp_path, MEMBERS)
    streamed = tmp_path / "streamed" / made.name
    streamed.parent.mkdir()
    with zipfile.ZipFile(made) as old, streamed.open("wb") as file:

        class Unseekable(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: bytes) -> int:  # type: ignore[override]
                return file.write(data)

        with zipfile.ZipFile(Unseekable(), "w", zipfile.ZIP_DEFLATED) as archive:
            for member in old.infolist():
                archive.writestr(member.filename, old.read(member))
    name, content = retagged(streamed)

    check_archive(io.BytesIO(content), name, Limits())
    with zipfile.ZipFile(io.BytesIO(content)) as new:
        assert not any(member.flag_bits & 0x08 for member in new.infolist())
        assert new.testzip() is None


def test_pip_installs_it(tmp_path: Path) -> None:
    made = compiled_wheel(tmp_path, MEMBERS, "py3-none-linux_x86_64")
    name, content = retagged(made)
    (tmp_path / name).write_bytes(content)

    command = [sys.executable, "-m", "pip", "--isolated", "install", "--no-deps", "--no-index", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--platform", "manylinux_2_17_x86_64"]
    subprocess.run([*command, "--target", str(tmp_path / "target"), str(tmp_path / name)], check=True)

    assert (tmp_path / "target" / "acme" / "__init__.py").read_bytes() == b"x = 1\n"


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a-1.0-1-cp311-abi3-linux_x86_64.whl", "a-1.0-1-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"),
        ("a-1.0-py2.py3-none-any.whl", "a-1.0-py2.py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"),
    ],
)
def test_build_number_interpreter_and_abi_stay(filename: str, expected: str) -> None:
    assert retagged_name(filename, TAGS) == expected
