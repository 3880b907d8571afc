"""What listings look like (RFC 4918 sections 9.1, 13 and 15), read back with another XML parser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from email.utils import formatdate
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.hive.dav import dates
from creamery.hive.dav.bodies import Propfind
from creamery.hive.dav.multistatus import END, HEAD, Answer, Entry, Multistatus, propstat, response, status
from creamery.hive.dav.properties import LIVE, active_lock
from creamery.hive.etags import file_etag, folder_etag
from creamery.hive.media_types import media_type_of
from creamery.hive.names import NameRefused, check_name

FILE = Entry(10, "a.txt", 2, 5, 3, 0, 1_700_000_000_999_999, 1_600_000_000_123_456, None, 0)
FOLDER = Entry(11, "docs", 1, 0, 0, 255, 1_700_000_000_000_000, 1_600_000_000_000_000, None, 0)
PLAIN = Answer("e5", 7)
FULL = Answer(
    "e5", 7, quota_used=10, quota_available=20, sync_token="urn:s:1", principal="/p/me/", owner="/p/you/",
    privileges=("read", "write-content"),
)  # fmt: skip
CHEAP = {
    "creationdate", "displayname", "getetag", "getlastmodified", "resourcetype", "supportedlock", "lockdiscovery",
}  # fmt: skip
OF_FILES = {"getcontentlength", "getcontenttype"}
DEAR = {
    "quota-used-bytes", "quota-available-bytes", "sync-token", "supported-report-set", "current-user-principal",
    "current-user-privilege-set", "owner",
}  # fmt: skip

XML_SPACE = "{http://www.w3.org/XML/1998/namespace}space"

Told = dict[str, dict[str, ET.Element]]


def dav(*locals_: str) -> tuple[str, ...]:
    return tuple(f"{{DAV:}}{local}" for local in locals_)


def read(pieces: Iterable[bytes]) -> list[tuple[str, Told]]:
    """Each response's href, and its properties by status and name."""
    found = []
    for each in ET.fromstring(b"".join([HEAD, *pieces, END])):
        assert each.tag == "{DAV:}response"
        told: Told = {}
        for group in each.findall("{DAV:}propstat"):
            line = group.findtext("{DAV:}status") or ""
            properties = group.find("{DAV:}prop")
            assert properties is not None
            assert line not in told
            told[line] = {element.tag: element for element in properties}
            assert len(told[line]) == len(properties)
        found.append((each.findtext("{DAV:}href") or "", told))
    return found


def one(ask: Propfind, entry: Entry, answer: Answer = PLAIN, *, minimal: bool = False, **more: object) -> Told:
    ((_, told),) = read(Multistatus(ask, answer, minimal=minimal).members("/dav/", [entry], **more))  # type: ignore[arg-type]
    return told


def texts(told: Told, line: str = "HTTP/1.1 200 OK") -> Mapping[str, str]:
    return {name.removeprefix("{DAV:}"): element.text or "" for name, element in told.get(line, {}).items()}


def missing(told: Told) -> set[str]:
    return set(told.get("HTTP/1.1 404 Not Found", {}))


def test_a_file_has_its_values() -> None:
    told = one(Propfind("prop", tuple(LIVE)), FILE, FULL)

    assert texts(told) == {
        "creationdate": "2020-09-13T12:26:40Z",
        "displayname": "a.txt",
        "getcontentlength": "5",
        "getcontenttype": "text/plain",
        "getetag": file_etag(10, 3, "e5"),
        "getlastmodified": "Tue, 14 Nov 2023 22:13:20 GMT",
        "resourcetype": "",
        "supportedlock": "",
        "lockdiscovery": "",
        "current-user-principal": "",
        "current-user-privilege-set": "",
        "owner": "",
    }
    assert missing(told) == set(dav("quota-used-bytes", "quota-available-bytes", "sync-token", "supported-report-set"))
    assert file_etag(10, 3, "e5") == '"ca-3-e5"'


@pytest.mark.parametrize("kind", [1, 3])
def test_a_folder_and_a_mount_have_theirs(kind: int) -> None:
    told = one(Propfind("prop", tuple(LIVE)), FOLDER._replace(kind=kind), FULL)
    found = told["HTTP/1.1 200 OK"]

    assert texts(told) == {
        "creationdate": "2020-09-13T12:26:40Z",
        "displayname": "docs",
        "getetag": folder_etag(11, 7, 255, "e5"),
        "getlastmodified": "Tue, 14 Nov 2023 22:13:20 GMT",
        "resourcetype": "",
        "supportedlock": "",
        "lockdiscovery": "",
        "quota-used-bytes": "10",
        "quota-available-bytes": "20",
        "sync-token": "urn:s:1",
        "supported-report-set": "",
        "current-user-principal": "",
        "current-user-privilege-set": "",
        "owner": "",
    }
    assert missing(told) == set(dav("getcontentlength", "getcontenttype"))
    assert found["{DAV:}resourcetype"].find("{DAV:}collection") is not None
    assert found["{DAV:}supported-report-set"].find(".//{DAV:}sync-collection") is not None
    assert found["{DAV:}current-user-principal"].findtext("{DAV:}href") == "/p/me/"
    assert found["{DAV:}owner"].findtext("{DAV:}href") == "/p/you/"
    assert [each[0].tag for each in found["{DAV:}current-user-privilege-set"]] == list(dav("read", "write-content"))
    assert folder_etag(11, 7, 255, "e5") == '"tb-7-ff-e5"'


