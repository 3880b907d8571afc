"""What a file's name, METADATA, WHEEL and RECORD promise to one another."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable

import pytest

from tests.index.archives.conftest import Refused, checked
from tests.index.archives.forging import (
    INFO,
    METADATA,
    ROOT,
    SDIST,
    WHEEL,
    WHEEL_FILE,
    block,
    entries,
    hashed,
    sdist_blocks,
    tarred,
    wheel_files,
    with_record,
    zipped,
)

FILES = wheel_files()
RECORD = FILES[f"{INFO}/RECORD"]
ROW = f"cream/__init__.py,{hashed(FILES['cream/__init__.py'])},20\n".encode()
CODE = FILES["cream/__init__.py"]


def wheel(**changed: bytes | None) -> bytes:
    """The good wheel with other files in its `.dist-info`."""
    return zipped(entries(wheel_files(**changed)))  # type: ignore[arg-type]


def recorded(old: bytes, new: bytes) -> bytes:
    """The good wheel with another RECORD."""
    return zipped(entries(with_record(FILES, old, new)))


def said(line: bytes, instead: bytes | None = None) -> bytes:
    """The good METADATA with one line more, or another instead of one."""
    return METADATA.replace(instead or b"\n\n", b"\n" + line + b"\n\n" if instead is None else line, 1)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    # .dist-info
    "no folder that describes it": (
        lambda: zipped([entry for entry in entries(FILES) if not entry.name.startswith(INFO.encode())]),
        "this one has 0: none",
    ),
    "two folders that describe it": (
        lambda: zipped(entries(wheel_files({"milk-1.0.dist-info/METADATA": METADATA}))),
        "this one has 2",
    ),
    "a second one without case": (
        lambda: zipped(entries(wheel_files({"milk-1.0.DIST-INFO/METADATA": METADATA}))),
        "this one has 2",
    ),
    "the folder of another project": (
        lambda: zipped(entries({name.replace("cream-1.0.", "milk-1.0."): data for name, data in FILES.items()})),
        "the wheel has 'milk-1.0.dist-info'",
    ),
    "the folder of another version": (
        lambda: zipped(entries({name.replace("cream-1.0.", "cream-1.1."): data for name, data in FILES.items()})),
        "the wheel has 'cream-1.1.dist-info'",
    ),
    "no METADATA": (lambda: wheel(METADATA=None), "no cream-1.0.dist-info/METADATA"),
    "no WHEEL": (lambda: wheel(WHEEL=None), "no cream-1.0.dist-info/WHEEL"),
    "no RECORD": (
        lambda: zipped([entry for entry in entries(FILES) if not entry.name.endswith(b"RECORD")]),
        "no cream-1.0.dist-info/RECORD",
    ),
    # WHEEL
    "a WHEEL of the future": (lambda: wheel(WHEEL=WHEEL_FILE.replace(b"1.0", b"2.0")), "Wheel-Version '2.0'"),
    "a WHEEL of no version": (lambda: wheel(WHEEL=WHEEL_FILE.partition(b"\n")[2]), "Wheel-Version ''"),
    "other tags": (lambda: wheel(WHEEL=WHEEL_FILE.replace(b"py3", b"py2")), "not those in its WHEEL"),
    "more tags": (lambda: wheel(WHEEL=WHEEL_FILE + b"Tag: py2-none-any\n"), "not those in its WHEEL"),
    "no tags": (lambda: wheel(WHEEL=WHEEL_FILE.replace(b"Tag: py3-none-any\n", b"")), "not those in its WHEEL"),
    "a tag that is none": (lambda: wheel(WHEEL=WHEEL_FILE + b"Tag: py3\n"), "WHEEL has a tag 'py3'"),
    "a WHEEL that is none": (lambda: wheel(WHEEL=b"milk\n"), "a line that is no field"),
    # RECORD
    "a file that RECORD lacks": (lambda: recorded(ROW, b""), "is in the wheel and not in RECORD"),
    "a row without a file": (lambda: recorded(ROW, ROW + b"milk.py,,\n"), "lists 'milk.py', which is no file"),
    "a row twice": (lambda: recorded(ROW, ROW + ROW), "two rows for 'cream/__init__.py'"),
    "a row that leads out": (lambda: recorded(ROW, ROW + b"../milk.py,,\n"), "no file of the wheel"),
    "an absolute row": (lambda: recorded(ROW, ROW.replace(b"cream/", b"/cream/")), "no file of the wheel"),
    "a row of a folder": (
        lambda: zipped(entries(with_record(wheel_files({"cream/": b""}), ROW, ROW + b"cream/,,\n"))),
        "no file of the wheel",
    ),
    "another hash": (lambda: recorded(ROW, ROW.replace(b"256=", b"256=a")), "another sha256 than RECORD says"),
    "a hash of another file": (
        lambda: recorded(hashed(CODE).encode(), hashed(b"milk").encode()),
        "another sha256 than RECORD says",
    ),
    "a hash with padding": (lambda: recorded(hashed(CODE).encode(), hashed(CODE).encode() + b"="), "another sha256"),
    "no hash": (lambda: recorded(hashed(CODE).encode(), b""), "no hash of 'cream/__init__.py' that is sha256"),
    "a weak hash": (
        lambda: recorded(hashed(CODE).encode(), hashed(CODE, "md5").encode()),
        "that is sha256 or stronger",
    ),
    "an unknown hash": (lambda: recorded(b"sha256=", b"shake_256="), "that is sha256 or stronger"),
    "another size": (lambda: recorded(b",20\n", b",21\n"), "says '21' bytes of 'cream/__init__.py', which has 20"),
    "a size in other digits": (lambda: recorded(b",20\n", ",\u0662\u0660\n".encode()), "which has 20"),
    "a hash of itself": (lambda: recorded(b"RECORD,,", b"RECORD,sha256=x,"), "a hash of itself"),
    "itself left out": (lambda: recorded(f"{INFO}/RECORD,,\n".encode(), b""), "is in the wheel and not in RECORD"),
    "a row of two": (lambda: recorded(b",20\n", b"\n"), "not path, hash and size"),
    "an empty row": (lambda: recorded(ROW, b"\n" + ROW), "not path, hash and size"),
    "an open quote": (lambda: recorded(ROW, b'"' + ROW), "no CSV"),
    "no UTF-8": (lambda: recorded(ROW, b"\xff" + ROW), "no CSV in UTF-8"),
    # METADATA
    "another name": (lambda: wheel(METADATA=said(b"\nName: milk", b"\nName: Cream")), "METADATA says 'milk' '1.0'"),
    "another version": (lambda: wheel(METADATA=said(b": 1.1\n", b": 1.0\n")), "METADATA says 'Cream' '1.1'"),
    "two names": (lambda: wheel(METADATA=said(b"Name: cream")), "there twice: 'name'"),
    "no name": (lambda: wheel(METADATA=said(b"\n", b"\nName: Cream\n")), "'name' is a required field"),
    "no version": (lambda: wheel(METADATA=said(b"\n", b"\nVersion: 1.0\n")), "'version' is a required field"),
    "a version that is none": (lambda: wheel(METADATA=said(b": fresh\n", b": 1.0\n")), "'fresh' is invalid"),
    "a name that is none": (lambda: wheel(METADATA=said(b"Cr\xc3\xa8am", b"Cream")), "is invalid for 'name'"),
    "a metadata version to come": (lambda: wheel(METADATA=said(b": 2.7", b": 2.2")), "Metadata-Version '2.7'"),
    "no metadata version": (lambda: wheel(METADATA=said(b"", b"Metadata-Version: 2.2\n")), "Metadata-Version ''"),
    "an unknown field": (lambda: wheel(METADATA=said(b"Requires-Pyhton: >=3")), "'requires-pyhton'"),
    "Requires-Python that is none": (lambda: wheel(METADATA=said(b": fresh", b": >=3.9")), "'fresh' is invalid"),
    "Requires-Dist that is none": (lambda: wheel(METADATA=said(b"Requires-Dist: six >>1")), "'six >>1' is invalid"),
    "an unknown content type": (
        lambda: wheel(METADATA=said(b"Description-Content-Type: text/html")),
        "'description-content-type' must be one of",
    ),
    "a summary of two lines": (lambda: wheel(METADATA=said(b"Summary: a\n b")), "must be a single line"),
    "an import name that is none": (lambda: wheel(METADATA=said(b"Import-Name: 1cream")), "not a valid identifier"),
    "METADATA in Latin-1": (lambda: wheel(METADATA=said(b"Summary: cr\xe8me")), "METADATA is no UTF-8"),
    "a description in Latin-1": (lambda: wheel(METADATA=METADATA + b"cr\xe8me"), "METADATA is no UTF-8"),
    "two descriptions": (lambda: wheel(METADATA=said(b"Description: fresh")), "another below the fields"),
    "a lone carriage return": (lambda: wheel(METADATA=said(b"Summary: a\rName: milk")), "a control character in"),
    "a byte order mark": (lambda: wheel(METADATA=b"\xef\xbb\xbf" + METADATA), "a line that is no field"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wheel_that_contradicts_itself_is_refused_with_its_reason(refused: Refused, name: str) -> None:
    make, reason = REFUSED[name]
    content = make()

    assert reason in refused(content, WHEEL)


@pytest.mark.parametrize(
    "metadata",
    [
        METADATA.replace(b"2.2", version)
        for version in (b"1.0", b"1.1", b"1.2", b"2.0", b"2.1", b"2.2", b"2.3", b"2.4", b"2.5", b"2.6")
    ]
    + [
        METADATA.replace(b"\n", b"\r\n"),
        said(b"License-File: LICENSE"),  # setuptools, before 2.4 allowed it
        said(b"License: all\n rights\n \x0c reserved"),
        said(b"Import-Name: cream\nImport-Namespace: dairy"),
        said(b"Requires-Dist: milk @ https://dairy.example/milk-1.0.tar.gz"),
        said(b"Requires-Dist: milk (>=1.0); extra == 'fresh'\nProvides-Extra: fresh"),
        said(b"Author: Cr\xc3\xa8me\nKeywords: a,b\nClassifier: Topic :: Dairy\nDynamic: Summary"),
        METADATA.replace(b"Name: Cream", b"Name: CREAM").replace(b": 1.0\n", b": 1.0.0\n"),
        METADATA.partition(b"\n\n")[0],
        METADATA.partition(b"\n\n")[0] + b"\nDescription: fresh\n        \n        milk\n",
        METADATA + "\U0001f9c0 \r\r\n\x00".encode(),
    ],
)
def test_metadata_that_real_tools_write_is_taken(metadata: bytes) -> None:
    artefact = checked(wheel(METADATA=metadata), WHEEL)

    assert artefact.metadata == metadata
    assert artefact.project == "cream"


@pytest.mark.parametrize(
    "content",
    [
        zipped(entries(with_record(FILES, hashed(CODE).encode(), hashed(CODE, "sha512").encode()))),
        zipped(entries(with_record(FILES, hashed(CODE).encode(), hashed(CODE, "sha384").encode()))),
        zipped(entries(with_record(FILES, b",20\n", b",\n"))),
        zipped(entries(with_record(FILES, ROW, b'"cream/__init__.py"' + ROW[17:]))),
        zipped(entries({**FILES, f"{INFO}/RECORD": RECORD.replace(b"\n", b"\r\n")})),
        zipped([*entries(FILES), *entries({f"{INFO}/RECORD.jws": b"{}", f"{INFO}/RECORD.p7s": b""})]),
        zipped(entries(wheel_files({"cream/\u00e9.py": b"", "cream/": b""}))),
    ],
    ids=["sha512", "sha384", "no size", "quoted", "windows", "signed", "folder"],
)
def test_a_record_that_real_tools_write_is_taken(content: bytes) -> None:
    assert checked(content, WHEEL).version == "1.0"


NAMES = {
    "cream-1.0-py3-none-any.whl": None,
    "Cream-1.0-py3-none-any.whl": None,
    "cream-1.0.0-py3-none-any.whl": None,
    "cream-1.0-1fresh-py3-none-any.whl": None,
    "cream-1.0-py2-none-any.whl": "not those in its WHEEL",
    "cream-1.1-py3-none-any.whl": "The file name promises cream 1.1",
    "milk-1.0-py3-none-any.whl": "The file name promises milk 1.0",
    "cream-1.0-fresh-py3-none-any.whl": "Invalid build number",
    "cream-1.0-py3-none.whl": "wrong number of parts",
    "cream-fresh-py3-none-any.whl": "invalid version",
    "cream-1.0-py3-none-any+x.whl": "has a tag",
    "cream-1.0-py3-none-any.WHL": "neither a wheel's nor an sdist's name",
    ".cream-1.0-py3-none-any.whl": "no file name of a distribution",
    "../cream-1.0-py3-none-any.whl": "no file name of a distribution",
    "cr\u00e8me-1.0-py3-none-any.whl": "no file name of a distribution",
    f"cream-1.0-py3-none-{'a' * 232}.whl": "not those in its WHEEL",
    f"cream-1.0-py3-none-{'a' * 233}.whl": "1 to 255 ASCII letters",
    "cream-1.0-py3.11.egg": "PEP 715",
    "cream-1.0.win32.exe": "PEP 527",
    "cream-1.0.msi": "PEP 527",
    "cream-1.0.rpm": "PEP 527",
    "cream-1.0.tar.bz2": "sdists are .tar.gz",
    "cream-1.0.tgz": "sdists are .tar.gz",
    "cream-1.0.TAR.XZ": "sdists are .tar.gz",
    "": "no file name of a distribution",
}


@pytest.mark.parametrize("filename", NAMES)
def test_a_wheel_s_name_is_that_of_its_content(refused: Refused, filename: str) -> None:
    reason = NAMES[filename]
    content = zipped(entries(FILES))

    if reason is None:
        assert checked(content, filename).filename == filename
    else:
        assert reason in refused(content, filename)


@pytest.mark.parametrize("tag", ["cp311-cp311-linux_x86_64", "py2.py3-none-any", "cp39-abi3-macosx_11_0_arm64.win32"])
def test_tags_are_compared_one_by_one(tag: str) -> None:
    """Also those that PyPI refuses: a hub of one's own serves machines that one knows."""
    interpreters, abi, platforms = tag.split("-")
    lines = [
        f"Tag: {python}-{abi}-{platform}\n" for python in interpreters.split(".") for platform in platforms.split(".")
    ]
    together = WHEEL_FILE.replace(b"py3-none-any", tag.encode())
    apart = WHEEL_FILE.replace(b"Tag: py3-none-any\n", "".join(lines).encode())

    assert checked(wheel(WHEEL=together), f"cream-1.0-{tag}.whl").kind == "wheel"
    assert checked(wheel(WHEEL=apart), f"cream-1.0-{tag}.whl").kind == "wheel"


