"""What Curdling's clients ask, and what they make of the answers."""

from __future__ import annotations

import pytest

from tests.doubles.distributions import Distribution, wheel
from tests.doubles.pushing import push
from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth

OLD, NEW, COMING = (wheel("gherkin", version) for version in ("0.1.0", "0.10.0", "1.0b1"))
NATIVE = wheel("gherkin", "0.10.0", tag="cp311-cp311-linux_x86_64")
MANY = wheel("gherkin", "0.10.0", tag="cp311-cp311-manylinux_2_17_x86_64")


@pytest.fixture
def full(hub: RunningHub, alice: Auth) -> RunningHub:
    """A hub with several versions of a project, and one of another."""
    for made in (NATIVE, MANY, NEW, OLD, COMING, wheel("For.get_it", "1.0")):
        assert push(hub, made, alice).status_code == 200
    return hub


def test_the_list_has_the_names_of_all_projects(full: RunningHub) -> None:
    answer = full.get("/w/api/")

    assert answer.json() == ["for-get-it", "gherkin"]
    assert answer.headers["content-type"] == "application/json"


def test_the_list_without_its_slash_leads_there(full: RunningHub) -> None:
    answer = full.get("/w/api")

    assert (answer.status_code, answer.headers["location"]) == (301, "api/")


def test_a_project_tells_its_versions_and_where_their_wheels_are(full: RunningHub) -> None:
    told = full.get("/w/api/gherkin").json()

    assert [(each["name"], each["version"]) for each in told] == [
        ("gherkin", "1.0b1"),
        ("gherkin", "0.10.0"),
        ("gherkin", "0.1.0"),
    ]
    assert told[2]["urls"] == [{"url": f"{full.base}/w/p/{OLD.filename}", "sha256": OLD.sha256}]


def test_the_first_address_is_of_the_wheel_that_most_machines_can_use(full: RunningHub) -> None:
    urls = full.get("/w/api/gherkin").json()[1]["urls"]

    assert [url["url"].rpartition("/")[2] for url in urls] == [NEW.filename, MANY.filename, NATIVE.filename]
    assert full.client.get(urls[0]["url"]).content == NEW.content


@pytest.mark.parametrize("spelling", ["for-get-it", "For.get_it", "FOR_GET_IT"])
def test_a_project_is_found_under_every_spelling(full: RunningHub, spelling: str) -> None:
    assert full.get(f"/w/api/{spelling}").json()[0]["name"] == "for-get-it"


@pytest.mark.parametrize("name", ["nothing", "not%20a%20name", "%2e%2e"])
def test_an_unknown_project_is_not_found(full: RunningHub, name: str) -> None:
    answer = full.get(f"/w/api/{name}")

    assert (answer.status_code, answer.json()) == (404, {"status": "error"})


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("gherkin", NEW),
        ("Gherkin%20(%3E=0.1)", NEW),
        ("gherkin==0.1.0", OLD),
        ("gherkin%3C0.5;whl", OLD),
        ("gherkin%3E=1.0b1", COMING),
        ("gherkin;~gz", NEW),
    ],
)
def test_a_search_brings_the_newest_that_fits(full: RunningHub, query: str, found: Distribution) -> None:
    answer = full.get(f"/w/s/{query}")

    assert answer.content == found.content
    assert answer.headers["content-disposition"] == f'attachment; filename="{found.filename}"'


@pytest.mark.parametrize("query", ["nothing", "gherkin==9", "gherkin;gz", "gherkin;~whl"])
def test_a_search_that_nothing_fits_says_so(full: RunningHub, query: str) -> None:
    answer = full.get(f"/w/s/{query}")

    assert (answer.status_code, answer.text) == (404, "package not found\n")


@pytest.mark.parametrize("query", ["%3E=1", "gherkin%20%3E", "gherkin;%C3%A9", "a%20b"])
def test_a_search_that_nobody_understands_says_so(full: RunningHub, query: str) -> None:
    answer = full.get(f"/w/s/{query}")

    assert answer.status_code == 400
    assert answer.text.startswith("your query is wrong: ")


@pytest.mark.parametrize("name", ["nothing-1.0-py3-none-any.whl", "..", "%00", "gherkin-0.1.0.tar.gz"])
def test_a_wheel_that_is_not_here_is_not_found(full: RunningHub, name: str) -> None:
    assert full.get(f"/w/p/{name}").status_code in {400, 404}


def test_a_download_can_be_resumed_and_asked_for_conditionally(full: RunningHub) -> None:
    whole = full.get(f"/w/p/{NEW.filename}")
    part = full.get(f"/w/p/{NEW.filename}", Range="bytes=100-")
    same = full.get(f"/w/p/{NEW.filename}", If_None_Match=whole.headers["etag"])

    assert (part.status_code, part.content) == (206, NEW.content[100:])
    assert (same.status_code, same.content) == (304, b"")


@pytest.mark.parametrize("path", ["/w/api/gherkin", f"/w/p/{NEW.filename}", "/w/s/gherkin"])
def test_other_methods_are_refused(full: RunningHub, path: str) -> None:
    assert full.client.delete(full.base + path).status_code == 405
