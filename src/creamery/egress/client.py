"""Requests to the world outside.

Every request is one method call and one `async with`. What this adds to the HTTP library: it chooses what may be asked
(`addresses`), follows redirects one by one, keeps credentials at home, bounds every wait and every body, and speaks of
failures in its own words (`errors`). It never retries and never remembers: that is for those who know what they ask
for.

Two pools of connections: `configured` for what the operator named, `learned` for all else. A connection is reused for
its host only, so one that was made to a private address for a configured origin is out of reach of a learned one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from creamery import __version__, faults
from creamery.egress.addresses import Lookup, Origin, PinningResolver, check_literal, read_address, redirected
from creamery.egress.decoding import Broken, Decoder, Overflow
from creamery.egress.errors import (
    BadAnswer,
    EgressError,
    ForbiddenAddress,
    TooLarge,
    TooManyRedirects,
    TooSlow,
    Unreachable,
)
from creamery.egress.pool import ConnectionPool
from creamery.egress.proxies import Proxies, Proxy
from creamery.limits import Limits
from creamery.sections import Egress as EgressSettings
from creamery.sharing import forget_frames
from creamery.telemetry import Telemetry

T = TypeVar("T")

CHUNK = 256 << 10
"""The most that is handed on at once."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BECOMES_GET = frozenset({301, 302, 303})  # what a POST's redirect is asked with (RFC 9110 15.4)
_SECRET_HEADERS = ("Authorization", "Cookie", "Proxy-Authorization")
_BODY_HEADERS = ("Content-Type", "Content-Encoding", "Content-Language", "Content-Location")
_OUT_OF_REACH = (aiohttp.ClientSSLError, aiohttp.ClientHttpProxyError)  # though they are ValueErrors and answers too
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}  # X509_V_ERR_...: no issuer, self-signed; openssl/x509_vfy.h
_KEEP_ALIVE_SECONDS = 60.0  # between two installs; a connection that upstream has closed meanwhile is noticed
_DNS_SECONDS = 10
_PAGE_CONNECTIONS = 32  # to one host, beside those of `limits.upstream_flights`: pages never queue behind files
_INLINE = 16 << 10  # compressed bytes that are unpacked on the loop; more go to a thread