@pytest.mark.parametrize(
    ("filename", "project", "root"),
    [
        ("cream-1.0.tar.gz", "cream", "cream-1.0"),
        ("fresh_cream-1.0.tar.gz", "fresh_cream", "fresh_cream-1.0"),
        ("fresh-cream-1.0.tar.gz", "Fresh.Cream", "fresh-cream-1.0"),
        ("Fresh.Cream-1.0.tar.gz", "fresh-cream", "Fresh.Cream-1.0.0"),
        ("fresh_cream-1.0.tar.gz", "fresh-cream", "fresh-cream-1.0"),
    ],
)
def test_an_sdist_may_have_older_spellings_of_its_name(filename: str, project: str, root: str) -> None:
    metadata = METADATA.replace(b"Cream", project.encode())
    content = tarred([block(f"{root}/PKG-INFO".encode(), metadata), block(f"{root}/x.py".encode(), CODE)])

    artefact = checked(content, filename)

    assert (artefact.kind, artefact.name, artefact.metadata) == ("sdist", project, metadata)


def test_an_sdist_may_be_a_zip(refused: Refused) -> None:
    files = {f"{ROOT}/": b"", f"{ROOT}/PKG-INFO": METADATA, f"{ROOT}/cream.py": CODE}
    content = zipped(entries(files))

    assert checked(content, "cream-1.0.zip").metadata == METADATA
    assert "could lead out" in refused(zipped(entries({**files, f"{ROOT}/../x": b""})), "cream-1.0.zip")
    assert "outside of the one folder" in refused(zipped(entries({**files, "x": b""})), "cream-1.0.zip")
    assert "no PKG-INFO" in refused(zipped(entries({f"{ROOT}/cream.py": CODE})), "cream-1.0.zip")
    assert "no PKG-INFO" in refused(zipped([]), "cream-1.0.zip")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (METADATA.replace(b"Cream", b"milk"), "PKG-INFO says 'milk' '1.0'"),
        (METADATA.replace(b": 1.0", b": 1.1"), "PKG-INFO says 'Cream' '1.1'"),
        (b"", "Metadata-Version ''"),
    ],
)
def test_an_sdist_that_contradicts_itself_is_refused(refused: Refused, metadata: bytes, reason: str) -> None:
    content = tarred([*sdist_blocks()[:1], block(f"{ROOT}/PKG-INFO".encode(), metadata)])

    assert reason in refused(content, SDIST)


