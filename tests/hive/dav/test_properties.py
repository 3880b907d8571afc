"""PROPPATCH, and MKCOL with properties (RFC 4918 section 9.2, RFC 5689)."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.doubles.dav import Dav
from tests.doubles.running import RunningHub

PATCH = '<d:propertyupdate xmlns:d="DAV:" xmlns:x="urn:x">{}</d:propertyupdate>'
ASK = '<d:propfind xmlns:d="DAV:" xmlns:x="urn:x"><d:prop>{}</d:prop></d:propfind>'
MKCOL = '<d:mkcol xmlns:d="DAV:" xmlns:x="urn:x"><d:set><d:prop>{}</d:prop></d:set></d:mkcol>'
XML = {"Content_Type": "application/xml"}


def set_(inner: str) -> str:
    """A change that sets."""
    return f"<d:set><d:prop>{inner}</d:prop></d:set>"


def remove(inner: str) -> str:
    """A change that removes."""
    return f"<d:remove><d:prop>{inner}</d:prop></d:remove>"


def patched(dav: Dav, path: str, *changes: str) -> dict[str, str]:
    """The status of each property that an answer tells."""
    answer = dav("PROPPATCH", path, PATCH.format("".join(changes)))
    assert answer.status_code == 207, answer.text
    return {
        element.tag: (each.findtext("{DAV:}status") or "").split(" ")[1]
        for each in ET.fromstring(answer.text).iter("{DAV:}propstat")
        for element in each.iterfind("{DAV:}prop/*")
    }


def value(dav: Dav, path: str, name: str = "<x:a/>") -> ET.Element | None:
    """One property of something; None where it is not there."""
    [found] = dav.found(path, "0", ASK.format(name)).values()
    return next(iter(found.values()), None)


def test_a_property_comes_back_as_it_was_meant(here: Dav) -> None:
    here.put("/f")
    inner = '<x:a xml:lang="de" z="1">one <y xmlns="urn:y">two</y> &amp; three</x:a>'

    assert patched(here, "/f", set_(inner)) == {"{urn:x}a": "200"}

    found = value(here, "/f")
    assert found is not None
    assert (found.text, found.get("z"), found.get("{http://www.w3.org/XML/1998/namespace}lang")) == ("one ", "1", "de")
    assert [(each.tag, each.text, each.tail) for each in found] == [("{urn:y}y", "two", " & three")]


def test_changes_are_made_in_their_order(here: Dav) -> None:
    here.put("/f")

    patched(here, "/f", set_("<x:a>1</x:a>"), remove("<x:a/>"))
    assert value(here, "/f") is None
    patched(here, "/f", remove("<x:a/>"), set_("<x:a>2</x:a>"))
    found = value(here, "/f")
    assert found is not None
    assert found.text == "2"
    assert patched(here, "/f", remove("<x:never/>")) == {"{urn:x}never": "200"}


def test_one_property_that_cannot_be_set_keeps_all_others(here: Dav) -> None:
    here.put("/f")

    told = patched(here, "/f", set_("<x:a>1</x:a>"), set_("<d:getetag>x</d:getetag>"))

    assert told == {"{urn:x}a": "424", "{DAV:}getetag": "403"}
    assert value(here, "/f") is None


def test_properties_go_where_their_file_goes(here: Dav) -> None:
    here.put("/f")
    patched(here, "/f", set_("<x:a>1</x:a>"))
    etag = here("HEAD", "/f").headers["etag"]

    here("COPY", "/f", Destination=here.base + "/copy")
    here("MOVE", "/f", Destination=here.base + "/moved")
    here.put("/moved", "other bytes")

    for path in ("/copy", "/moved"):
        found = value(here, path)
        assert found is not None
        assert found.text == "1"
    assert etag != here("HEAD", "/moved").headers["etag"]
    here("DELETE", "/moved")
    here.put("/moved")
    assert value(here, "/moved") is None


def test_a_property_moves_the_etags_of_folders_and_not_of_the_file(here: Dav) -> None:
    here.folder("/d")
    etag = here.put("/d/f").headers["etag"]
    before = here.found("/d")[f"{here.home}/d/"]["{DAV:}getetag"].text

    patched(here, "/d/f", set_("<x:a>1</x:a>"))

    assert here("HEAD", "/d/f").headers["etag"] == etag
    assert here.found("/d")[f"{here.home}/d/"]["{DAV:}getetag"].text != before


@pytest.mark.parametrize(
    "said",
    [
        "<d:getlastmodified>Sun, 13 Sep 2020 12:26:40 GMT</d:getlastmodified>",
        "<d:lastmodified>1600000000</d:lastmodified>",
        (
            '<w:Win32LastModifiedTime xmlns:w="urn:schemas-microsoft-com:">Sun, 13 Sep 2020 12:26:40 GMT'
            "</w:Win32LastModifiedTime>"
        ),
    ],
)
def test_the_time_of_change_can_be_said(here: Dav, said: str) -> None:
    here.put("/f")

    assert list(patched(here, "/f", set_(said)).values()) == ["200"]
    assert here("HEAD", "/f").headers["last-modified"] == "Sun, 13 Sep 2020 12:26:40 GMT"


def test_a_time_that_is_none_is_refused(here: Dav) -> None:
    here.put("/f")
    before = here("HEAD", "/f").headers["last-modified"]

    told = patched(here, "/f", set_("<d:getlastmodified>yesterday</d:getlastmodified>"))

    assert list(told.values()) == ["409"]
    assert here("HEAD", "/f").headers["last-modified"] == before


def test_a_folder_comes_with_properties_or_not_at_all(here: Dav) -> None:
    good = here("MKCOL", "/d", MKCOL.format("<d:resourcetype><d:collection/></d:resourcetype><x:a>1</x:a>"), **XML)
    bad = here("MKCOL", "/e", MKCOL.format("<d:resourcetype><d:collection/></d:resourcetype><d:owner/>"), **XML)
    other = here("MKCOL", "/e", MKCOL.format("<d:resourcetype><x:calendar/></d:resourcetype>"), **XML)

    assert good.status_code == 201
    found = value(here, "/d")
    assert found is not None
    assert found.text == "1"
    assert (bad.status_code, "cannot-modify-protected-property" in bad.text) == (424, True)
    assert (other.status_code, "<d:valid-resourcetype/>" in other.text) == (403, True)
    assert here.names() == ["d"]


def test_a_file_has_only_so_many_properties(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}, limits={"dav_properties": 2}) as hub:
        dav = Dav(hub)
        dav.put("/f")
        patched(dav, "/f", set_("<x:a/><x:b/>"))
        answer = dav("PROPPATCH", "/f", PATCH.format(set_("<x:c/>")))

    assert answer.status_code == 507
