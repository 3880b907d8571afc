"""Where a request goes: private addresses, redirects, names that change their mind, credentials."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.egress import (
    BadAnswer,
    Egress,
    ForbiddenAddress,
    Origin,
    TooManyRedirects,
    TooSlow,
    Unreachable,
    addresses,
)
from tests.doubles.certificates import PEM, server_tls
from tests.doubles.loopback import Answerer
from tests.doubles.upstream import Upstream, close_at, redirect_to, refuse, status
from tests.egress.conftest import Out, names

pytestmark = pytest.mark.anyio


@pytest.fixture
def other() -> Iterator[Upstream]:
    """Another host, which nobody configured."""
    with Upstream() as running:
        running.add("six", "1.0")
        yield running


async def ask(egress: Egress, url: str, origin: Origin | None = None, **headers: str) -> tuple[int, str]:
    async with egress.request("GET", url, origin=origin, headers=headers) as answer:
        return answer.status, answer.url


async def test_a_learned_number_that_is_private_is_never_asked(other: Upstream, out: Out) -> None:
    async with out() as egress:
        with pytest.raises(ForbiddenAddress) as caught:
            await ask(egress, other.url)

    assert caught.value.address == "127.0.0.1"
    assert other.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "64:ff9b::7f00:1"])
async def test_a_learned_name_that_leads_to_a_private_address_is_never_asked(
    other: Upstream, out: Out, address: str
) -> None:
    port = other.host.partition(":")[2]
    async with out(hosts={"evil.test": [address]}) as egress:
        with pytest.raises(ForbiddenAddress) as caught:
            await ask(egress, f"http://evil.test:{port}/simple/six/")

    assert caught.value.address == address
    assert other.connections == 0


async def test_one_private_address_among_public_ones_is_enough(other: Upstream, out: Out) -> None:
    async with out(hosts={"evil.test": ["1.1.1.1", "127.0.0.1"]}) as egress:
        with pytest.raises(ForbiddenAddress):
            await ask(egress, f"http://evil.test:{other.host.partition(':')[2]}/")


async def test_a_redirect_to_a_private_address_is_not_followed(upstream: Upstream, other: Upstream, out: Out) -> None:
    upstream.misbehave("/simple/six/", redirect_to(other.url))
    async with out() as egress:
        with pytest.raises(ForbiddenAddress):
            await ask(egress, f"{upstream.url}six/", Origin.parse(upstream.url))

    assert other.connections == 0


@pytest.mark.parametrize(
    "location",
    [
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::ffff:7f00:1]/",
        "//127.0.0.1/",
        "http://localhost/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://[",
        "http://example.org:99999/",
    ],
)
async def test_a_redirect_is_checked_as_any_address_is(upstream: Upstream, out: Out, location: str) -> None:
    upstream.misbehave("/simple/six/", redirect_to(location))
    async with out(hosts={"localhost": ["127.0.0.1"]}) as egress:
        with pytest.raises(ForbiddenAddress):
            await ask(egress, f"{upstream.url}six/", Origin.parse(upstream.url))


async def test_a_configured_origin_may_be_anywhere_and_so_may_the_hosts_configured_with_it(
    upstream: Upstream, other: Upstream, out: Out
) -> None:
    upstream.misbehave("/simple/six/", redirect_to(f"{other.url}six/"))
    async with out() as egress:
        origin = Origin.parse(upstream.url, [other.host])
        found = await ask(egress, f"{upstream.url}six/", origin)

    assert found == (200, f"{other.url}six/")


async def test_an_origin_opens_no_way_for_another(upstream: Upstream, other: Upstream, out: Out) -> None:
    async with out() as egress:
        await ask(egress, other.url, Origin.parse(other.url))
        for origin in (Origin.parse(upstream.url), None):  # though a connection to it lies ready
            with pytest.raises(ForbiddenAddress):
                await ask(egress, other.url, origin)


async def test_a_name_that_changes_its_mind_is_held_to_what_was_checked(
    other: Upstream, out: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups: list[str] = []
    really = addresses.why_forbidden

    def as_if_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
        return None if str(address) == "127.0.0.1" else really(address)

    async def rebinding(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, str]]:
        lookups.append(host)
        return [(socket.AF_INET, "127.0.0.1" if len(lookups) == 1 else "127.0.0.2")]

    monkeypatch.setattr(addresses, "why_forbidden", as_if_public)
    monkeypatch.setattr("creamery.egress.client._DNS_SECONDS", 0)
    url = f"http://rebinding.test:{other.host.partition(':')[2]}/simple/six/"
    async with out(lookup=rebinding) as egress:
        first = await ask(egress, url)
        other.cut()  # so that a new connection is needed
        with pytest.raises(ForbiddenAddress) as caught:
            await ask(egress, url)

    assert first[0] == 200
    assert caught.value.address == "127.0.0.2"
    assert len(lookups) == 2


async def test_redirects_are_followed_up_to_the_limit(upstream: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    for number in range(1, 4):
        upstream.misbehave(f"/hop{number}", redirect_to(f"/hop{number - 1}" if number > 1 else "/simple/six/"))
    origin = Origin.parse(upstream.url)
    async with out(upstream_redirects=2) as egress:
        found = await ask(egress, f"{upstream.base}/hop2", origin)
        with pytest.raises(TooManyRedirects) as caught:
            await ask(egress, f"{upstream.base}/hop3", origin)

    assert found == (200, f"{upstream.url}six/")
    assert caught.value.limit == 2


async def test_a_redirect_to_nowhere_is_a_bad_answer(upstream: Upstream, out: Out) -> None:
    upstream.misbehave("/simple/six/", status(302))
    async with out() as egress:
        with pytest.raises(BadAnswer):
            await ask(egress, f"{upstream.url}six/", Origin.parse(upstream.url))


async def test_range_and_conditions_go_along_with_a_redirect(upstream: Upstream, out: Out) -> None:
    made = upstream.add("six", "1.0")
    upstream.misbehave("/moved", redirect_to(upstream.url_of(made.filename)))
    async with (
        out() as egress,
        egress.request(
            "GET", f"{upstream.base}/moved", origin=Origin.parse(upstream.url), headers={"Range": "bytes=2-5"}
        ) as answer,
    ):
        assert (answer.status, await answer.body(100, 5)) == (206, made.content[2:6])


async def test_a_password_goes_to_its_origin_and_nowhere_else(upstream: Upstream, other: Upstream, out: Out) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave("/moved", redirect_to(f"{other.url}six/"))
    origin = Origin.parse(upstream.url.replace("//", "//user:secret@"), [other.host])
    async with out() as egress:
        await ask(egress, f"{upstream.url}six/", origin)
        await ask(egress, f"{upstream.base}/moved", origin, Cookie="a=b")
        await ask(egress, f"{other.url}six/", origin)

    assert [seen.headers.get("authorization") for seen in upstream.requests()] == ["Basic dXNlcjpzZWNyZXQ="] * 2
    assert [seen.headers.get("authorization") for seen in other.requests()] == [None, None]
    assert [seen.headers.get("cookie") for seen in other.requests()] == [None, None]


async def test_a_callers_authorization_is_not_sent_on(upstream: Upstream, other: Upstream, out: Out) -> None:
    upstream.misbehave("/moved", redirect_to(f"{other.url}six/"))
    async with out() as egress:
        await ask(
            egress, f"{upstream.base}/moved", Origin.parse(upstream.url, [other.host]), Authorization="Bearer secret"
        )

    assert upstream.requests()[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in other.requests()[0].headers


async def post(egress: Egress, url: str, origin: Origin) -> int:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic secret"}
    async with egress.request("POST", url, origin=origin, headers=headers, body=b"code=secret") as answer:
        return answer.status


async def test_a_body_is_sent_as_it_is(upstream: Upstream, out: Out) -> None:
    async with out() as egress:
        await post(egress, upstream.url, Origin.parse(upstream.url))

    (seen,) = upstream.requests()
    assert (seen.method, seen.body) == ("POST", b"code=secret")
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_a_body_to_another_host(
    upstream: Upstream, other: Upstream, out: Out, code: int
) -> None:
    upstream.misbehave("/token", redirect_to(f"{other.url}six/", code))
    async with out() as egress:
        with pytest.raises(ForbiddenAddress, match="sends on what was meant for itself"):
            await post(egress, f"{upstream.base}/token", Origin.parse(upstream.url, [other.host]))

    assert other.count() == 0


@pytest.mark.parametrize(
    ("code", "then"),
    [(301, ("GET", b"")), (302, ("GET", b"")), (303, ("GET", b"")), (307, ("POST", b"code=secret"))],
)
async def test_within_a_host_a_body_goes_along_only_where_the_method_stays(
    upstream: Upstream, out: Out, code: int, then: tuple[str, bytes]
) -> None:
    upstream.misbehave("/token", redirect_to("/simple/", code))
    async with out() as egress:
        await post(egress, f"{upstream.base}/token", Origin.parse(upstream.url))

    second = upstream.requests()[1]
    assert (second.method, second.body) == then
    assert ("content-type" in second.headers) == (then[0] == "POST")


async def test_a_password_in_a_learned_address_is_dropped(upstream: Upstream, out: Out) -> None:
    upstream.misbehave("/moved", redirect_to(f"http://user:stolen@{upstream.host}/simple/"))
    async with out() as egress:
        await ask(egress, f"http://user:stolen@{upstream.host}/moved", Origin.parse(upstream.url))

    assert all("authorization" not in seen.headers for seen in upstream.requests())
    assert upstream.count() == 2


async def test_cookies_are_not_kept(upstream: Upstream, out: Out) -> None:
    upstream.misbehave("/simple/", status(200, Set_Cookie="tracked=yes"))
    async with out() as egress:
        await ask(egress, upstream.url, Origin.parse(upstream.url))
        await ask(egress, upstream.url, Origin.parse(upstream.url))

    assert all("cookie" not in seen.headers for seen in upstream.requests())


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """An upstream that speaks https, and whose certificate this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    with Upstream(tls=server_tls()) as running:
        running.add("six", "1.0")
        yield running