@pytest.mark.parametrize(("content", "filename"), [(zipped(entries(FILES)), WHEEL), (tarred(sdist_blocks()), SDIST)])
def test_what_an_upload_is_comes_out_of_it(content: bytes, filename: str) -> None:
    artefact = checked(content, filename)

    assert artefact.filename == filename
    assert (artefact.name, artefact.version, artefact.metadata_version) == ("Cream", "1.0", "2.2")
    assert artefact.requires_python == ">=3.9"
    assert artefact.metadata == METADATA
    assert artefact.md5 == hashlib.md5(content).hexdigest()
    assert artefact.blake2b_256 == hashlib.blake2b(content, digest_size=32).hexdigest()


BUILD = wheel_files(WHEEL=WHEEL_FILE + b"Build: 2\n")


def test_a_wheel_is_of_the_build_that_both_its_name_and_its_contents_say() -> None:
    assert checked(zipped(entries(BUILD)), "cream-1.0-2-py3-none-any.whl").version == "1.0"
    assert checked(zipped(entries(FILES)), "cream-1.0-2-py3-none-any.whl").version == "1.0"
    zeros = wheel_files(WHEEL=WHEEL_FILE + b"Build: 02\n")
    assert checked(zipped(entries(zeros)), "cream-1.0-02-py3-none-any.whl").version == "1.0"


