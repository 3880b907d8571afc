"""The client's way out: JSON over HTTP to one hub (RFC 9110, RFC 9457).

The standard library's `http.client` does it: a command asks one to three questions, and the plain installation stays
as light as it is. Certificates are the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), proxies those that
the environment, or macOS or Windows, names.

Credentials go to the hub's own origin alone: whoever is redirected elsewhere is told so instead. They are in no
text that is made here, and what `http.client` would quote in an error is checked before it gets it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Event, Timer
from typing import Any, BinaryIO, Literal
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from creamery import __version__
from creamery.client.address import HubAddress, parse_address
from creamery.client.credentials import Credentials
from creamery.client.errors import HubError, HubUnreachable, NotAHub, Refused, UnusableInput
from creamery.client.form import Form, pieces_of

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE"]

PREFIX = "/api/v1"
MOST_REDIRECTS = 5
SHOWN = 200
MOST_TEXT = 4_000
PIECE_BYTES = 256 * 1024

_SAME_AGAIN = frozenset({307, 308})
_LOOK_THERE = frozenset({301, 302, 303})
_GATEWAY = frozenset({502, 503, 504})
"""What a proxy in front of a hub says while the hub is away."""

_ADDRESS_IS_RIGHT = "Is it the hub's address? It stands in --hub, or in CREAMERY_HUB."
_DONE_PERHAPS = "The hub may have done it all the same: look before you do it again."


Query = Mapping[str, str | None]
"""What stands behind the question mark; None is left out."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may take, and how much may be answered.

    Attributes:
        connect_seconds: until an address of the hub's has answered, TLS included.
        silent_seconds: without a byte of the answer. A hub may ask its upstreams before it answers.
        whole_seconds: for everything after the connection stands, however busy it is.
        answer_bytes: of the answer's body.
    """

    connect_seconds: float = 10.0
    silent_seconds: float = 60.0
    whole_seconds: float = 300.0
    answer_bytes: int = 64 * 1024 * 1024


PROBE = Patience(connect_seconds=1.0, silent_seconds=1.0, whole_seconds=1.5)
"""Of installations: a hub that is there answers at once; one that is not costs no more."""
LATE = Patience(connect_seconds=0.5, silent_seconds=0.5, whole_seconds=0.5)
"""For one that has been silent for as long as a glance takes."""
ASKING = Patience(connect_seconds=2.0, silent_seconds=40.0, whole_seconds=60.0)
"""It may be asked to wait for somebody's build."""