def test_allprop_leaves_out_what_is_dear_unless_it_is_included() -> None:
    everything = Propfind("allprop")
    included = Propfind("allprop", (), (*dav("owner", "getetag", "quota-used-bytes"), "{urn:x}y"))

    assert set(texts(one(everything, FILE, FULL))) == CHEAP | OF_FILES
    assert set(texts(one(everything, FOLDER, FULL))) == CHEAP
    assert missing(one(everything, FOLDER, FULL)) == set()
    assert set(texts(one(included, FOLDER, FULL))) == CHEAP | {"owner", "quota-used-bytes"}
    assert missing(one(included, FOLDER, FULL)) == {"{urn:x}y"}
    assert missing(one(included, FILE, FULL)) == {"{urn:x}y", "{DAV:}quota-used-bytes"}


def test_propname_has_names_without_values() -> None:
    dead = {10: {"{urn:x}y": '<p:y xmlns:p="urn:x">value</p:y>', "z": "<z>v</z>"}}

    told = one(Propfind("propname"), FILE, FULL, dead=dead)

    assert set(texts(told)) == CHEAP | OF_FILES | {"current-user-principal", "current-user-privilege-set", "owner"} | {
        "{urn:x}y",
        "z",
    }
    assert all(not element.text and not len(element) for element in told["HTTP/1.1 200 OK"].values())
    assert set(texts(one(Propfind("propname"), FOLDER, FULL))) == CHEAP | DEAR


def test_what_is_unknown_comes_back_in_its_own_namespace_or_not_at_all() -> None:
    ask = Propfind("prop", (*dav("getetag", "nonsense"), '{urn:<&">}x', "plain", "{urn:x}é", XML_SPACE))

    assert missing(one(ask, FILE)) == {"{DAV:}nonsense", '{urn:<&">}x', "plain", "{urn:x}é", XML_SPACE}
    assert set(one(ask, FILE, minimal=True)) == {"HTTP/1.1 200 OK"}


def test_a_response_has_a_propstat_even_where_there_is_nothing() -> None:
    nothing = Propfind("prop", ("{urn:x}y",))

    assert set(one(nothing, FILE)) == {"HTTP/1.1 404 Not Found"}
    assert one(nothing, FILE, minimal=True) == {"HTTP/1.1 200 OK": {}}
    assert one(Propfind("prop"), FILE) == {"HTTP/1.1 200 OK": {}}


def test_dead_properties_are_given_back_as_they_are_kept() -> None:
    kept = '<p:y xmlns:p="urn:x" xml:lang="en">a &amp; {id}<p:z/></p:y>'
    dead = {10: {"{urn:x}y": kept, "{urn:x}other": '<other xmlns="urn:x"/>'}}
    ask = Propfind("prop", ("{urn:x}y", "{urn:x}missing"))

    with_it, without = (b"".join(Multistatus(ask, PLAIN).members("/", [row], dead)) for row in (FILE, FOLDER))
    everything = one(Propfind("allprop"), FILE, dead=dead)

    assert kept.encode() in with_it
    assert missing(one(ask, FILE, dead=dead)) == {"{urn:x}missing"}
    assert kept.encode() not in without
    assert missing(one(ask, FOLDER, dead=dead)) == {"{urn:x}y", "{urn:x}missing"}
    assert {"{urn:x}y", "{urn:x}other"} <= set(texts(everything))


def test_locks_are_told_of_each_row_and_offered_where_one_may_write() -> None:
    lock = active_lock(
        "urn:uuid:1", is_exclusive=True, is_infinite=False, owner='<d:owner xmlns:d="DAV:">me</d:owner>', seconds=60,
        root="/dav/a&b.txt",
    )  # fmt: skip
    ask = Propfind("prop", dav("lockdiscovery", "supportedlock"))

    locked = one(ask, FILE, locks={10: lock}.get)["HTTP/1.1 200 OK"]
    readable = one(ask, FILE, Answer("e", 1, is_writable=False))["HTTP/1.1 200 OK"]

    (active,) = locked["{DAV:}lockdiscovery"]
    assert [child.tag.removeprefix("{DAV:}") for child in active] == [
        "lockscope", "locktype", "depth", "owner", "timeout", "locktoken", "lockroot",
    ]  # fmt: skip
    assert active.findtext("{DAV:}lockroot/{DAV:}href") == "/dav/a&b.txt"
    assert active.findtext("{DAV:}locktoken/{DAV:}href") == "urn:uuid:1"
    assert len(locked["{DAV:}supportedlock"]) == 2
    assert len(readable["{DAV:}supportedlock"]) == 0


