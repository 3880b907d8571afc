"""Which endpoint answers which request. Paths are split where they are raw, so that `%2f` stays in its segment.

Starlette's routes match decoded paths with regular expressions one after the other (36 us at the sixtieth); here a
path that was seen before costs one look into a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from creamery.accounts import Thing
from creamery.http.exchange import exchange_of
from creamery.http.gate import Gate
from creamery.http.problems import Problem, Renderer

Endpoint = Callable[[Request], Awaitable[Response]]
Ready = Callable[[Scope], bool]
Fits = Callable[[Mapping[str, str]], bool]

MANY = -1
"""Instead of a number of segments: any number."""

REMEMBERED_PATHS = 4_096
REMEMBERED_LENGTH = 200

_SEGMENT = re.compile(r"(?P<prefix>[^{}]*)(?:\{(?P<name>[a-z_]+)\}(?P<suffix>[^{}]*))?")
_REST = re.compile(r"\{(?P<name>[a-z_]+)\*\}")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route asks of whoever comes. A route that declares nothing cannot be built.

    Attributes:
        action: the right, such as `index:read`; a door's rules say who has it.
        kind: of the thing that something is done to, such as `project`.
        is_named_later: which thing it is turns out later: whoever may do it to some is let in, and the door asks again.
        is_personal: the answer depends on who asks, also where anyone may ask.
    """

    action: str
    kind: str
    is_named_later: bool = False
    is_personal: bool = False

    @property
    def thing(self) -> Thing:
        """What is known of the thing when a request comes."""
        return Thing(self.kind, is_any=self.is_named_later)


PUBLIC = Needs("hub:see", "hub")
"""For what anyone may see of a hub, whatever it keeps from whom."""


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that a door answers.

    Attributes:
        methods: such as `("GET",)`; GET brings HEAD.
        path: `/i/{project}/{file}.metadata`; a placeholder stands for one segment of the raw path, or for a part of
            it, and arrives decoded in `request.path_params`. `{path*}`, the last one, stands for one segment or more.
        endpoint: takes the request, returns the response or raises a `Problem`.
        needs: who may come in.
        says: what it answers, for the reference, where the endpoint's docstring does not.
        in_words: refusals say their reason in the status line and as plain text: what uploading clients show.
        renderer: how errors look in the route's protocol; None: as problem documents.
        fits: whether the placeholders, decoded, can name a thing of the route's; else it is not there. None: all can.
        origins: of pages elsewhere whose scripts may read the answers, errors included (never with cookies).
        ready: answers where nothing has to be waited for, and says whether it did; else `endpoint` is asked.

    Raises:
        ValueError: the path is none, or `needs` is not declared.
    """

    methods: tuple[str, ...]
    path: str
    endpoint: Endpoint
    needs: Needs
    says: str = ""
    in_words: bool = False
    renderer: Renderer | None = None
    fits: Fits | None = None
    origins: frozenset[str] = frozenset()
    ready: Ready | None = None
    segments: tuple[_Segment, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.needs, Needs):
            raise ValueError(f"route {self.path} does not declare what it needs")  # noqa: TRY004 - one error for both
        if not self.path.startswith("/"):
            raise ValueError(f"route {self.path!r} does not begin with a slash")
        object.__setattr__(self, "segments", tuple(_Segment.parse(piece) for piece in self.path[1:].split("/")))


_Shape = tuple[bytes, bool, bytes, bool]


@dataclass(frozen=True, slots=True)
class _Segment:
    prefix: bytes
    name: str | None
    suffix: bytes
    is_rest: bool = False

    @classmethod
    def parse(cls, text: str) -> _Segment:
        rest = _REST.fullmatch(text)
        if rest is not None:
            return cls(b"", rest["name"], b"", is_rest=True)
        match = _SEGMENT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no segment of a route: write a literal or prefix{{name}}suffix")
        return cls(match["prefix"].encode(), match["name"], (match["suffix"] or "").encode())

    @property
    def shape(self) -> _Shape:
        """What it fits, whatever its placeholder is called."""
        return self.prefix, self.name is None, self.suffix, self.is_rest

    @property
    def rank(self) -> int:
        """Literals go before placeholders, and among those the ones with more literal text first."""
        if self.is_rest:
            return 1
        return -1_000_000 if self.name is None else -len(self.prefix) - len(self.suffix)

    def match(self, raw: bytes) -> bytes | None:
        """What the placeholder stands for (nothing, for a literal); None where the segment does not fit."""
        if self.name is None:
            return b"" if raw == self.prefix else None
        inner = raw.removeprefix(self.prefix) if self.prefix else raw
        if self.prefix and len(inner) == len(raw):
            return None
        if self.suffix:
            if not inner.endswith(self.suffix):
                return None
            inner = inner[: -len(self.suffix)]
        return inner or None


@dataclass(frozen=True, slots=True)
class _Answer:
    """A door's name and its route; whether anyone may use it."""

    door: str
    route: Route
    is_open: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """What answers at one path, by method; the placeholders' values."""

    answers: Mapping[str, _Answer]
    params: Mapping[str, str]
    allow: str


