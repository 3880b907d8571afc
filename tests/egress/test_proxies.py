"""Through a proxy, and around it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from yarl import URL

from creamery.egress import BadAnswer, Egress, ForbiddenAddress, Origin, TooSlow, Unreachable
from creamery.egress.proxies import Proxies
from tests.doubles.certificates import PEM, server_tls
from tests.doubles.proxy import ForwardProxy
from tests.doubles.upstream import Upstream, garbage, hang, refuse
from tests.egress.conftest import Out

pytestmark = pytest.mark.anyio


@pytest.fixture
def secure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    with Upstream(tls=server_tls()) as running:
        yield running


@pytest.fixture
def proxy(upstream: Upstream, secure: Upstream) -> Iterator[ForwardProxy]:
    """Knows `upstream.test:443` and `plain.test:80`, which this machine does not."""
    hosts = {"upstream.test:443": place(secure), "plain.test:80": place(upstream)}
    with ForwardProxy(hosts) as running:
        yield running


def place(upstream: Upstream) -> tuple[str, int]:
    host, _, port = upstream.host.partition(":")
    return host, int(port)


async def ask(egress: Egress, url: str, origin: Origin | None) -> int:
    async with egress.request("GET", url, origin=origin) as answer:
        await answer.body(1 << 20, 5)
        return answer.status


async def test_https_goes_through_a_tunnel(proxy: ForwardProxy, secure: Upstream, out: Out) -> None:
    url = "https://upstream.test/simple/"
    async with out(https_proxy=proxy.url) as egress:
        codes = [await ask(egress, url, Origin.parse(url)) for _ in range(2)]

    assert codes == [200, 200]
    assert [(seen.method, seen.target) for seen in proxy.requests()] == [("CONNECT", "upstream.test:443")]
    assert secure.count("/simple/") == 2


async def test_http_goes_through_by_its_whole_address(proxy: ForwardProxy, upstream: Upstream, out: Out) -> None:
    url = "http://plain.test/simple/?q=1"
    async with out(http_proxy=proxy.url.removeprefix("http://")) as egress:
        assert await ask(egress, url, Origin.parse("http://plain.test/")) == 200

    assert [seen.target for seen in proxy.requests()] == [url]
    assert [seen.target for seen in upstream.requests()] == ["/simple/?q=1"]


async def test_an_origins_password_goes_through_the_tunnel_and_not_to_the_proxy(
    proxy: ForwardProxy, secure: Upstream, out: Out
) -> None:
    origin = Origin.parse("https://user:secret@upstream.test/simple/")
    async with out(https_proxy=proxy.url) as egress:
        await ask(egress, origin.url, origin)

    assert "authorization" not in proxy.requests()[0].headers
    assert "authorization" in secure.requests()[0].headers


async def test_a_proxy_is_told_its_own_password_and_nobody_else_is(
    proxy: ForwardProxy, secure: Upstream, upstream: Upstream, out: Out
) -> None:
    proxy.credentials = "Basic dXNlcjpzZWNyZXQ="
    with_password = proxy.url.replace("//", "//user:secret@")
    async with out(https_proxy=with_password, http_proxy=with_password) as egress:
        for url in ("https://upstream.test/simple/", "http://plain.test/simple/"):
            assert await ask(egress, url, Origin.parse(url)) == 200

    for seen in (*secure.requests(), *upstream.requests()):
        assert "proxy-authorization" not in seen.headers


async def test_a_proxy_that_refuses_is_an_upstream_out_of_reach(proxy: ForwardProxy, out: Out) -> None:
    proxy.refuses = 403
    async with out(https_proxy=proxy.url) as egress:
        with pytest.raises(Unreachable, match="the proxy answered 403") as caught:
            await ask(egress, "https://upstream.test/", Origin.parse("https://upstream.test/"))

    assert caught.value.stage == "connect"


async def test_a_proxy_that_is_gone_is_an_upstream_out_of_reach(proxy: ForwardProxy, out: Out) -> None:
    """The error spoke of the upstream alone, and nobody looked for the proxy."""
    proxy.stop()
    place = proxy.url.removeprefix("http://")
    async with out(https_proxy=f"http://user:secret@{place}", http_proxy=place) as egress:
        for url in ("https://upstream.test/", "http://upstream.test/"):
            with pytest.raises(Unreachable, match=f"its proxy {place} could not be reached") as caught:
                await ask(egress, url, Origin.parse(url))

            assert caught.value.stage == "connect"
            assert "secret" not in str(caught.value)


async def test_a_proxy_whose_name_nobody_knows_is_named(out: Out) -> None:
    async with out(https_proxy="http://user:secret@nowhere.test:3128", http_proxy="nowhere.test") as egress:
        for url, place in (
            ("https://upstream.test/", "nowhere.test:3128"),
            ("http://upstream.test/", "nowhere.test:80"),
        ):
            with pytest.raises(Unreachable, match=f"the name of its proxy {place} could not be resolved") as caught:
                await ask(egress, url, Origin.parse(url))

            assert caught.value.stage == "connect"
            assert "secret" not in str(caught.value)


async def test_what_fails_behind_a_proxy_names_it_too(proxy: ForwardProxy, secure: Upstream, out: Out) -> None:
    place = proxy.url.removeprefix("http://")
    proxy.hosts["wrong.test:443"] = proxy.hosts["upstream.test:443"]
    url = "https://upstream.test/simple/"
    secure.misbehave("/simple/", refuse())
    async with out(https_proxy=proxy.url) as egress:
        with pytest.raises(Unreachable, match=f"^https://wrong.test/: TLS failed: through the proxy {place}: "):
            await ask(egress, "https://wrong.test/", Origin.parse("https://wrong.test/"))
        with pytest.raises(Unreachable, match=f"broke off: through the proxy {place}: "):
            await ask(egress, url, Origin.parse(url))
        secure.misbehave("/simple/", garbage())
        with pytest.raises(BadAnswer, match=f"cannot be read: what came through the proxy {place}: "):
            await ask(egress, url, Origin.parse(url))

    secure.misbehave("/simple/", hang())
    async with out(https_proxy=proxy.url, upstream_connect_seconds=0.1, upstream_silent_seconds=0.1) as egress:
        with pytest.raises(TooSlow, match=f" through the proxy {place} within"):
            await ask(egress, url, Origin.parse(url))


async def test_no_proxy_goes_around(proxy: ForwardProxy, upstream: Upstream, out: Out) -> None:
    async with out(http_proxy=proxy.url, no_proxy=("127.0.0.1",)) as egress:
        assert await ask(egress, upstream.url, Origin.parse(upstream.url)) == 200

    assert proxy.requests() == []


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://[::1]/", "https://2130706433/", "https://private.test/"]
)
async def test_a_proxy_opens_no_way_to_private_addresses(proxy: ForwardProxy, out: Out, url: str) -> None:
    async with out(https_proxy=proxy.url, hosts={"private.test": ["10.0.0.1"]}) as egress:
        with pytest.raises(ForbiddenAddress):
            await ask(egress, url, None)

    assert proxy.requests() == []


async def test_a_name_that_only_the_proxy_knows_is_the_proxys_to_judge(
    proxy: ForwardProxy, secure: Upstream, out: Out
) -> None:
    async with out(https_proxy=proxy.url) as egress:
        assert await ask(egress, "https://upstream.test/simple/", None) == 200
        with pytest.raises(ForbiddenAddress, match="no public name"):
            await ask(egress, "https://intranet/", None)


@pytest.mark.parametrize(
    ("entry", "url", "direct"),
    [
        ("*", "https://a.test/", True),
        ("a.test", "https://a.test/", True),
        ("a.test", "https://A.TEST./", True),
        ("a.test", "https://b.a.test/", True),
        (".a.test", "https://b.a.test/", True),
        ("*.a.test", "https://b.a.test/", True),
        ("a.test", "https://ba.test/", False),
        ("a.test:444", "https://a.test/", False),
        ("a.test:444", "https://a.test:444/", True),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.0.0.0/8", "https://a.test/", False),
        ("::1", "https://[::1]/", True),
        ("[::1]:444", "https://[::1]:444/", True),
        ("[::1]:444", "https://[::1]/", False),
        ("fd00::/8", "https://[fd00::1]/", True),
        ("nonsense/x", "https://10.1.2.3/", False),
        ("", "https://a.test/", False),
    ],
)
def test_no_proxy_names_hosts_and_networks(entry: str, url: str, *, direct: bool) -> None:
    proxies = Proxies("http://proxy.test:3128", None, (entry,))

    assert (proxies(URL(url)) is None) is direct


@pytest.mark.parametrize("text", ["socks5://proxy.test:1080", "http://", "ftp://proxy.test"])
def test_a_proxy_that_cannot_be_used_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"egress\.https_proxy"):
        Proxies(text, None, ())


def test_a_proxy_without_a_host_is_refused() -> None:
    with pytest.raises(ValueError, match="host is empty"):
        Proxies("http://[]@", None, ())
