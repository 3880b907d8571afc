"""sync-collection: whoever follows the tokens has what a listing has (RFC 6578)."""

from __future__ import annotations

import random
from xml.etree import ElementTree as ET

import httpx2
import pytest

from tests.doubles.dav import Dav

BODY = (
    '<d:sync-collection xmlns:d="DAV:"><d:sync-token>{token}</d:sync-token><d:sync-level>{level}</d:sync-level>{limit}'
    "<d:prop><d:getetag/></d:prop></d:sync-collection>"
)


class Follower:
    """Keeps what it is told of a folder: hrefs with their ETags."""

    def __init__(self, dav: Dav, path: str = "/", level: str = "infinite", limit: int | None = None) -> None:
        self.dav, self.path, self.level, self.limit = dav, path, level, limit
        self.token = ""
        self.known: dict[str, str] = {}
        self.beginnings = 0

    def ask(self) -> httpx2.Response:
        """One page."""
        limit = "" if self.limit is None else f"<d:limit><d:nresults>{self.limit}</d:nresults></d:limit>"
        return self.dav("REPORT", self.path, BODY.format(token=self.token, level=self.level, limit=limit))

    def follow(self) -> int:
        """Take all pages, anew from the beginning where the hub wants that; returns how many there were."""
        pages, is_cut = 0, True
        while is_cut:
            answer = self.ask()
            if answer.status_code == 403:
                self.token, self.known = "", {}
                self.beginnings += 1
                answer = self.ask()
            assert answer.status_code == 207, answer.text
            is_cut = self._take(ET.fromstring(answer.text))
            pages += 1
        return pages

    def _take(self, document: ET.Element) -> bool:
        is_cut = False
        for response in document.iter("{DAV:}response"):
            href = response.findtext("{DAV:}href") or ""
            said = response.findtext("{DAV:}status") or ""
            if " 404 " in said:
                gone = href.rstrip("/")
                self.known = {
                    each: etag for each, etag in self.known.items() if each != gone and not each.startswith(gone + "/")
                }
            elif " 507 " in said:
                is_cut = True
            else:
                self.known.pop(href.rstrip("/") if href.endswith("/") else href + "/", None)  # it was the other kind
                self.known[href] = response.findtext(".//{DAV:}getetag") or ""
        self.token = document.findtext("{DAV:}sync-token") or ""
        return is_cut


def listed(dav: Dav, path: str = "/", depth: str = "infinity") -> set[str]:
    """What lies in a folder."""
    return {href for href in dav.found(path, depth) if href.rstrip("/") != (dav.home + path).rstrip("/")}


def test_a_follower_has_what_a_listing_has(here: Dav) -> None:
    follower, flat = Follower(here), Follower(here, level="1")
    chance = random.Random(1)
    names = ["/a", "/b", "/c", "/a/a", "/a/b", "/b/a", "/a/a/a"]
    for number in range(200):
        path, other = chance.choice(names), chance.choice(names)
        match chance.randrange(5):
            case 0:
                here("MKCOL", path)
            case 1 | 2:
                here("PUT", path, str(number))
            case 3:
                here("MOVE", path, Destination=here.base + other)
            case _:
                here("DELETE", path)
        if number % 9 == 0:
            follower.follow()
            flat.follow()
            assert set(follower.known) == listed(here)
            assert set(flat.known) == listed(here, depth="1")
    files = {href: found["{DAV:}getetag"].text for href, found in here.found("/", "infinity").items()}
    follower.follow()
    assert follower.beginnings < 12
    assert all(follower.known[href] == etag for href, etag in files.items() if not href.endswith("/"))


def test_pages_end_where_the_client_says(here: Dav) -> None:
    follower = Follower(here, limit=2)
    follower.follow()
    for number in range(5):
        here.put(f"/{number}")

    assert follower.follow() == 3
    assert set(follower.known) == listed(here)


def test_what_one_page_cannot_hold_is_said(here: Dav) -> None:
    for number in range(3):
        here.put(f"/{number}")

    answer = Follower(here, limit=2).ask()

    assert (answer.status_code, "<d:number-of-matches-within-limits/>" in answer.text) == (507, True)


@pytest.mark.parametrize("token", ["nonsense", "urn:x-creamery:sync:99:00000000:1", "opaquelocktoken:1", "data:,1"])
def test_a_token_of_somebody_else_is_refused(here: Dav, token: str) -> None:
    follower = Follower(here)
    follower.token = token

    answer = follower.ask()

    assert (answer.status_code, "<d:valid-sync-token/>" in answer.text) == (403, True)


def test_a_report_that_there_is_not_and_one_too_deep_are_refused(here: Dav) -> None:
    other = here("REPORT", "/", '<d:version-tree xmlns:d="DAV:"/>')

    assert (other.status_code, "<d:supported-report/>" in other.text) == (403, True)
    assert here("REPORT", "/", BODY.format(token="", level="1", limit=""), Depth="1").status_code == 400


def test_the_token_is_a_property_and_a_condition(here: Dav) -> None:
    ask = '<d:propfind xmlns:d="DAV:"><d:prop><d:sync-token/><d:supported-report-set/></d:prop></d:propfind>'
    token = here.found("/", "0", ask)[f"{here.home}/"]["{DAV:}sync-token"].text

    assert here("PUT", "/a", "one", If=f"<{here.base}/> (<{token}>)").status_code == 201
    assert here("PUT", "/a", "two", If=f"<{here.base}/> (<{token}>)").status_code == 412