class Router:
    """All routes of all doors, as an ASGI application.

    Args:
        doors: each door's name and its routes.
        gate: lets in whom a route's declaration lets in; without one every route is open to anyone.

    Raises:
        ValueError: two routes answer the same method of the same path; a route needs a right that no door declares.
    """

    def __init__(self, doors: Mapping[str, Sequence[Route]], gate: Gate | None = None) -> None:
        self._gate = gate
        self._table: dict[tuple[bytes | None, int], list[_Answer]] = {}
        self._remembered: dict[bytes, _Place] = {}
        taken: set[tuple[str, tuple[_Shape, ...]]] = set()
        for door, routes in doors.items():
            for route in routes:
                shape = tuple(segment.shape for segment in route.segments)
                for method in route.methods:
                    if (method, shape) in taken:
                        raise ValueError(f"two routes answer {method} {route.path}")
                    taken.add((method, shape))
                first = route.segments[0]
                length = MANY if route.segments[-1].is_rest else len(route.segments)
                key = (first.prefix if first.name is None else None, length)
                self._table.setdefault(key, []).append(_Answer(door, route, self._is_open(route)))
        for candidates in self._table.values():
            candidates.sort(key=lambda candidate: [segment.rank for segment in candidate.route.segments])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise what stands in the way.

        Raises:
            Problem: 400 for a path that nothing can be called by, 404, 405.
        """
        raw_path: bytes = scope["raw_path"]
        place = self._remembered.get(raw_path) or self._find(raw_path)
        if place is None:
            raise Problem(404, "Not found", f"There is nothing at {raw_path.decode('ascii', 'replace')}.")
        found = place.answers.get(scope["method"])
        if found is None:
            await self._answer_without_route(place, scope, receive, send)
            return
        route = found.route
        exchange = exchange_of(scope)
        exchange.door = found.door
        exchange.in_words = route.in_words
        exchange.renderer = route.renderer
        if route.origins:
            exchange.more = _shared_with(exchange.headers.get(b"origin", b""), route.origins)
        scope["path_params"] = place.params
        if found.is_open:
            if route.needs.is_personal and self._gate is not None and self._gate.has_credentials(scope):
                await self._gate.recognise(scope, found.door)
        elif self._gate is not None:
            await self._gate.admit(scope, found.door, route.needs.action, route.needs.thing)
        if route.ready is None or not route.ready(scope):
            response = await route.endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

    def _is_open(self, route: Route) -> bool:
        action = route.needs.action
        if self._gate is None or action == PUBLIC.action:
            if route.needs != PUBLIC:
                raise ValueError(f"route {route.path} needs {action}, and there is nobody to ask for it")
            return True
        if not self._gate.is_declared(action):
            raise ValueError(f"route {route.path} needs {action}, and no door says who has it")
        return self._gate.is_open(action)

    def _find(self, raw_path: bytes) -> _Place | None:
        if not raw_path.startswith(b"/"):
            return _EVERYWHERE if raw_path == b"*" else None
        segments = raw_path[1:].split(b"/")
        fitting = [
            (answer, values)
            for key in (
                (segments[0], len(segments)),
                (None, len(segments)),
                (segments[0], MANY),
                (None, MANY),
            )
            for answer in self._table.get(key, ())
            if (values := _values(answer.route, segments)) is not None
        ]
        if not fitting:
            return None
        _, params = fitting[0]
        answers: dict[str, _Answer] = {}
        for answer, values in fitting:
            if values.keys() == params.keys():  # the most literal shape that fits has the path to itself
                for method in answer.route.methods:
                    answers.setdefault(method, answer)
        if "GET" in answers:
            answers.setdefault("HEAD", answers["GET"])
        decoded = {name: _decoded(value) for name, value in params.items()}
        place = _Place(answers, decoded, ", ".join(sorted({*answers, "OPTIONS"})))
        if len(raw_path) <= REMEMBERED_LENGTH:
            if len(self._remembered) >= REMEMBERED_PATHS:
                self._remembered.clear()
            self._remembered[raw_path] = place
        return place

    async def _answer_without_route(self, place: _Place, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "OPTIONS":
            for answer in place.answers.values():  # of one door, which has one tongue at one path
                exchange_of(scope).renderer = answer.route.renderer
            raise Problem(
                405,
                "Method not allowed",
                f"{scope['method']} is not answered at {scope['raw_path'].decode('ascii', 'replace')}.",
                remedy=f"It answers {place.allow}.",
                headers={"Allow": place.allow},
            )
        await Response(status_code=204, headers={"Allow": place.allow})(scope, receive, send)


_EVERYWHERE = _Place({}, {}, "GET, HEAD, OPTIONS")  # OPTIONS * (RFC 9110 section 9.3.7)


def _shared_with(origin: bytes, origins: frozenset[str]) -> tuple[tuple[bytes, bytes], ...]:
    """What lets a page's script read the answer (Fetch, section "CORS protocol"); never with cookies."""
    if origin.decode("latin-1") not in origins:
        return ((b"vary", b"Origin"),)
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    )