class Hub:
    """A hub, as commands ask it. Every method may raise `Refused`, `HubUnreachable` and `NotAHub`.

    Paths are given by segments below `/api/v1`, as they are called: `get("index", "projects", "acme")`; or below the
    hub's own root, with `at_root`.
    """

    def __init__(
        self,
        address: HubAddress,
        credentials: Credentials | None = None,
        *,
        warn: Callable[[str], object] = lambda _: None,
        patience: Patience | None = None,
        prefix: str = PREFIX,
    ) -> None:
        """`warn` is told what is risky about the way to the hub, in a sentence, before anything is sent."""
        self.address = address
        self.credentials = credentials
        self._warn = warn
        self._warned = False
        self._patience = patience or Patience()
        self._prefix = prefix

    def at_root(self) -> Hub:
        """The same hub, asked below its root: what stands there is no part of the API."""
        return Hub(self.address, self.credentials, warn=self._warn, patience=self._patience, prefix="")

    def get(self, *path: str, query: Query | None = None) -> Any:
        """What there is; None in `query` is left out."""
        return self._ask("GET", _joined(path, query), None)

    def get_dated(self, *path: str) -> tuple[Any, str]:
        """What there is, and the answer's `Date`; empty: it has none."""
        answer = self._answered("GET", _joined(path), None)
        return self.understood(answer), answer.date

    def post(self, *path: str, body: Mapping[str, Any] | None = None, query: Query | None = None) -> Any:
        """Let something be done."""
        return self._ask("POST", _joined(path, query), body)

    def put(self, *path: str, body: Mapping[str, Any] | None = None, query: Query | None = None) -> Any:
        """Let something be so."""
        return self._ask("PUT", _joined(path, query), body)

    def delete(self, *path: str, query: Query | None = None) -> Any:
        """Let something be no more."""
        return self._ask("DELETE", _joined(path, query), None)

    @contextlib.contextmanager
    def stream(
        self,
        method: Literal["GET", "HEAD"],
        *path: str,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str],
        within: float | None = None,
    ) -> Iterator[HTTPResponse]:
        """An answer of whatever length, whose body the caller reads; no redirect is followed.

        An error's answer is read, and raised as every method does. `within`: seconds for all of it; None: no time
        bounds it.
        """
        sent = self._headers({"Accept-Encoding": "identity", **headers})
        target = self.address.path + self._prefix + _joined(path) + (f"?{urlencode(query)}" if query else "")
        way = _way_to(self.address)
        with self._connected(way) as connection, self._perhaps_within(connection, method, within):
            connection.sock.settimeout(self._patience.silent_seconds)
            try:
                connection.request(method, way.prefix + target, None, {**way.headers, **sent})
                with connection.getresponse() as response:
                    if response.status >= HTTPStatus.BAD_REQUEST:
                        self.understood(self._received(response))
                    yield response
            except (OSError, HTTPException) as error:
                raise HubUnreachable(
                    f"{self.address} broke off: {_reason(error)}.", "Begin again: it goes on."
                ) from error

    def send(self, *path: str, content: BinaryIO, size: int, sent: Callable[[int], object]) -> None:
        """PUT a file of whatever length, with a look at it for no longer than a piece; no time bounds it.

        Args:
            content: its bytes, from the first.
            size: how many there are.
            sent: hears of each number of bytes that has gone.
        """
        answer = self._sent(path, pieces_of(content, sent), {"Content-Length": str(size)})
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            self.understood(answer)

    def put_form(
        self, *path: str, form: Form, sent: Callable[[int], object], least_rate: float | None = None
    ) -> Answer:
        """PUT a form with a file of whatever length (RFC 7578); returns what is answered where it was taken.

        Args:
            form: its fields and its file.
            sent: hears of each number of bytes of the file that has gone.
            least_rate: bytes a second that the hub has to take; None: no time bounds it.
        """
        boundary = secrets.token_hex(16)
        length = form.length(boundary)
        kind = f"multipart/form-data; boundary={boundary}"
        headers = {"Content-Type": kind, "Content-Length": str(length)}
        within = None if least_rate is None else self._patience.whole_seconds + length / least_rate
        answer = self._sent(path, form.pieces(boundary, sent), headers, within)
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            self.understood(answer)
        return answer

    def _sent(
        self, path: tuple[str, ...], body: Iterator[bytes], headers: Mapping[str, str], within: float | None = None
    ) -> Answer:
        known = self._headers({"Accept": "application/json, application/problem+json", **headers})
        target = self.address.path + self._prefix + _joined(path)
        way = _way_to(self.address)
        with self._connected(way) as connection, self._perhaps_within(connection, "PUT", within):
            connection.sock.settimeout(self._patience.silent_seconds)
            try:
                try:
                    connection.request("PUT", way.prefix + target, body, {**way.headers, **known})
                except (BrokenPipeError, ConnectionResetError):  # it answers before all has come: it refuses
                    return self._early_answer(connection)
                with connection.getresponse() as response:
                    return self._received(response)
            except (OSError, HTTPException) as error:
                raise HubUnreachable(f"{self.address} broke off: {_reason(error)}.", _DONE_PERHAPS) from error

    def _early_answer(self, connection: HTTPConnection) -> Answer:
        response = HTTPResponse(connection.sock, method="PUT")
        response.begin()
        return self._received(response)

    def _ask(self, method: Method, target: str, body: Mapping[str, Any] | None) -> Any:
        return self.understood(self._answered(method, target, body))

    def _answered(self, method: Method, target: str, body: Mapping[str, Any] | None) -> Answer:
        target = self.address.path + self._prefix + target
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._exchange(method, target, body)
            if answer.status in _SAME_AGAIN or (method == "GET" and answer.status in _LOOK_THERE):
                target = self._next_target(target, answer)
            else:
                return answer
        raise NotAHub(f"{self.address} sends from one address to the next and never answers.", _ADDRESS_IS_RIGHT)

    def _exchange(self, method: Method, target: str, body: Mapping[str, Any] | None) -> Answer:
        headers = self._headers({"Accept": "application/json"})
        sent = None if body is None else json.dumps(body).encode()
        if sent is not None:
            headers["Content-Type"] = "application/json"
        way = _way_to(self.address)
        with self._connected(way) as connection, self._within(connection, method):
            connection.request(method, way.prefix + target, sent, {**way.headers, **headers})
            with connection.getresponse() as response:
                return self._received(response)

    def _received(self, response: HTTPResponse) -> Answer:
        content = response.read(self._patience.answer_bytes + 1)
        if len(content) > self._patience.answer_bytes:
            most = f"{self.address} answers with more than {self._patience.answer_bytes} bytes."
            raise NotAHub(most, _ADDRESS_IS_RIGHT)
        if response.length:  # `read(amount)` takes a broken connection for the end
            raise IncompleteRead(b"", response.length)
        return Answer.of(response, content)

    @contextlib.contextmanager
    def _connected(self, way: _Way) -> Iterator[HTTPConnection]:
        connection = way.connection(self._patience.connect_seconds)
        try:
            try:
                connection.connect()
            except (OSError, HTTPException, UnicodeError) as error:  # the latter for a host like `a..b`
                raise HubUnreachable(
                    f"{self.address} cannot be reached{way.said}: {_reason(error)}.", _remedy(error)
                ) from error
            yield connection
        finally:
            connection.close()

    def _perhaps_within(
        self, connection: HTTPConnection, method: Method, seconds: float | None
    ) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if seconds is None else self._within(connection, method, seconds)

    @contextlib.contextmanager
    def _within(self, connection: HTTPConnection, method: Method, seconds: float | None = None) -> Iterator[None]:
        """Bound what follows in time; a socket's own time-out would begin anew with each byte that drips in."""
        seconds = self._patience.whole_seconds if seconds is None else seconds
        taken, late = connection.sock, Event()

        def cut() -> None:
            late.set()
            with contextlib.suppress(OSError):  # it has ended in this moment
                socket.socket.shutdown(taken, socket.SHUT_RDWR)  # below TLS, which another thread must not end

        timer = Timer(seconds, cut)
        timer.daemon = True
        taken.settimeout(self._patience.silent_seconds)
        timer.start()
        try:
            yield
            if late.is_set():  # what has no length ends where it is cut, and looks whole
                raise TimeoutError
        except (OSError, HTTPException, HubError) as error:
            if isinstance(error, HubError) and not late.is_set():
                raise
            reason = f"it took longer than {seconds:g} s" if late.is_set() else _reason(error)
            remedy = "Try again later." if method == "GET" else _DONE_PERHAPS
            raise HubUnreachable(f"{self.address} has not answered: {reason}.", remedy) from error
        finally:
            timer.cancel()

    def _headers(self, own: Mapping[str, str]) -> dict[str, str]:
        """What every request says, and what it says beside; whoever may read it on the way is warned of first."""
        self._warn_of_plain_http()
        known = {} if self.credentials is None else {"Authorization": self.credentials.header}
        return {"User-Agent": f"creamery/{__version__}", "Connection": "close", **own, **known}

    def _warn_of_plain_http(self) -> None:
        if self.credentials is None or self._warned or self.address.scheme == "https" or self.address.is_loopback:
            return
        self._warned = True
        self._warn(
            f"{self.address} is plain http: whoever is on the way can read the token or password of"
            f" {self.credentials.place}. Put TLS in front of the hub, and use https."
        )

    def _next_target(self, target: str, answer: Answer) -> str:
        """Where an answer sends to.

        Raises:
            NotAHub: to another origin, which gets no credentials and so cannot answer.
        """
        here = f"{self.address.scheme}://{self.address.authority}{target}"
        try:
            there = urljoin(here, answer.location)
            found, _ = parse_address(there.partition("?")[0])
        except (UnusableInput, ValueError):
            there, found = "", None
        if found is None or found.origin != self.address.origin:
            shown = f"to {found.scheme}://{found.authority}" if found is not None else "to no address"
            raise NotAHub(
                f"{self.address} sends elsewhere, {shown}; nothing was sent there.",
                "If that is the hub, give its address with --hub or CREAMERY_HUB.",
            )
        parts = urlsplit(there)
        return quote(parts.path, safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")

    def understood(self, answer: Answer) -> Any:
        """The JSON of an answer that is a hub's.

        Raises:
            HubError: it is none, or says no.
        """
        content, status = answer.parsed(), answer.status
        if answer.kind == "application/problem+json" and status >= HTTPStatus.BAD_REQUEST and isinstance(content, dict):
            raise Refused(status, *(_text(content.get(name)) for name in ("title", "detail", "remedy")))
        if status >= HTTPStatus.BAD_REQUEST and isinstance(content, dict) and "traceback" in content:  # as carts say it
            raise Refused(status, _text(content.get("status")), _text(content.get("message")), "")
        if status == HTTPStatus.NO_CONTENT:
            return None
        is_success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        if is_success and answer.kind == "application/json" and isinstance(content, (dict, list)):
            return content
        if status in _GATEWAY:
            raise HubUnreachable(
                f"What stands in front of {self.address} answers {status}: the hub behind it is away.",
                "Try again later, or ask whoever runs the hub.",
            )
        said = f"{status}, {answer.kind or 'of no kind'}"
        raise NotAHub(f"{self.address} does not answer as a hub does ({said}).", _ADDRESS_IS_RIGHT)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: its status, content type, `Location` and body."""

    status: int
    kind: str
    location: str
    date: str
    content: bytes

    @classmethod
    def of(cls, response: HTTPResponse, content: bytes) -> Answer:
        kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
        location, date = (response.headers.get(name, "") for name in ("Location", "Date"))
        return cls(response.status, kind[:SHOWN], location, date, content)

    def parsed(self) -> Any:
        """The JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class _Way:
    """How the hub is reached: directly, or through a proxy.

    Attributes:
        hub: its address.
        proxy: as it was configured; None: directly.
        prefix: what stands before a request's path.
        headers: what a proxy is told about who we are, where it reads the request itself.
    """

    hub: HubAddress
    proxy: HubAddress | None
    prefix: str
    headers: Mapping[str, str]
    tunnel_headers: Mapping[str, str]

    @property
    def said(self) -> str:
        """Through whom, for people."""
        return "" if self.proxy is None else f" through the proxy {self.proxy}"

    def connection(self, seconds: float) -> HTTPConnection:
        """To the hub or to the proxy; not connected yet."""
        first = self.proxy or self.hub
        if self.hub.scheme == "http":
            return HTTPConnection(first.host, first.port, timeout=seconds)
        connection = HTTPSConnection(first.host, first.port, timeout=seconds, context=ssl.create_default_context())
        if self.proxy is not None:
            connection.set_tunnel(self.hub.host, self.hub.port, dict(self.tunnel_headers))
        return connection


def _way_to(hub: HubAddress) -> _Way:
    named = getproxies()
    text = named.get(hub.scheme) or named.get("all")
    if not text or hub.is_loopback or proxy_bypass(f"{hub.host}:{hub.port}"):
        return _Way(hub, None, "", {}, {})
    try:
        proxy, user = parse_address(text if "://" in text else f"http://{text}")
    except UnusableInput as error:
        raise UnusableInput(f"The proxy of the environment is none. {error.sentence}", "") from None
    if proxy.scheme != "http":
        raise UnusableInput(
            f"The proxy {proxy} wants TLS for itself, which this client does not speak.",
            "Name a proxy with http://, or leave the hub out with NO_PROXY.",
        )
    headers = {}
    if user is not None:
        pair = f"{user.name}:{user.password or ''}".encode()
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair).decode()
    if hub.scheme == "https":
        return _Way(hub, proxy, "", {}, headers)
    return _Way(hub, proxy, f"http://{hub.authority}", headers, {})