async def test_https_is_spoken_with_the_systems_certificates(secure: Upstream, out: Out) -> None:
    url = secure.url.replace("127.0.0.1", "upstream.test")
    async with out(hosts={"upstream.test": ["127.0.0.1"]}) as egress:
        assert await ask(egress, url, Origin.parse(url)) == (200, url)


@pytest.mark.parametrize(("seconds", "stage"), [(5, None), (0.2, "late")])
async def test_reaching_a_host_may_take_so_long(
    upstream: Upstream, out: Out, seconds: float, stage: str | None
) -> None:
    """upstream_connect_seconds: name, connection and TLS together."""
    known = names({"slow.test": ["127.0.0.1"]})

    async def slow(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, str]]:
        await asyncio.sleep(0.5)
        return await known(host, port, family)

    url = upstream.url.replace("127.0.0.1", "slow.test")
    async with out(lookup=slow, upstream_connect_seconds=seconds) as egress:
        if stage is None:
            assert (await ask(egress, url, Origin.parse(url)))[0] == 200
        else:
            with pytest.raises(TooSlow):
                await ask(egress, url, Origin.parse(url))


async def test_a_certificate_for_another_name_is_not_taken(secure: Upstream, out: Out) -> None:
    url = secure.url.replace("127.0.0.1", "wrong.test")
    async with out(hosts={"wrong.test": ["127.0.0.1"]}) as egress:
        with pytest.raises(Unreachable) as caught:
            await ask(egress, url, Origin.parse(url))

    assert caught.value.stage == "tls"
    assert "SSL_CERT_FILE" not in str(caught.value)  # no authority's certificate would help