_EXPOSED = b"ETag, DAV, Lock-Token, Content-Range, Last-Modified, Location, Preference-Applied"


def _values(route: Route, segments: list[bytes]) -> dict[str, bytes] | None:
    values: dict[str, bytes] = {}
    last = len(route.segments) - 1
    if route.segments[last].is_rest:
        if len(segments) <= last:
            return None
        segments = [*segments[:last], b"/".join(segments[last:])]
    for segment, raw in zip(route.segments, segments, strict=True):
        value = segment.match(raw)
        if value is None:
            return None
        if segment.name is not None:
            values[segment.name] = value
    if route.fits is not None and not route.fits({name: _decoded(value) for name, value in values.items()}):
        return None
    return values


def _decoded(raw: bytes) -> str:
    """One segment as people write it.

    Raises:
        Problem: a broken escape, no UTF-8, or control characters: nothing of ours is called so, and they would get
            into logs, headers and PostgreSQL, which takes no NUL.
    """
    if _BROKEN_ESCAPE.search(raw):
        raise _unreadable("a % in it is not followed by two hexadecimal digits")
    try:
        text = unquote_to_bytes(raw).decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise _unreadable("it is no UTF-8") from error
    if _CONTROL.search(text):
        raise _unreadable("it has a control character in it")
    return text


def _unreadable(reason: str) -> Problem:
    return Problem(400, "Bad path", f"The path that was asked for cannot be read: {reason}.")
