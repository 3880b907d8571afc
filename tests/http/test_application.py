"""What surrounds every request: its id, its line, its figures, and what errors look like."""

from __future__ import annotations

import json

import pytest

from creamery.http import Proxies
from tests.doubles.toy import routes
from tests.doubles.wired import Wired


def test_a_request_has_one_line_with_its_id(toy: Wired) -> None:
    answer = toy.get("/page?token=secret", user_agent="pip/26", x_request_id="abc-1")

    line = toy.lines()[-1]
    assert answer.headers["x-request-id"] == "abc-1"
    assert {**line, "timestamp": 0, "seconds": 0} == {
        "timestamp": 0,
        "level": "info",
        "event": "request",
        "id": "abc-1",
        "method": "GET",
        "path": "/page",
        "status": 200,
        "bytes": 4,
        "seconds": 0,
        "client": "127.0.0.1",
        "agent": "pip/26",
        "door": "toy",
        "cache": "hit",
    }


@pytest.mark.parametrize("asked", ["a b", "x" * 65, "<script>", ""])
def test_an_id_that_could_do_harm_is_replaced(toy: Wired, asked: str) -> None:
    assert toy.get("/page", x_request_id=asked).headers["x-request-id"] not in {asked, ""}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/problem+json"),
        ("application/vnd.pypi.simple.v1+json, text/html;q=0.01", "text/html; charset=utf-8"),
        ("application/json", "application/problem+json"),
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("image/png", "application/problem+json"),
    ],
)
def test_a_problem_is_said_in_the_form_that_is_accepted(toy: Wired, accept: str, media_type: str) -> None:
    answer = toy.get("/fail/problem", accept=accept)

    assert answer.status == 418
    assert answer.headers["content-type"] == media_type
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert b"\0" not in answer.body
    assert b"Make tea." in answer.body
    assert (b"<b>" in answer.body) == ("html" not in media_type)


def test_an_unforeseen_error_tells_only_its_id(toy: Wired) -> None:
    answer = toy.get("/fail/other")

    document = json.loads(answer.body)
    assert document["status"] == 500
    assert document["instance"] == f"urn:request:{answer.headers['x-request-id']}"
    assert b"secret" not in answer.body


def test_a_full_disk_is_507(toy: Wired) -> None:
    answer = toy.get("/fail/full")

    assert answer.status == 507
    assert b"secret" not in answer.body


def test_a_header_cannot_be_smuggled_into_an_answer(toy: Wired) -> None:
    answer = toy.get("/fail/header")

    assert answer.status == 500
    assert "set-cookie" not in answer.headers


def test_a_request_that_has_passed_here_is_a_loop(toy: Wired) -> None:
    assert toy.get("/page", via="1.1 other, 1.1 creamery-here").status == 508
    assert toy.get("/page", via="1.1 creamery-there").status == 200


def test_requests_are_counted(toy: Wired) -> None:
    def counted() -> float:
        labels = {"door": "toy", "method": "GET", "status": "200"}
        return toy.telemetry.registry.get_sample_value("creamery_http_requests_total", labels) or 0

    before = counted()
    toy.get("/page")

    assert counted() == before + 1


def test_a_streamed_answer_is_put_together(toy: Wired) -> None:
    assert toy.get("/stream").body == b"onetwo"


def test_only_trusted_proxies_are_believed(toy: Wired, tmp_path_factory: pytest.TempPathFactory) -> None:
    forwarded = {
        "x_forwarded_for": "6.6.6.6, 1.2.3.4, 10.0.0.9",
        "x_forwarded_proto": "https",
        "x_forwarded_host": "hub.example",
    }

    with Wired(routes(tmp_path_factory.mktemp("behind")), Proxies(["127.0.0.1", "10.0.0.0/8"])) as behind:
        assert behind.get("/who", **forwarded).body == b"1.2.3.4 https://hub.example"
        assert behind.get("/who", x_forwarded_for="nonsense, 10.0.0.9").body == b"10.0.0.9 http://hub"
        zoned = f"fe80::1%{'a' * 70}, 10.0.0.9"  # longer than the journal's column
        assert behind.get("/who", x_forwarded_for=zoned).body == b"10.0.0.9 http://hub"
    assert toy.get("/who", **forwarded).body == b"127.0.0.1 http://hub"