async def test_a_certificate_that_nobody_trusts_is_not_taken(
    secure: Upstream, out: Out, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    async with out() as egress:
        with pytest.raises(Unreachable, match=r"certificate verify failed.* your own, .* in SSL_CERT_FILE$") as caught:
            await ask(egress, secure.url, Origin.parse(secure.url))

    assert caught.value.stage == "tls"


async def test_plain_http_where_tls_was_expected_is_unreachable(upstream: Upstream, out: Out) -> None:
    url = upstream.url.replace("http://", "https://")
    async with out() as egress:
        with pytest.raises(Unreachable):
            await ask(egress, url, Origin.parse(url))


async def test_a_redirect_from_https_to_http_is_not_followed(secure: Upstream, other: Upstream, out: Out) -> None:
    secure.misbehave("/simple/six/", redirect_to(f"{other.url}six/"))
    async with out() as egress:
        with pytest.raises(ForbiddenAddress, match="https to http"):
            await ask(egress, f"{secure.url}six/", Origin.parse(secure.url, [other.host]))

    assert other.connections == 0


async def test_a_name_is_looked_up_once_for_many_requests(other: Upstream, out: Out) -> None:
    asked: list[str] = []
    known = names({"upstream.test": ["127.0.0.1"]})

    async def counting(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, str]]:
        asked.append(host)
        return await known(host, port, family)

    url = other.url.replace("127.0.0.1", "upstream.test")
    async with out(lookup=counting) as egress:
        for _ in range(3):
            await ask(egress, url, Origin.parse(url))

    assert asked == ["upstream.test"]


@pytest.mark.parametrize(("misbehaviour", "answered"), [(close_at(0.5), True), (refuse(), False)])
async def test_an_error_knows_whether_an_answer_had_begun(
    upstream: Upstream, out: Out, misbehaviour: Answerer, answered: bool
) -> None:
    upstream.add("six", "1.0")
    upstream.misbehave("/simple/six/", misbehaviour)
    async with out() as egress:
        with pytest.raises(Unreachable) as caught:
            async with egress.request("GET", upstream.url + "six/", origin=Origin.parse(upstream.url)) as answer:
                await answer.body(1 << 20, 5)

    assert caught.value.answered is answered
