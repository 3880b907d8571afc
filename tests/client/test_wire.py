"""A client's requests, over real sockets: what they send, what they bring back, what is said when nothing comes."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from creamery.client import (
    Credentials,
    Hub,
    HubAddress,
    HubError,
    HubUnreachable,
    NotAHub,
    Patience,
    Refused,
    UnusableInput,
    parse_address,
)
from creamery.client.form import Form
from tests.doubles.certificates import PEM, server_tls
from tests.doubles.loopback import Answerer, Exchange, Reply
from tests.doubles.proxy import ForwardProxy
from tests.doubles.stub_hub import StubHub

SECRET = "s3cret-of-all"
PROJECT = {"name": "acme"}
TOKEN = Credentials.of_token(SECRET, "CREAMERY_TOKEN")
QUICK = Patience(connect_seconds=2, silent_seconds=0.3, whole_seconds=0.6, answer_bytes=1_000)


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def stub() -> Iterator[StubHub]:
    with StubHub() as stub:
        yield stub


def asking(url: str, **given: Any) -> Hub:
    return Hub(parse_address(url)[0], **{"credentials": TOKEN, **given})


def test_json_goes_there_and_comes_back(stub: StubHub) -> None:
    stub.says("GET", "/index/projects/acme/explain?for=python3.12", {"files": []})
    stub.says("POST", "/index/projects/acme/yank", {"files": ["a"]})
    stub.says("PUT", "/index/reserved/acme-%2A", [1])
    stub.says("DELETE", "/index/reserved/acme-%2A")
    hub = asking(stub.url)

    assert hub.get("index", "projects", "acme", "explain", query={"for": "python3.12", "not": None}) == {"files": []}
    assert hub.post("index", "projects", "acme", "yank", body={"what": "1.0"}) == {"files": ["a"]}
    assert hub.put("index", "reserved", "acme-*") == [1]
    assert hub.delete("index", "reserved", "acme-*") is None

    assert stub.asked == [
        ("GET", "/index/projects/acme/explain?for=python3.12", None),
        ("POST", "/index/projects/acme/yank", {"what": "1.0"}),
        ("PUT", "/index/reserved/acme-%2A", None),
        ("DELETE", "/index/reserved/acme-%2A", None),
    ]
    assert stub.last.headers["authorization"] == f"Bearer {SECRET}"
    assert stub.last.headers["user-agent"].startswith("creamery/")


def test_an_answer_may_be_wanted_with_its_date(stub: StubHub) -> None:
    there = {"Content-Type": "application/json", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    stub.replies("GET", "/healthz", Reply(307, {"Location": "/health"}))
    stub.replies("GET", "/health", Reply(200, there, b"{}"))

    assert asking(stub.url).at_root().get_dated("healthz") == ({}, "Thu, 01 Jan 2026 00:00:00 GMT")
    with pytest.raises(Refused, match="There is nothing"):
        asking(stub.url).get_dated("nothing")


def test_a_hub_below_a_path_is_asked_there(stub: StubHub) -> None:
    stub.replies("GET", "/creamery/api/v1/me", Reply(200, {"Content-Type": "application/json"}, b"{}"))

    assert asking(f"{stub.url}/creamery/").get("me") == {}


def test_a_refusal_brings_the_hubs_own_words(stub: StubHub) -> None:
    stub.refuses("GET", "/me", 403, "Forbidden", "alice may not do this.", "Ask \x1b[31mroot.")

    with pytest.raises(Refused) as caught:
        asking(stub.url).get("me")

    said = caught.value
    assert (said.status, said.title, said.detail) == (403, "Forbidden", "alice may not do this.")
    assert said.remedy == "Ask  [31mroot."
    assert said.sentence == "alice may not do this."


def test_a_refusal_without_a_detail_is_a_sentence_all_the_same(stub: StubHub) -> None:
    stub.refuses("GET", "/me", 409, "Conflict")

    with pytest.raises(Refused, match=r"^The hub answers 409: Conflict\.$"):
        asking(stub.url).get("me")


@pytest.mark.parametrize("status", [200, 401, 404, 500])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<h1>Welcome</h1>"),
        ("application/json", b"{"),
        ("application/json", b'"text"'),
        ("application/json", b"[" * 900),
        ("application/problem+json", b"<h1>Welcome</h1>"),
        ("", b""),
    ],
)
def test_whatever_is_no_hub_is_told_from_one(stub: StubHub, status: int, kind: str, body: bytes) -> None:
    stub.replies("GET", "/api/v1/me", Reply(status, {"Content-Type": kind} if kind else {}, body))

    with pytest.raises(NotAHub, match=rf"does not answer as a hub does \({status}, "):
        asking(stub.url).get("me")


def test_another_programs_errors_in_json_are_no_hubs(stub: StubHub) -> None:
    stub.replies("GET", "/api/v1/me", Reply(404, {"Content-Type": "application/json"}, b'{"message": "no"}'))

    with pytest.raises(NotAHub):
        asking(stub.url).get("me")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_finds_no_hub_behind_it_is_told_as_what_it_is(stub: StubHub, status: int) -> None:
    stub.replies("GET", "/api/v1/me", Reply(status, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>"))

    with pytest.raises(HubUnreachable, match=f"answers {status}: the hub behind it is away"):
        asking(stub.url).get("me")


def test_a_hub_that_says_503_itself_has_refused(stub: StubHub) -> None:
    stub.refuses("POST", "/index/projects/acme/claim", 503, "Upstream away", "It cannot be asked.", "Reserve the name.")

    with pytest.raises(Refused, match="Reserve the name"):
        asking(stub.url).post("index", "projects", "acme", "claim")


def test_where_nobody_listens_the_sentence_says_so_and_what_to_look_at(stub: StubHub) -> None:
    url = stub.url
    stub.__exit__(None, None, None)

    with pytest.raises(HubUnreachable, match="cannot be reached: Connection refused") as caught:
        asking(url).get("me")

    assert "CREAMERY_HUB" in caught.value.remedy


def test_a_name_that_nobody_has_is_told() -> None:
    with pytest.raises(HubUnreachable, match="cannot be reached"):
        asking("http://no-such-hub.invalid").get("me")


async def _silent(exchange: Exchange) -> None:
    await exchange.gone()


async def _dripping_head(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not exchange.writer.is_closing():
        exchange.writer.write(b"x")
        await exchange.writer.drain()
        await asyncio.sleep(0.1)


async def _dripping_body(exchange: Exchange) -> None:
    exchange.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not exchange.writer.is_closing():
        exchange.writer.write(b" ")
        await exchange.writer.drain()
        await asyncio.sleep(0.1)


async def _cut(exchange: Exchange) -> None:
    exchange.reply = Reply(200, {"Content-Type": "application/json", "Content-Length": "1000"}, b"{")
    await exchange.send()
    exchange.writer.close()


async def _no_http(exchange: Exchange) -> None:
    exchange.writer.write(b"220 mail.example ESMTP\r\n")
    exchange.writer.close()


@pytest.mark.parametrize(
    ("misbehaves", "reason"),
    [
        (_silent, "it is silent"),
        (_dripping_head, "it took longer than 0.6 s"),
        (_dripping_body, "it took longer than 0.6 s"),
        (_cut, "the answer is no HTTP, or broke off"),
        (_no_http, "the answer is no HTTP, or broke off"),
    ],
)
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_no_answer_is_waited_for_without_end(
    misbehaves: Any, reason: str, monkeypatch: pytest.MonkeyPatch, *, is_encrypted: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    with StubHub(tls=server_tls() if is_encrypted else None) as stub:
        stub.instead = misbehaves

        with pytest.raises(HubUnreachable, match=f"has not answered: {reason}") as caught:
            asking(stub.url, patience=QUICK).post("index", "projects", "acme", "claim")

    assert "may have done it all the same" in caught.value.remedy


def test_an_answer_as_long_as_may_be_is_read_and_one_byte_more_is_not(stub: StubHub) -> None:
    document = json.dumps({"a": "x" * 991})
    kind = {"Content-Type": "application/json"}
    stub.replies("GET", "/api/v1/most", Reply(200, kind, document.encode()))
    stub.replies("GET", "/api/v1/more", Reply(200, kind, document.encode() + b" "))
    hub = asking(stub.url, patience=QUICK)

    assert len(document) == QUICK.answer_bytes
    assert hub.get("most") == json.loads(document)
    with pytest.raises(NotAHub, match="more than 1000 bytes"):
        hub.get("more")


@pytest.mark.parametrize(("method", "status"), [("get", 301), ("get", 302), ("get", 307), ("post", 307), ("post", 308)])
def test_a_redirect_within_the_hub_is_followed(stub: StubHub, method: str, status: int) -> None:
    stub.replies(method.upper(), "/api/v1/me", Reply(status, {"Location": "/api/v1/%41?b=%20c"}))
    stub.says(method.upper(), "/%41?b=%20c", PROJECT)

    assert getattr(asking(stub.url), method)("me") == PROJECT


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_elsewhere_is_told_and_gets_nothing(stub: StubHub, status: int) -> None:
    with StubHub() as other:
        stub.replies("GET", "/api/v1/me", Reply(status, {"Location": f"http://x:y@127.0.0.1:{other.port}/api/v1/me"}))

        with pytest.raises(NotAHub, match=rf"sends elsewhere, to http://127\.0\.0\.1:{other.port}; nothing was sent"):
            asking(stub.url).get("me")

        assert other.asked == []


@pytest.mark.parametrize("location", ["", "/api/v1/me", "https://[::1", "mailto:root"])
def test_a_redirect_that_leads_nowhere_ends(stub: StubHub, location: str) -> None:
    stub.replies("GET", "/api/v1/me", Reply(302, {"Location": location}))

    with pytest.raises(NotAHub):
        asking(stub.url).get("me")

    assert len(stub.asked) <= 6


def test_what_changes_something_is_not_sent_again_where_a_redirect_means_to_look(stub: StubHub) -> None:
    stub.replies("POST", "/api/v1/me", Reply(303, {"Location": "/api/v1/other"}))

    with pytest.raises(NotAHub, match="303"):
        asking(stub.url).post("me")

    assert len(stub.asked) == 1


@pytest.mark.parametrize("segment", ["", ".", "..", "a/b", "a\nb"])
def test_no_name_becomes_another_path(stub: StubHub, segment: str) -> None:
    with pytest.raises(UnusableInput, match="can be no name on a hub"):
        asking(stub.url).delete("index", "reserved", segment)

    assert stub.asked == []


def test_certificates_are_checked_and_the_systems_own_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with StubHub(tls=server_tls()) as stub:
        stub.says("GET", "/me", PROJECT)

        with pytest.raises(HubUnreachable, match="its certificate is not to be trusted") as caught:
            asking(stub.url).get("me")
        monkeypatch.setenv("SSL_CERT_FILE", str(PEM))

        assert "SSL_CERT_FILE" in caught.value.remedy
        assert asking(stub.url).get("me") == PROJECT


def test_a_hub_that_speaks_no_tls_is_told() -> None:
    with StubHub() as stub, pytest.raises(HubUnreachable, match="TLS fails") as caught:
        asking(stub.url.replace("http:", "https:")).get("me")

    assert "http://" in caught.value.remedy


def test_through_a_proxy_plain_http_is_handed_over_and_tls_goes_in_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    with StubHub() as plain, StubHub(tls=server_tls()) as encrypted:
        hosts = {"hub.test:80": ("127.0.0.1", plain.port), "upstream.test:443": ("127.0.0.1", encrypted.port)}
        for stub in (plain, encrypted):
            stub.says("GET", "/me", PROJECT)
        with ForwardProxy(hosts) as proxy:
            proxy.credentials = "Basic dTpw"
            for name in ("http_proxy", "https_proxy"):
                monkeypatch.setenv(name, proxy.url.replace("//", "//u:p@"))

            assert asking("http://hub.test").get("me") == PROJECT
            assert asking("https://upstream.test").get("me") == PROJECT

            asked = [(seen.method, seen.target) for seen in proxy.requests()]
            assert asked == [("GET", "http://hub.test/api/v1/me"), ("CONNECT", "upstream.test:443")]
            assert "authorization" not in proxy.requests()[1].headers
            assert "proxy-authorization" not in encrypted.last.headers


def test_the_names_of_no_proxy_and_this_machine_are_reached_without_one(
    stub: StubHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.says("GET", "/me", PROJECT)
    with ForwardProxy({"hub.test:80": ("127.0.0.1", stub.port)}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert asking(stub.url).get("me") == PROJECT
        assert asking("http://hub.test").get("me") == PROJECT

        monkeypatch.setenv("no_proxy", "test")
        with pytest.raises(HubUnreachable, match=r"^http://hub\.test cannot be reached: "):
            asking("http://hub.test").get("me")

        assert len(proxy.requests()) == 1


@pytest.mark.parametrize("proxy", ["socks5://u:s3cret-of-all@127.0.0.1:1", "https://127.0.0.1:1", "u:s3cret-of-all@:1"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(UnusableInput, match=r"proxy") as caught:
        asking("https://hub.test").get("me")

    assert SECRET not in str(caught.value)


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardProxy() as proxy:
        proxy.refuses = 407
        monkeypatch.setenv("https_proxy", proxy.url)

        with pytest.raises(HubUnreachable, match=rf"through the proxy {proxy.url}: Tunnel connection failed: 407"):
            asking("https://hub.test").get("me")


@pytest.mark.parametrize(
    ("address", "credentials", "warned"),
    [
        (HubAddress("http", "hub.invalid", 80), TOKEN, 1),
        (HubAddress("http", "hub.invalid", 80), None, 0),
        (HubAddress("https", "hub.invalid", 443), TOKEN, 0),
        (HubAddress("http", "127.0.0.1", 1), TOKEN, 0),
    ],
)
def test_a_token_that_others_could_read_on_the_way_is_warned_of_once(
    address: HubAddress, credentials: Credentials | None, warned: int
) -> None:
    said: list[str] = []
    hub = Hub(address, credentials, warn=said.append, patience=QUICK)

    for _ in range(2):
        with pytest.raises(HubUnreachable):
            hub.get("me")

    assert len(said) == warned
    assert SECRET not in "".join(said)


def test_no_error_log_or_traceback_holds_the_token(
    stub: StubHub, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.refuses("GET", "/refused", 401, "Unauthorized", "The token is not right.")
    stub.replies("GET", "/api/v1/elsewhere", Reply(302, {"Location": "https://other.example/"}))
    stub.replies("GET", "/api/v1/html", Reply(200, {"Content-Type": "text/html"}, b"hello"))
    hub = asking(stub.url)
    said = [repr(hub), repr(vars(hub))]

    for path in ("refused", "elsewhere", "html", ".."):
        with pytest.raises(HubError) as caught:
            hub.get(path)
        said.append("".join(traceback.format_exception(caught.value)))

    out, err = capfd.readouterr()
    assert SECRET not in "".join([*said, caplog.text, out, err])
    assert stub.last.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".b"])
def test_a_name_that_no_host_can_have_is_said(host: str) -> None:
    with pytest.raises(HubUnreachable, match="no host's"):
        asking(f"http://{host}:8000").get("index")


@pytest.mark.parametrize("drips", [_dripping_head, _dripping_body])
def test_neither_a_stream_nor_a_form_is_waited_for_where_its_time_is_bounded(drips: Answerer, stub: StubHub) -> None:
    stub.instead = drips
    hub = asking(stub.url, patience=QUICK)

    with (
        pytest.raises(HubUnreachable, match=r"longer than 0\.5 s"),
        hub.stream("GET", "f", headers={}, within=0.5) as got,
    ):
        got.read()
    with pytest.raises(HubUnreachable, match=r"longer than 0\.6"):
        hub.put_form("f", form=Form({"a": "b"}), sent=lambda _: None, least_rate=1e9)