class Answer:
    """What came back: status, headers, and the body while it arrives.

    Attributes:
        status: the HTTP status.
        headers: case-insensitive, as upstream sent them.
        url: where the answer came from, after redirects; without user and password.
    """

    def __init__(self, response: aiohttp.ClientResponse, egress: Egress, kind: str, silent_seconds: float) -> None:
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers
        self.url = str(response.url)
        self._response = response
        self._egress = egress
        self._bytes = egress.bytes_received[kind]
        self._silent_seconds = silent_seconds

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, undecoded, in pieces of at most 256 kB.

        Raises:
            TooSlow: upstream was silent for `silent_seconds`.
            Unreachable: the connection ended before the body did.
            BadAnswer: the body is not framed as HTTP frames it.
        """
        while chunk := await self._read():
            yield chunk

    async def body(self, max_bytes: int, deadline_seconds: float) -> bytes:
        """The whole body, its content coding undone.

        Raises:
            TooLarge: it has more than `max_bytes`, before or after decoding; noticed as it grows.
            TooSlow: it was not there within `deadline_seconds`, or upstream fell silent.
            Unreachable: the connection ended before the body did.
            BadAnswer: its coding is unknown or broken, or it is not framed as HTTP frames it.
        """
        try:
            decoder = Decoder(self.headers.get("Content-Encoding", ""), max_bytes)
            async with asyncio.timeout(deadline_seconds):
                async for chunk in self.chunks():
                    if len(chunk) <= _INLINE:
                        decoder.feed(chunk)
                    else:
                        await self._egress.in_thread(decoder.feed, chunk)
            return decoder.finish()
        except Overflow as error:
            raise TooLarge(self.url, max_bytes) from error
        except Broken as error:
            raise BadAnswer(self.url, str(error)) from error
        except TimeoutError as error:
            raise TooSlow(self.url, "its answer was not complete", deadline_seconds) from error

    async def _read(self) -> bytes:
        try:
            faults.reach("egress.read")
            chunk = await self._response.content.read(CHUNK)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            forget_frames(error)  # aiohttp keeps it with the response, and its frames know all who read here
            raise _translated(error, self.url, "it was silent", self._silent_seconds) from error
        self._bytes.inc(len(chunk))
        return chunk


class Egress:
    """The way out, bound to the event loop that `start` runs on."""

    def __init__(
        self, settings: EgressSettings, limits: Limits, telemetry: Telemetry, *, via: str, lookup: Lookup | None = None
    ) -> None:
        """Make it; no connection is opened before `start`.

        Args:
            settings: the proxies.
            limits: connect, silence, redirects, connections.
            telemetry: where requests are counted.
            via: the hub's name in `Via` (RFC 9110 7.6.3), by which a hub notices that it asks itself.
            lookup: how names are resolved; the system's way by default.

        Raises:
            ValueError: a proxy's address cannot be read.
        """
        self._limits = limits
        self._via = f"1.1 {via}"
        self._proxies = Proxies(settings.https_proxy, settings.http_proxy, settings.no_proxy)
        self._resolvers = {
            "configured": PinningResolver(lookup, checked=False),
            "learned": PinningResolver(lookup, checked=True),
        }
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._open: set[aiohttp.ClientResponse] = set()
        self._calls: set[Future[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tls: asyncio.Future[ssl.SSLContext] | None = None
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="egress")
        self._requests = telemetry.counter("egress_requests", "Requests to the world outside.", ("kind", "status"))
        seconds = telemetry.histogram("egress_seconds", "Time until an answer's headers had come.", ("kind",))
        received = telemetry.counter("egress_received_bytes", "Bytes of answers' bodies.", ("kind",))
        self._seconds = {kind: seconds.labels(kind) for kind in self._resolvers}
        self.bytes_received = {kind: received.labels(kind) for kind in self._resolvers}

    async def start(self) -> None:
        """Bind to the running loop."""
        self._loop = asyncio.get_running_loop()
        for kind, resolver in self._resolvers.items():
            connector = ConnectionPool(
                resolver=resolver,
                limit=0,
                limit_per_host=self._limits.upstream_flights + _PAGE_CONNECTIONS,
                ttl_dns_cache=_DNS_SECONDS,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
            )
            self._sessions[kind] = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=CHUNK // 2,  # reading pauses at twice that
            )

    async def close(self) -> None:
        """End every connection and every waiting `call`."""
        sessions, self._sessions = self._sessions, {}
        self._loop = None
        for call in tuple(self._calls):
            call.cancel()
        for response in tuple(self._open):
            response.close()  # closing its session alone would leave whoever reads it waiting for ever
        for session in sessions.values():
            await session.close()
        self._tls = None
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        origin: Origin | None,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
        connect_seconds: float | None = None,
        silent_seconds: float | None = None,
    ) -> AsyncIterator[Answer]:
        """Send a request and hand out the answer when its headers have come.

        Redirects are followed, `limits.upstream_redirects` at most, each checked anew. An answer of any status is an
        answer. `Accept-Encoding` is `identity` unless given.

        Args:
            method: GET or HEAD; POST with a body.
            url: what to ask. User and password in it are dropped.
            origin: the configured origin that this is asked for; its own host and `hosts` may be anywhere. Without
                one, and for every other host, the address must be public.
            headers: further headers. `Authorization` and the like are not sent on to other hosts.
            body: what is sent along. It is for that host alone: no redirect takes such a request to another.
            connect_seconds: for name, connection and TLS together; `limits.upstream_connect_seconds` by default.
            silent_seconds: for the wait for headers, and for each further piece; `limits.upstream_silent_seconds`.

        Raises:
            ForbiddenAddress: the address, or one that a redirect leads to, must not be asked.
            Unreachable: no connection, no TLS, or the connection ended before the headers came.
            TooSlow: there were no headers after both times together, redirects included.
            TooManyRedirects: after `limits.upstream_redirects`.
            BadAnswer: what came is no HTTP, or its headers are larger than 8 kB a line or more than 128.
        """
        connect = self._limits.upstream_connect_seconds if connect_seconds is None else connect_seconds
        silent = self._limits.upstream_silent_seconds if silent_seconds is None else silent_seconds
        errand = _Errand(method, read_address(url), origin, self._headers(headers), body)
        response, kind = await self._follow(errand, connect, silent)
        self._open.add(response)
        try:
            yield Answer(response, self, kind, silent)
        except EgressError as error:
            error.answered = True
            raise
        finally:
            self._open.discard(response)
            response.release()  # a connection whose body was not read to its end is closed, not reused

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the hub's loop and wait for it; for jobs' threads, never on the loop itself.

        Raises:
            Unreachable: the hub is stopping.
            Exception: whatever the coroutine raises.
        """
        loop = self._loop
        if loop is not None and _runs_here(loop):
            coroutine.close()
            raise RuntimeError("Egress.call() would wait on the loop for the loop; await the coroutine instead")
        if loop is None:
            coroutine.close()
            raise Unreachable("", "closed")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        self._calls.add(future)
        try:
            return future.result()
        except CancelledError as error:
            raise Unreachable("", "closed") from error
        finally:
            self._calls.discard(future)

    async def in_thread(self, work: Any, *arguments: Any) -> None:
        """Unpacking of more than a little, off the loop."""
        await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _follow(self, errand: _Errand, connect: float, silent: float) -> tuple[aiohttp.ClientResponse, str]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        asked = errand.address
        kind = "learned"
        try:
            async with asyncio.timeout(connect + silent):
                for _ in range(self._limits.upstream_redirects + 1):
                    kind = errand.kind
                    response = await self._send(errand, kind, _deadlines(connect, silent))
                    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
                        response.close()
                        raise BadAnswer(str(errand.address), "it changes to a protocol that nobody asked for")
                    if response.status not in _REDIRECTS:
                        self._seconds[kind].observe(loop.time() - begun)
                        self._requests.labels(kind, f"{response.status // 100}xx").inc()
                        return response, kind
                    response.release()
                    errand.go_on(response.status, redirected(errand.address, _location(response)))
            raise TooManyRedirects(str(asked), self._limits.upstream_redirects)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._requests.labels(kind, "error").inc()
            address = errand.address
            proxy = self._proxies(address)
            raise _translated(error, str(address), "it did not answer", connect + silent, connect, proxy) from error
        except EgressError:
            self._requests.labels(kind, "error").inc()
            raise

    async def _send(self, errand: _Errand, kind: str, deadlines: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        address, headers = errand.address, errand.headers
        if not self._sessions:
            raise Unreachable(str(address), "closed")
        proxy = self._proxies(address)
        literal = kind == "learned" and check_literal(address)
        if proxy is not None and kind == "learned" and not literal:
            await self._check_for_proxy(address, deadlines.connect)
        authorization = errand.origin.authorization_for(address) if errand.origin is not None else None
        if authorization is not None:
            headers = headers.copy()
            headers["Authorization"] = authorization
        if proxy is not None and address.scheme == "http" and proxy.headers:  # the library sends them with CONNECT only
            headers = CIMultiDict({**headers, **proxy.headers})
        tls = await self._certificates() if address.scheme == "https" else True
        faults.reach("egress.request")
        session = self._sessions["configured" if proxy is not None else kind]  # the proxy itself may be anywhere
        options = _through(proxy) if errand.body is None else {**_through(proxy), "data": errand.body}
        return await session.request(
            errand.method, address, headers=headers, timeout=deadlines, allow_redirects=False, ssl=tls, **options
        )

    async def _certificates(self) -> ssl.SSLContext:
        """The system's certificates; reading them takes 50 ms, so it is done once, in a thread, when first needed."""
        if self._tls is None:
            self._tls = asyncio.get_running_loop().run_in_executor(self._threads, ssl.create_default_context)
        return await asyncio.shield(self._tls)

    async def _check_for_proxy(self, address: URL, seconds: float | None) -> None:
        """A proxy resolves names itself. What is known here of a name is checked; the rest is the proxy's to refuse."""
        host = address.raw_host or ""
        try:
            async with asyncio.timeout(seconds):
                await self._resolvers["learned"].check(host, address.port or 0)
        except (OSError, TimeoutError) as error:
            if "." not in host.rstrip("."):  # `localhost` and the names of a private network
                raise ForbiddenAddress(str(address), host, "its host is no public name") from error

    def _headers(self, given: Mapping[str, str]) -> CIMultiDict[str]:
        headers = CIMultiDict(given)
        headers.setdefault("User-Agent", f"creamery/{__version__}")
        headers.setdefault("Accept-Encoding", "identity")
        before = headers.get("Via")
        headers["Via"] = f"{before}, {self._via}" if before else self._via
        return headers


@dataclass(slots=True)
class _Errand:
    """What is asked, and where: it changes from redirect to redirect."""

    method: str
    address: URL
    origin: Origin | None
    headers: CIMultiDict[str]
    body: bytes | None

    @property
    def kind(self) -> str:
        """Is the address a configured one, or was it learned?"""
        return "configured" if self.origin is not None and self.origin.owns(self.address) else "learned"

    def go_on(self, status: int, target: URL) -> None:
        """Ask there instead.

        Raises:
            ForbiddenAddress: it is another host's, and what was sent along was not meant for it.
        """
        if target.origin() != self.address.origin():
            if self.body is not None:
                raise ForbiddenAddress(
                    str(target), "", f"{self.address.host} sends on what was meant for itself alone (status {status})"
                )
            for name in _SECRET_HEADERS:
                self.headers.popall(name, None)
        self.address = target
        if self.method == "POST" and status in _BECOMES_GET:
            self.method, self.body = "GET", None
            for name in _BODY_HEADERS:
                self.headers.popall(name, None)


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


@lru_cache(maxsize=64)
def _deadlines(connect: float, silent: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=silent)


def _through(proxy: Proxy | None) -> dict[str, Any]:
    return {} if proxy is None else {"proxy": proxy.url, "proxy_headers": proxy.headers}


def _location(response: aiohttp.ClientResponse) -> str:
    location = response.headers.get("Location")
    if not location:
        raise BadAnswer(str(response.url), f"status {response.status} names no address to go to")
    return location


def _translated(
    error: Exception, url: str, what: str, seconds: float, connect_seconds: float = 0.0, proxy: Proxy | None = None
) -> EgressError:
    """The library's error in our words. The order matters: the library's classes inherit from each other."""
    through = f" through the proxy {proxy.place}" if proxy is not None else ""
    if isinstance(error, EgressError):
        return error
    match error:
        case aiohttp.ConnectionTimeoutError():
            return TooSlow(url, f"it could not be reached{through}", connect_seconds)
        case TimeoutError():
            return TooSlow(url, what + through, seconds)
        case aiohttp.InvalidURL():
            return ForbiddenAddress(url, "", "it is no http or https address of a host")
        case ValueError() | aiohttp.ClientResponseError() if not isinstance(error, _OUT_OF_REACH):
            came = f"what came{through}: " if through else ""
            return BadAnswer(url, came + getattr(error, "message", str(error)))
    return _unreachable(error, url) if proxy is None else _unreachable_through(proxy, error, url)


def _unreachable(error: Exception, url: str) -> Unreachable:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(url, "dns", str(error.os_error))
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Unreachable(url, "tls", f"{error}{_remedy(error)}")
        case aiohttp.ClientConnectorError():
            return Unreachable(url, "connect", str(error.os_error))
    return Unreachable(url, "broken off", str(error))


def _unreachable_through(proxy: Proxy, error: Exception, url: str) -> Unreachable:
    """Whose fault it is: the library names the upstream, also where its proxy is what cannot be reached."""
    match error:
        case aiohttp.ClientConnectorDNSError():  # nobody resolves the upstream's name here
            return Unreachable(
                url, "connect", f"the name of its proxy {proxy.place} could not be resolved: {error.os_error}"
            )
        case aiohttp.ClientProxyConnectionError():
            return Unreachable(url, "connect", f"its proxy {proxy.place} could not be reached: {error.os_error}")
        case aiohttp.ClientHttpProxyError():
            return Unreachable(url, "connect", f"the proxy answered {error.status} {error.message} ({proxy.place})")
    found = _unreachable(error, url)
    return Unreachable(url, found.stage, f"through the proxy {proxy.place}: {found.reason}")


def _remedy(error: Exception) -> str:
    """For a certificate whose authority nobody here knows; one that is too old or another's is its owner's to mend."""
    cause = getattr(error, "certificate_error", error)
    if not isinstance(cause, ssl.SSLCertVerificationError) or cause.verify_code not in _UNKNOWN_AUTHORITY:
        return ""
    return "; where its authority is your own, name a file with that authority's certificate in SSL_CERT_FILE"