def _joined(path: tuple[str, ...], query: Mapping[str, str | None] | None = None) -> str:
    """Segments as a path, each of which stays one, whatever a proxy makes of dots; and what of `query` is not None."""
    for segment in path:
        if segment in {"", ".", ".."} or not segment.isprintable() or "/" in segment:
            raise UnusableInput(f"{segment!r} can be no name on a hub.", "")
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return "".join(f"/{quote(segment, safe='')}" for segment in path) + (f"?{urlencode(given)}" if given else "")


def _text(value: object) -> str:
    """Of a problem document, without what a terminal would obey."""
    if not isinstance(value, str):
        return ""
    return "".join(character if character.isprintable() else " " for character in value[:MOST_TEXT]).strip()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails ({error.reason or 'it ended'})"
    if isinstance(error, TimeoutError):
        return "it is silent"
    if isinstance(error, UnicodeError):
        return "its name can be no host's"
    if isinstance(error, OSError):
        return _text(error.strerror or str(error) or type(error).__name__).rstrip(".")
    return "the answer is no HTTP, or broke off"


def _remedy(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "Name the certificates to trust in SSL_CERT_FILE."
    if isinstance(error, ssl.SSLError):
        return "Does the hub speak TLS there? Its address begins with http:// where it does not."
    return f"Does the hub run? {_ADDRESS_IS_RIGHT}"