@pytest.mark.parametrize("filename", [WHEEL, "cream-1.0-3-py3-none-any.whl", "cream-1.0-2a-py3-none-any.whl"])
def test_a_wheel_of_another_build_than_its_name_says_is_refused(refused: Refused, filename: str) -> None:
    assert "is not that in its WHEEL ('2')" in refused(zipped(entries(BUILD)), filename)


@pytest.mark.parametrize("fold", [b"\n ", b"\n\t", b"\r\n  "])
def test_a_field_that_goes_on_in_the_next_line_is_one_line_on_pages(fold: bytes) -> None:
    metadata = METADATA.replace(b">=3.9", b">=3.9," + fold + b"<4").replace(
        b"Version: 1.0", b"Version:" + fold + b"1.0"
    )

    artefact = checked(zipped(entries(wheel_files(METADATA=metadata))), WHEEL)

    assert (artefact.requires_python, artefact.version) == (">=3.9, <4", "1.0")
    assert artefact.metadata == metadata


def test_a_large_upload_is_hashed_beside_its_check() -> None:
    """Its pieces go through a second thread."""
    payload = b"".join(hashlib.sha256(str(at).encode()).digest() for at in range(200_000))
    content = zipped(entries(wheel_files({"cream/payload": payload})))
    assert len(content) > 4 << 20

    artefact = checked(content, WHEEL)

    assert artefact.md5 == hashlib.md5(content).hexdigest()
    assert artefact.blake2b_256 == hashlib.blake2b(content, digest_size=32).hexdigest()
    assert base64.b16encode(zipfile.ZipFile(io.BytesIO(content)).read("cream/payload")[:4]) == b"5FECEB66"
