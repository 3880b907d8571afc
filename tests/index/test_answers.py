"""Answers that are made once: for how long they are taken, how many of them there are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from creamery.index.answers import MOST_WAYS, Answer, remember, remembered
from creamery.index.catalog import Entry
from tests.doubles.running import RunningHub

JSON = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def entry() -> Entry:
    """A project's entry, of which nothing counts here but where answers hang."""
    return cast("Entry", SimpleNamespace(answers={}))


def made(seconds: int) -> Answer:
    return Answer.make(b"page", [(b"vary", b"Accept")], [(b"content-type", b"text/html")], '"e"', seconds)


def test_an_answer_is_for_its_way_of_asking_and_its_second(entry: Entry) -> None:
    answer = made(60)
    remember(entry, (b"", b"text/html", b"gzip"), answer)

    assert remembered(entry, (b"", b"text/html", b"gzip"), 60) is answer
    assert remembered(entry, (b"", b"text/html", b"gzip"), 59) is None  # its headers say 60
    assert remembered(entry, (b"", b"text/html", None), 60) is None
    assert remembered(entry, (b"format=json", b"text/html", b"gzip"), 60) is None


def test_ways_of_asking_are_bounded(entry: Entry) -> None:
    for way in range(10 * MOST_WAYS):
        remember(entry, (b"%d" % way, None, None), made(60))

        assert len(entry.answers) <= MOST_WAYS


def test_a_remembered_answer_is_the_same_but_for_its_age(relaxed_hub: RunningHub) -> None:
    first, second, other = (
        relaxed_hub.get("/simple/demo/", accept=accept, accept_encoding="identity")
        for accept in (JSON, JSON, "text/html")
    )

    def stable(headers: dict[str, str]) -> dict[str, str]:
        return {key: headers[key] for key in headers if key not in {"date", "cache-control", "x-request-id", "age"}}

    assert second.content == first.content != other.content
    assert stable(dict(second.headers)) == stable(dict(first.headers))
    assert relaxed_hub.get("/simple/demo/", accept=JSON, if_none_match=first.headers["etag"]).status_code == 304
