"""Pages: formats, names, redirects, errors (PEP 503, 691, 700, 714, 792, 833)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import zstandard

from creamery.index.simple import CONTENT_TYPES
from tests.doubles.running import JSON, RunningHub
from tests.doubles.upstream import Upstream, say


def test_a_page_in_json_has_every_field_of_api_1_4(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("demo", "2.0", requires_python=">=3.9", yanked="broken", provenance="https://example.org/p")

    page = hub.page("demo")

    newest = page["files"][-1]
    assert page["meta"] == {"api-version": "1.4", "_last-serial": 1}
    assert page["name"] == "demo"
    assert page["versions"] == ["1.0", "1.1", "2.0"]
    assert page["project-status"] == {"status": "active"}
    assert newest["filename"] == made.filename
    assert newest["url"] == f"../../i/demo/{made.filename}"
    assert newest["hashes"] == {"sha256": made.sha256}
    assert newest["size"] == len(made.content)
    assert newest["requires-python"] == ">=3.9"
    assert newest["yanked"] == "broken"
    assert newest["upload-time"] == "2024-01-02T03:04:05.000000Z"
    assert newest["provenance"] == "https://example.org/p"
    assert re.fullmatch("[0-9a-f]{64}", newest["core-metadata"]["sha256"])


def test_a_page_in_html_stays_at_1_4_and_escapes_what_upstream_says(hub: RunningHub, upstream: Upstream) -> None:
    made = upstream.add("demo", "2.0", requires_python=">=3.9", yanked='"><script>')

    response = hub.get("/simple/demo/", accept=CONTENT_TYPES["html"])

    assert response.headers["content-type"] == CONTENT_TYPES["html"]
    assert '<meta name="pypi:repository-version" content="1.4">' in response.text
    assert f'href="../../i/demo/{made.filename}#sha256={made.sha256}"' in response.text
    assert 'data-requires-python="&gt;=3.9"' in response.text
    assert 'data-yanked="&quot;&gt;&lt;script&gt;"' in response.text
    assert "<script>" not in response.text
    assert f">{made.filename}</a>" in response.text


@pytest.mark.parametrize(
    ("accept", "query", "expected"),
    [
        (None, "", "text/html; charset=utf-8"),
        ("*/*", "", "text/html; charset=utf-8"),
        (JSON, "", JSON),
        ("application/vnd.pypi.simple.latest+json", "", JSON),
        (f"{JSON}, */*;q=0.1", "", JSON),
        (f"{JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01", "", JSON),
        (f"{JSON};q=0.1, text/html", "", "text/html; charset=utf-8"),
        (f"{JSON};q=0, */*;q=0.1", "", CONTENT_TYPES["html"]),
        ("application/vnd.pypi.simple.latest+html, */*;q=0.1", "", CONTENT_TYPES["html"]),
        ("text/html", f"?format={JSON.replace('+', '%2B')}", JSON),
        ("text/html", f"?format={JSON}", JSON),
        ("text/html", f"?a=b&format={JSON}", JSON),
        (JSON, "?format=text/html", "text/html; charset=utf-8"),
    ],
)
def test_the_format_follows_accept_with_its_weights_and_the_format_parameter(
    shared_hub: RunningHub, accept: str | None, query: str, expected: str
) -> None:
    response = shared_hub.get(f"/simple/demo/{query}", **({} if accept is None else {"accept": accept}))

    assert response.status_code == 200
    assert response.headers["content-type"] == expected
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    assert "date" in response.headers


@pytest.mark.parametrize(("accept", "query"), [("image/png", ""), ("text/html;q=0", ""), ("*/*", "?format=text/csv")])
def test_what_is_not_acceptable_is_told_with_what_there_is(shared_hub: RunningHub, accept: str, query: str) -> None:
    response = shared_hub.get(f"/simple/demo/{query}", accept=accept)

    assert response.status_code == 406
    assert response.headers["content-type"] == "application/problem+json"
    assert JSON in response.json()["remedy"]


@pytest.mark.parametrize("view", ["simple", "i"])
def test_both_views_send_the_same_page_with_the_same_file_addresses(shared_hub: RunningHub, view: str) -> None:
    page = shared_hub.get(f"/{view}/demo/", accept=JSON)
    file = shared_hub.client.get(page.request.url.join(page.json()["files"][0]["url"]))

    assert page.content == shared_hub.get("/simple/demo/", accept=JSON).content
    assert file.status_code == 200
    assert str(file.request.url) == f"{shared_hub.base}/i/demo/demo-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/simple/Demo", "demo/"),
        ("/simple/demo", "demo/"),
        ("/simple/De_._Mo/", "../de-mo/"),
        ("/i/DEMO/?format=text/html", "../demo/?format=text/html"),
        ("/i/Demo/demo-1.0-py3-none-any.whl", "../demo/demo-1.0-py3-none-any.whl"),
        ("/i/Demo/demo-1.0-py3-none-any.whl.metadata", "../demo/demo-1.0-py3-none-any.whl.metadata"),
        ("/simple", "simple/"),
    ],
)
def test_other_spellings_take_one_redirect(
    shared_hub: RunningHub, shared_upstream: Upstream, path: str, location: str
) -> None:
    shared_upstream.forget()

    response = shared_hub.get(path)

    assert (response.status_code, response.headers["location"]) == (301, location)
    assert shared_upstream.count() == 0


def test_bandersnatch_gets_the_list_of_projects_without_a_slash(hub: RunningHub) -> None:
    hub.page("demo")
    hub.page("dep")

    response = hub.get("/simple", accept=JSON)

    assert response.status_code == 200
    serials = [{"name": "demo", "_last-serial": 1}, {"name": "dep", "_last-serial": 2}]
    assert response.json() == {"meta": {"api-version": "1.4", "_last-serial": 2}, "projects": serials}


def test_the_list_in_html_leads_to_the_pages(hub: RunningHub) -> None:
    hub.page("demo")

    response = hub.get("/simple/")

    assert '<a href="demo/">demo</a>' in response.text


def test_a_quarantined_project_lists_nothing_and_says_so(hub: RunningHub, upstream: Upstream) -> None:
    upstream.set_status("demo", "quarantined", "malware")

    page = hub.page("demo")
    html = hub.get("/simple/demo/").text

    assert page["files"] == []
    assert page["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert '<meta name="pypi:project-status" content="quarantined">' in html
    assert '<meta name="pypi:project-status-reason" content="malware">' in html


@pytest.mark.parametrize("is_served", [False, True])
def test_of_a_quarantined_project_nothing_more_is_fetched_and_the_copies_are_served_where_that_is_set(
    tmp_path: Path, upstream: Upstream, *, is_served: bool
) -> None:
    settings = {"upstreams": [upstream.url], "quarantined_upstream": "serve" if is_served else "withhold"}
    with RunningHub(tmp_path, index=settings) as hub:
        here, other = hub.files("demo")
        content = hub.download("demo", here)
        upstream.set_status("demo", "quarantined", "malware")
        page = hub.page("demo")
        copy = hub.get(f"/i/demo/{here}")

        if is_served:
            yanked = "quarantined upstream; the copy that is here is still served"
            assert [(file["filename"], file["yanked"]) for file in page["files"]] == [(here, yanked)]
            assert copy.content == content
        else:
            assert page["files"] == []
            assert (copy.status_code, "quarantined upstream: malware" in copy.json()["detail"]) == (404, True)
        assert page["project-status"] == {"status": "quarantined", "reason": "malware"}
        assert hub.get(f"/i/demo/{other}").status_code == 404
        assert hub.get(f"/i/demo/{other}.metadata").status_code == 404
        assert upstream.count(upstream.path_of(other)) == 0


def test_the_hubs_address_leads_to_what_it_has(shared_hub: RunningHub) -> None:
    response = shared_hub.get("/")

    assert (response.status_code, response.headers["location"]) == (302, "simple/")


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_each_encoding_is_the_same_page_with_an_etag_of_its_own(shared_hub: RunningHub, encoding: str) -> None:
    plain = shared_hub.get("/simple/demo/", accept=JSON)
    with shared_hub.client.stream(
        "GET", shared_hub.base + "/simple/demo/", headers={"Accept": JSON, "Accept-Encoding": encoding}
    ) as response:
        raw = b"".join(response.iter_raw())

    unpackers: dict[str, Callable[[bytes], bytes]] = {
        "identity": bytes,
        "gzip": gzip.decompress,
        "zstd": zstandard.decompress,
    }
    assert unpackers[encoding](raw) == plain.content
    assert response.headers["etag"].endswith(f'-{encoding}"')
    assert response.headers.get("content-encoding", "identity") == encoding


def test_a_client_that_has_the_page_gets_304(shared_hub: RunningHub) -> None:
    first = shared_hub.get("/simple/demo/", accept=JSON)

    again = shared_hub.get("/simple/demo/", accept=JSON, If_None_Match=first.headers["etag"])
    other = shared_hub.get("/simple/demo/", If_None_Match=first.headers["etag"])

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/simple/no-such-project/",
        "/i/no-such-project/x-1.0.tar.gz",
        "/i/demo/demo-9.9.tar.gz",
        "/i/demo/demo-9.9-py3-none-any.whl.metadata",
    ],
)
def test_what_nobody_has_is_404(shared_hub: RunningHub, path: str) -> None:
    response = shared_hub.get(path, accept=JSON)

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "name",
    [
        "%e2%84%aa",  # the Kelvin sign, which lower() makes a k
        "a%2fb",
        "%2e%2e",
        "..",
        "a%0ab",
        "a%00b",
        "a" * 5_000,
        "-a",
        "a%20b",
        "%ff",
        "a;b",
        "<script>",
    ],
)
@pytest.mark.parametrize("address", ["/simple/{}/", "/simple/{}", "/i/{}/x-1.0.tar.gz", "/i/demo/{}"])
def test_hostile_names_are_refused_here_and_never_asked_upstream(
    shared_hub: RunningHub, shared_upstream: Upstream, name: str, address: str
) -> None:
    shared_hub.page("demo")
    shared_upstream.forget()

    answer = shared_hub.raw(address.format(name).encode())

    assert answer.split(b" ", 2)[1] in {b"400", b"404"}
    assert b"Traceback" not in answer
    assert shared_upstream.requests() == []


def test_other_places_of_a_project_stand_on_its_page(hub: RunningHub, upstream: Upstream) -> None:
    places = {
        "meta": {"api-version": "1.4", "_last-serial": 1, "tracks": ["http://a.test/demo/"]},
        "alternate-locations": ["http://b.test/"],
    }
    upstream.misbehave("/simple/placed/", say(orjson.dumps({**places, "name": "placed", "files": []}), JSON))

    page = hub.page("placed")
    as_html = hub.get("/simple/placed/", accept="text/html").text

    assert page["meta"]["tracks"] == ["http://a.test/demo/"]
    assert page["alternate-locations"] == ["http://b.test/"]
    assert '<meta name="pypi:tracks" content="http://a.test/demo/">' in as_html
    assert '<meta name="pypi:alternate-locations" content="http://b.test/">' in as_html
    assert "tracks" not in hub.page("demo")["meta"]
