"""Upstreams' pages as data: what could do harm is left out, what is no page is refused."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.contract import ProjectName, check_filename
from creamery.index.parsing import JSON_TYPE, NotAPage, parse_page
from creamery.index.project import ListedFile, ProjectPage

NAME = ProjectName("demo")
URL = "http://upstream.test/simple/demo/"
SHA256 = "ab" * 32


def page_of(*files: dict[str, Any], **more: Any) -> ProjectPage:
    body = orjson.dumps({"meta": {"api-version": "1.4"}, "name": "demo", "files": list(files), **more})
    return parse_page(body, JSON_TYPE, name=NAME, url=URL, max_files=100)


def html_page(body: str) -> ProjectPage:
    return parse_page(body.encode(), "text/html; charset=utf-8", name=NAME, url=URL, max_files=100)


def one(page: ProjectPage) -> ListedFile:
    (file,) = page.files
    return file


@pytest.mark.parametrize("name", ["other", "", "demo/", "démo"])
def test_a_page_of_another_project_is_none_of_ours(name: str) -> None:
    with pytest.raises(NotAPage, match="it is the page of"):
        page_of(name=name)


@pytest.mark.parametrize("name", ["demo", "Demo", None])
def test_a_page_may_spell_its_name_as_it_likes_or_leave_it_out(name: str | None) -> None:
    assert page_of(name=name).name == NAME


def test_addresses_are_taken_from_where_the_page_is() -> None:
    page = page_of({"filename": "demo-1.0.tar.gz", "url": "../../files/demo-1.0.tar.gz", "hashes": {}})

    assert one(page).url == "http://upstream.test/files/demo-1.0.tar.gz"


@pytest.mark.parametrize(
    "entry",
    [
        {"filename": "../../etc/passwd", "url": "x", "hashes": {}},
        {"filename": "a/b.whl", "url": "x", "hashes": {}},
        {"filename": "demo\n1.0.tar.gz", "url": "x", "hashes": {}},
        {"filename": "demo-1.0.tar.gz", "url": "file:///etc/passwd", "hashes": {}},
        {"filename": "demo-1.0.tar.gz", "url": "http://user:pw@inside/x", "hashes": {}},
        {"filename": "demo-1.0.tar.gz", "url": "http://[", "hashes": {}},
        {"filename": "demo-1.0.tar.gz", "url": "http://a\tb/", "hashes": {}},
        {"filename": "demo-1.0.tar.gz", "url": None},
        {"filename": 5, "url": "x"},
        {},
    ],
)
def test_an_entry_that_could_do_harm_is_left_out_and_the_rest_stands(entry: dict[str, Any]) -> None:
    good = {"filename": "demo-2.0.tar.gz", "url": "y", "hashes": {"sha256": SHA256}}

    assert one(page_of(entry, good)).filename == "demo-2.0.tar.gz"


@pytest.mark.parametrize(
    ("field", "value", "attribute", "expected"),
    [
        ("size", -1, "size", None),
        ("size", True, "size", None),
        ("size", 2**62, "size", None),
        ("size", 5, "size", 5),
        ("upload-time", "yesterday", "upload_time", None),
        ("upload-time", "2024-01-01T00:00:00Z", "upload_time", "2024-01-01T00:00:00Z"),
        ("yanked", False, "yanked", None),
        ("yanked", True, "yanked", ""),
        ("yanked", "why", "yanked", "why"),
        ("yanked", "a\0b", "yanked", "ab"),
        ("requires-python", None, "requires_python", None),
        ("core-metadata", True, "has_metadata", True),
        ("core-metadata", False, "has_metadata", False),
        ("core-metadata", {"sha256": SHA256}, "metadata_sha256", SHA256),
        ("dist-info-metadata", {"sha256": SHA256}, "metadata_sha256", SHA256),
        ("hashes", {"sha256": "short", "md5": "00" * 16}, "sha256", None),
        ("hashes", {"sha256": SHA256.upper()}, "sha256", SHA256),
        ("gpg-sig", "yes", "gpg_sig", None),
        ("provenance", "javascript:alert(1)", "provenance", None),
    ],
)
def test_each_field_is_what_the_standard_says_or_nothing(
    field: str, value: object, attribute: str, expected: object
) -> None:
    page = page_of({"filename": "demo-1.0.tar.gz", "url": "x", "hashes": {}, field: value})

    assert getattr(one(page), attribute) == expected


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", JSON_TYPE),
        (b"{", JSON_TYPE),
        (b"[]", JSON_TYPE),
        (b'{"files": {}}', JSON_TYPE),
        (b'{"files": [], "meta": {"api-version": "2.0"}}', JSON_TYPE),
        (b"[" * 100_000, JSON_TYPE),
        (b'{"files": []}', "application/json"),
        (b"<html><body>Please log in <a href='/login'>here</a></body></html>", "text/html"),
        (b'<meta name="pypi:repository-version" content="2.0"><a href="x-1.0.whl">x</a>', "text/html"),
        (b"\x00\xff", "text/html"),
    ],
)
def test_what_is_no_page_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(NotAPage):
        parse_page(body, content_type, name=NAME, url=URL, max_files=100)


def test_a_page_has_so_many_files_and_not_one_more() -> None:
    entry = {"filename": "demo-1.0.tar.gz", "url": "x", "hashes": {}}

    assert len(page_of(*[entry] * 100).files) == 100
    with pytest.raises(NotAPage, match="more than 100"):
        page_of(*[entry] * 101)
    with pytest.raises(NotAPage, match="more than 100"):
        html_page("<a href='demo-1.0.tar.gz'>x</a>" * 101)


def test_other_places_of_a_project_are_kept_in_both_formats() -> None:
    tracks, locations = ("http://a.test/simple/demo/",), ("http://b.test/demo/", "http://c.test/demo/")

    as_json = page_of(
        meta={"api-version": "1.4", "tracks": [*tracks, "javascript:alert(1)", 5]}, **{"alternate-locations": locations}
    )
    as_html = html_page(
        '<meta name="pypi:repository-version" content="1.4">'
        + "".join(f'<meta name="pypi:tracks" content="{address}">' for address in tracks)
        + "".join(f'<meta name="pypi:alternate-locations" content="{address}">' for address in locations)
    )

    assert (as_json.tracks, as_json.alternate_locations) == (tracks, locations)
    assert (as_html.tracks, as_html.alternate_locations) == (tracks, locations)
    assert (page_of(meta={"tracks": 1}).tracks, page_of(**{"alternate-locations": {}}).alternate_locations) == ((), ())


def test_html_says_the_same_as_json() -> None:
    page = html_page(
        '<!DOCTYPE html><meta name="pypi:repository-version" content="1.1">'
        '<meta name="pypi:project-status" content="archived">'
        '<meta name="pypi:project-status-reason" content="old &amp; done">'
        '<base href="http://files.test/"><a href="../">Parent</a>'
        f'<a href="d/demo-1.0-py3-none-any.whl#sha256={SHA256}" data-requires-python="&gt;=3.8" data-yanked=""'
        f' data-core-metadata="sha256={SHA256}" data-gpg-sig="true">demo-1.0-py3-none-any.whl</a>'
        f'<a href="d/demo-0.9.tar.gz#md5={"0" * 32}" data-dist-info-metadata="true">demo-0.9.tar.gz</a>'
    )

    newer, older = page.files
    assert (page.status, page.status_reason) == ("archived", "old & done")
    assert newer.url == "http://files.test/d/demo-1.0-py3-none-any.whl"
    assert (newer.sha256, newer.requires_python, newer.yanked) == (SHA256, ">=3.8", "")
    assert (newer.has_metadata, newer.metadata_sha256, newer.gpg_sig) == (True, SHA256, True)
    assert (older.sha256, older.hashes, older.yanked) == (None, {"md5": "0" * 32}, None)
    assert (older.has_metadata, older.metadata_sha256) == (True, None)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["filename", "url", "hashes", "size", "upload-time", "yanked", "core-metadata", "provenance", "requires-python"]
)


@given(st.lists(st.dictionaries(FIELDS, JSON_VALUES, max_size=9), max_size=4), JSON_VALUES, JSON_VALUES)
def test_any_json_is_a_page_of_sound_files_or_refused(
    entries: list[dict[str, Any]], status: object, versions: object
) -> None:
    import json  # noqa: PLC0415 - orjson refuses the integers that a stranger may send

    body = json.dumps({"files": entries, "project-status": status, "versions": versions}).encode("utf-8", "replace")
    try:
        page = parse_page(body, JSON_TYPE, name=NAME, url=URL, max_files=100)
    except NotAPage:
        return

    for file in page.files:
        assert check_filename(file.filename) == file.filename
        assert file.url.startswith(("http://", "https://"))


@given(st.text(max_size=300))
def test_any_text_is_a_page_or_refused(text: str) -> None:
    try:
        page = html_page(f"{text}<a href='demo-1.0.tar.gz'>x</a>")
    except NotAPage:
        return

    assert all(file.url.startswith(("http://", "https://")) for file in page.files)


@pytest.mark.parametrize("piece", [b'<a href="', b"<a ", b"<!--", b"<![", b"<?", b"</a ", b"<a x='", b"&", b"x "])
def test_html_that_has_no_end_is_refused_soon(piece: bytes) -> None:
    body = b"<a " + piece * (2_000_000 // len(piece))
    began = time.thread_time()

    with pytest.raises(NotAPage):
        parse_page(body, "text/html", name=NAME, url=URL, max_files=100)

    assert time.thread_time() - began < 2  # of the processor; a thousand times of that without a bound


def test_html_that_takes_too_long_is_refused() -> None:
    late = iter([False, False, True])
    body = b"<p>Links for demo</p>" * 10_000

    with pytest.raises(NotAPage, match="too long"):
        parse_page(body, "text/html", name=NAME, url=URL, max_files=100, is_late=lambda: next(late))