@pytest.mark.parametrize(
    ("entry", "href", "told"),
    [
        (FILE, "/dav/A%20b&c.txt", "/dav/A%20b&c.txt"),
        (FOLDER, "/dav/docs/", "/dav/docs/"),
        (FOLDER, "/dav/docs", "/dav/docs/"),
        (FOLDER._replace(name=""), "/", "/"),
    ],
)
def test_what_was_asked_is_told_at_the_address_it_was_asked_at(entry: Entry, href: str, told: str) -> None:
    piece = Multistatus(Propfind("prop", dav("getetag")), PLAIN).itself(href, entry)

    assert [found for found, _ in read([piece])] == [told]


def test_every_document_has_the_prefix_that_joplin_looks_for() -> None:
    piece = b"".join(Multistatus(Propfind("allprop"), FULL).members("/dav/", [FILE, FOLDER]))

    assert HEAD.endswith(b'<d:multistatus xmlns:d="DAV:">')
    assert piece.count(b"<d:response>") == 2
    assert b"<D:" not in piece


def test_a_long_listing_comes_in_pieces() -> None:
    rows = [FILE._replace(id=number, name=f"{number}.txt") for number in range(1_000)]

    pieces = list(Multistatus(Propfind("allprop"), PLAIN).members("/dav", rows))

    assert len(pieces) > 5
    assert all(len(piece) < 80_000 for piece in pieces)
    assert [href for href, _ in read(pieces)] == [f"/dav/{number}.txt" for number in range(1_000)]


def is_name(name: str) -> bool:
    try:
        return bool(check_name(name))
    except NameRefused:
        return False


NAMES = st.text(min_size=1, max_size=30).filter(is_name) | st.sampled_from(
    ["{id}", "'''", "\\", "{{", '"', "]]>", "<d:response>", "&amp;", "%41", "a b", "\N{HONEY POT}", "~!$&'()*+,;=:@"]
)


@given(st.lists(NAMES, min_size=1, max_size=5), st.sampled_from([1, 2]), st.text(max_size=20))
def test_no_name_and_no_media_type_breaks_a_listing(names: list[str], kind: int, media_type: str) -> None:
    rows = [FILE._replace(name=name, kind=kind, media_type=media_type) for name in names]

    found = read(Multistatus(Propfind("allprop"), PLAIN).members("/d&v/", rows))

    assert [texts(told)["displayname"] for _, told in found] == names
    assert [unquote(href, errors="strict").removeprefix("/d&v/").removesuffix("/") for href, _ in found] == names


@given(st.lists(st.tuples(st.sampled_from(["DAV:", "urn:{id'''", 'u&<"', ""]), st.sampled_from("xyz")), max_size=4))
def test_no_name_of_a_property_becomes_a_part_of_the_program(asked: list[tuple[str, str]]) -> None:
    names = tuple(dict.fromkeys(f"{{{namespace}}}{local}" if namespace else local for namespace, local in asked))

    assert missing(one(Propfind("prop", names), FILE)) == set(names)


@given(st.integers(0, 250_000_000_000_000_000))
def test_a_date_is_as_the_library_writes_it(microseconds: int) -> None:
    assert dates.http_date(microseconds) == formatdate(microseconds // 1_000_000, usegmt=True)
    told = texts(one(Propfind("prop", dav("getlastmodified")), FILE._replace(mtime=microseconds)))
    assert told == {"getlastmodified": dates.http_date(microseconds)}


@pytest.mark.parametrize(("microseconds", "year"), [(-1, "1969"), (-(10**20), "0001"), (10**20, "9999")])
def test_a_date_that_no_calendar_has_is_one_at_its_end(microseconds: int, year: str) -> None:
    assert f" {year} " in dates.http_date(microseconds)


def test_the_days_that_are_remembered_are_bounded() -> None:
    days = dates.Days(str)

    assert {len(days[day]) for day in range(5_000)} == {10}
    assert len(days) <= 4_096


def test_responses_beside_listings_are_made_of_parts() -> None:
    changed = response("/a&b", propstat("<d:x/>") + propstat('<x1:y xmlns:x1="u"/>', "424 Failed Dependency"))
    gone = response("/gone", status("404 Not Found"))

    document = ET.fromstring(HEAD + changed + gone + END)

    assert [each.findtext("{DAV:}href") for each in document] == ["/a&b", "/gone"]
    assert [each.text for each in document.iter("{DAV:}status")] == [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 424 Failed Dependency",
        "HTTP/1.1 404 Not Found",
    ]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.TXT", "text/plain"), ("a.tar.gz", "application/gzip"), ("README.md", "text/markdown")]
)
def test_a_media_type_follows_the_suffix(name: str, kind: str) -> None:
    assert media_type_of(name) == kind
    assert texts(one(Propfind("prop", dav("getcontenttype")), FILE._replace(name=name))) == {"getcontenttype": kind}


def test_what_has_no_known_suffix_is_bytes() -> None:
    assert {media_type_of(name) for name in ("a", "txt", ".hidden", "a.", "a.nonsense")} == {"application/octet-stream"}
