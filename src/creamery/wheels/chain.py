"""Upstreams of built wheels: another hub's `/w/`, or an old curd-server. What is not here is looked for there.

A wheel that is found is brought, checked as a push is, and kept in a ring of its own behind the hub's. Through a hub
its record comes along, so that what was built with flags is not taken for what everybody would build.

A dead upstream is waited for once; then looked for in the background, and nobody waits. Whoever asks through several
hubs that ask each other is answered by the first that is asked twice: each passes on through whom it was asked
(`Via`, RFC 9110 section 7.6.3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import orjson

from creamery.accounts import HUB
from creamery.blobs import BlobError, Part
from creamery.contract import Digest, InvalidName, NotADigest, ProjectName, parse_digest, parse_filename
from creamery.door import Hub
from creamery.egress import Answer, EgressError, Origin
from creamery.http import exchange_of
from creamery.index import BadArchive
from creamery.journal import By
from creamery.limits import MIB
from creamery.sharing import Sharing, hear
from creamery.telemetry import log
from creamery.wheels.place import UPSTREAM, BuiltFile, Place, Pushed, PushRefused
from creamery.wheels.pushing import Pushing, check_name
from creamery.wheels.records import read_record

FRESH_SECONDS = 10.0
"""How long an upstream's list of a project's wheels is believed."""
FOLLOW_SECONDS = 60.0
"""How often a project's wheels are brought for the page that lists them, at most."""
FOLLOWED = 50
"""How many of a project at once, the newest first."""
LIST_BYTES = 16 * MIB
MOST_LISTS = 2_000
LONGEST_VIA = 4_000


@dataclass(frozen=True, slots=True)
class Remote:
    """A wheel that an upstream has.

    Attributes:
        url: where.
        entry: what a hub says of it; None: an old server's, or one that was pushed by its name alone.
    """

    upstream: Upstream
    filename: str
    digest: Digest
    url: str
    size: int = 0
    entry: Mapping[str, Any] | None = None

    @property
    def file(self) -> BuiltFile:
        """As one that is here."""
        said = parse_filename(self.filename)
        return BuiltFile(self.filename, said.project, str(said.version), self.size, self.digest)


@dataclass(slots=True, eq=False)
class Upstream:
    """One of them.

    Attributes:
        base: its address, ending in a slash.
        is_hub: it knows keys; None: nobody has asked yet.
        down_until: by `Clock.monotonic`: until then nobody waits for it.
    """

    origin: Origin
    base: str
    is_hub: bool | None = None
    down_until: float = 0.0
    looking: asyncio.Task[None] | None = None
    lists: dict[ProjectName, tuple[float, list[Remote]]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """For people."""
        return urlsplit(self.base).netloc


class NoAnswer(Exception):
    """This upstream has nothing to say now."""


class Chain:
    """All upstreams, in their order. Used on the event loop only."""

    def __init__(self, hub: Hub, pushing: Pushing, place: Place) -> None:
        self._blobs = hub.blobs
        self._clock = hub.clock
        self._egress = hub.egress
        self._limits = hub.settings.limits
        self._place = place
        self._pushing = pushing
        self._upstreams = [_upstream(url.get_secret_value()) for url in hub.settings.wheels.upstreams]
        self._sharing: Sharing[Any] = Sharing()
        self._followed: dict[ProjectName, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = hub.telemetry.counter("wheels_upstream", "Questions to upstreams of built wheels.", ["result"])

    @property
    def is_empty(self) -> bool:
        """Are there none?"""
        return not self._upstreams

    async def close(self) -> None:
        """End what is brought in the background."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def files_of(self, project: ProjectName, via: str) -> list[BuiltFile]:
        """What upstreams have of a project, each name once."""
        found: dict[str, BuiltFile] = {}
        for remote in await self._listed(project, via):
            found.setdefault(remote.filename, remote.file)
        return list(found.values())

    async def bring_file(self, filename: str, via: str) -> BuiltFile | None:
        """Have a wheel of that name here; None: no upstream has it, or it is not sound."""
        try:
            project = parse_filename(filename).project
        except InvalidName:
            return None
        for remote in await self._listed(project, via):
            if remote.filename == filename and await self._bring(remote, via):
                return await self._place.find(filename, (UPSTREAM,))
        return None

    async def bring_key(self, key: Digest, via: str) -> bool:
        """Have the wheel of that key here; False: no upstream has it, or it is not sound."""
        for upstream in self._upstreams:
            try:
                if not await self._is_hub(upstream, via):
                    continue
                told = await self._json(upstream, f"v1/entries/{key}", via)
            except NoAnswer:
                continue
            if told is not None and await self._bring(_remote(upstream, told), via):
                return True
        return False

    async def look_up(self, keys: Sequence[Digest], via: str) -> dict[Digest, Mapping[str, Any]]:
        """Of these keys those that some hub has, and what it says of each."""
        found: dict[Digest, Mapping[str, Any]] = {}
        for upstream in self._upstreams:
            missing = [key for key in keys if key not in found]
            if not missing:
                break
            try:
                if not await self._is_hub(upstream, via):
                    continue
                told = await self._json(upstream, "v1/lookup", via, {"keys": missing})
            except NoAnswer:
                continue
            answers = told.get("keys") if isinstance(told, dict) else None
            for key in missing:
                said = answers.get(key) if isinstance(answers, dict) else None
                if isinstance(said, dict) and said.get("state") == "hit":
                    found[key] = said
        return found

    def follow(self, project: ProjectName) -> None:
        """Bring what upstreams have of a project in the background, so that its page lists it the next time."""
        now = self._clock.monotonic()
        if not self._upstreams or self._followed.get(project, -FOLLOW_SECONDS) > now - FOLLOW_SECONDS:
            return
        if len(self._followed) >= MOST_LISTS:
            self._followed.clear()
        self._followed[project] = now
        task = asyncio.create_task(self._follow(project))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Steps

    async def _follow(self, project: ProjectName) -> None:
        here = {file.filename for file in await self._place.files_of(project, (UPSTREAM,), hashed=False)}
        remotes = [remote for remote in await self._listed(project, "") if remote.filename not in here]
        newest = sorted(remotes, key=lambda remote: parse_filename(remote.filename).version, reverse=True)
        for remote in newest[:FOLLOWED]:
            await self._bring(remote, "")

    async def _listed(self, project: ProjectName, via: str) -> list[Remote]:
        found: list[Remote] = []
        for upstream in self._upstreams:
            known = upstream.lists.get(project)
            if known is not None and known[0] > self._clock.monotonic() - FRESH_SECONDS:
                found += known[1]
                continue
            try:
                remotes = await self._sharing.once(
                    (upstream.base, project), partial(self._list, upstream, project, via)
                )
            except NoAnswer:
                continue
            if len(upstream.lists) >= MOST_LISTS:
                upstream.lists.clear()
            upstream.lists[project] = self._clock.monotonic(), remotes
            found += remotes
        return found

    async def _list(self, upstream: Upstream, project: ProjectName, via: str) -> list[Remote]:
        is_hub = await self._is_hub(upstream, via)
        told = await self._json(upstream, f"v1/projects/{project}" if is_hub else f"api/{project}", via)
        remotes = []
        for said in _of_hub(told) if is_hub else _of_server(told):
            try:
                remote = _remote(upstream, said)
            except NoAnswer:
                log.warning("wheels.upstream_nonsense", upstream=upstream.host, project=project)
                continue
            if remote.file.project == project and remote.filename.endswith(".whl"):
                remotes.append(remote)
        return remotes

    async def _bring(self, remote: Remote, via: str) -> bool:
        """Once for all who ask together, and in the same way: of two hubs that ask each other none waits for both."""
        key = (remote.upstream.base, remote.filename, remote.digest, via)
        return bool(await self._sharing.once(key, lambda: self._fetch(remote, via)))

    async def _fetch(self, remote: Remote, via: str) -> bool:
        upstream, filename = remote.upstream, check_name(remote.filename)
        part = None
        try:
            record, said = await self._said(remote, via)
            part = self._blobs.begin(remote.size or None, f"{filename} of {upstream.host}")
            await self._download(remote, via, part)
            told = None if record is None else read_record(record, remote_key(remote), filename, said)
            by = By(self._clock.now(), f"upstream {upstream.host}")
            await self._pushing.take(Pushed(filename, part, HUB, by, UPSTREAM, told))
        except (NoAnswer, EgressError, BlobError, BadArchive, PushRefused) as error:
            if part is not None:
                await part.drop_soon()
            log.warning("wheels.not_brought", file=filename, upstream=upstream.host, reason=str(error))
            self._asked.labels("refused").inc()
            return False
        self._asked.labels("brought").inc()
        return True

    async def _download(self, remote: Remote, via: str, part: Part) -> None:
        async with self._ask(remote.upstream, "GET", remote.url, via, patience=None) as answer:
            if answer.status != HTTPStatus.OK:
                raise NoAnswer(f"it answers {answer.status}")
            async for chunk in answer.chunks():
                await part.write(chunk)
        await part.finish(remote.digest)

    async def _said(self, remote: Remote, via: str) -> tuple[str | None, str | None]:
        """The record of a build, and its log."""
        entry = remote.entry
        if entry is None or not isinstance(entry.get("record"), dict):
            return None, None
        said = None
        if isinstance(entry.get("log"), str):
            url = f"v1/entries/{remote_key(remote)}/log"
            async with self._ask(remote.upstream, "GET", urljoin(remote.upstream.base, url), via) as answer:
                if answer.status == HTTPStatus.OK:
                    body = await answer.body(self._limits.form_field_bytes, self._limits.upstream_page_seconds)
                    said = body.decode("utf-8", "replace")
        return orjson.dumps(entry["record"]).decode(), said

    async def _is_hub(self, upstream: Upstream, via: str) -> bool:
        if upstream.is_hub is None:
            told = await self._json(upstream, "v1/lookup", via, {"keys": []})
            upstream.is_hub = isinstance(told, dict) and "keys" in told
        return upstream.is_hub

    async def _json(self, upstream: Upstream, path: str, via: str, body: object = None) -> Any:
        """What it answers; None: it has no such thing.

        Raises:
            NoAnswer: it is down, or talks nonsense; or it is asked already, which tells nothing of what it has, or is.
        """
        url = urljoin(upstream.base, path)
        try:
            content = None if body is None else orjson.dumps(body)
            async with self._ask(upstream, "GET" if body is None else "POST", url, via, content) as answer:
                if answer.status == HTTPStatus.LOOP_DETECTED:
                    self._asked.labels("loop").inc()
                    raise NoAnswer("it is asked already")
                if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
                    self._asked.labels("miss").inc()
                    return None
                if answer.status != HTTPStatus.OK:
                    self._asked.labels("refused").inc()
                    log.warning("wheels.upstream_refuses", upstream=upstream.host, path=path, status=answer.status)
                    raise NoAnswer(f"it answers {answer.status}")
                told = orjson.loads(await answer.body(LIST_BYTES, self._limits.upstream_page_seconds))
        except (EgressError, orjson.JSONDecodeError) as error:
            raise NoAnswer(str(error)) from error
        self._asked.labels("hit").inc()
        return told

    @asynccontextmanager
    async def _ask(
        self,
        upstream: Upstream,
        method: str,
        url: str,
        via: str,
        body: bytes | None = None,
        *,
        patience: float | None = 0.0,
    ) -> AsyncIterator[Answer]:
        """Ask, waiting no longer than for a page that could be served stale; `patience=None`: as for a file."""
        if upstream.down_until and asyncio.current_task() is not upstream.looking:
            if upstream.down_until <= self._clock.monotonic():
                self._look(upstream)
            raise NoAnswer(f"{upstream.host} did not answer a moment ago")
        seconds = None if patience is None else self._limits.upstream_stale_seconds
        headers = {"Accept": "application/json"} | ({"Via": via} if via else {})
        headers |= {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self._egress.request(
                method,
                url,
                origin=upstream.origin,
                headers=headers,
                body=body,
                connect_seconds=seconds,
                silent_seconds=seconds,
            ) as answer:
                yield answer
        except EgressError as error:
            if not error.answered:
                upstream.down_until = self._clock.monotonic() + self._limits.breaker_seconds
                upstream.is_hub = None
                self._asked.labels("down").inc()
                log.warning("wheels.upstream_down", upstream=upstream.host, reason=str(error))
            raise

    def _look(self, upstream: Upstream) -> None:
        """Find out in the background whether it is there again; until then it is down for all others."""
        if upstream.looking is not None and not upstream.looking.done():
            return

        async def look() -> None:
            with suppress(NoAnswer):
                await self._is_hub(upstream, "")
                upstream.down_until = 0.0

        upstream.looking = asyncio.create_task(look())
        upstream.looking.add_done_callback(hear)


def remote_key(remote: Remote) -> Digest:
    """The key that a hub says.

    Raises:
        NoAnswer: it says none.
    """
    try:
        return parse_digest(str((remote.entry or {}).get("key")))
    except NotADigest as error:
        raise NoAnswer(str(error)) from error


def _upstream(url: str) -> Upstream:
    origin = Origin.parse(url)
    return Upstream(origin, origin.url if origin.url.endswith("/") else origin.url + "/")


def _remote(upstream: Upstream, said: Mapping[str, Any]) -> Remote:
    """One that is told of.

    Raises:
        NoAnswer: that is no wheel.
    """
    try:
        filename = check_name(str(said["filename"]))
        digest = parse_digest(str(said["sha256"]))
        size = max(0, int(said.get("size", 0)))
    except (KeyError, ValueError, TypeError, PushRefused, NotADigest) as error:
        raise NoAnswer(f"{upstream.host} tells of what is no wheel: {error}") from error
    is_entry = "key" in said
    path = f"f/{digest}/{quote(filename)}" if is_entry else f"p/{quote(filename)}"
    return Remote(upstream, filename, digest, urljoin(upstream.base, path), size, said if is_entry else None)


def _of_hub(told: object) -> list[Mapping[str, Any]]:
    wheels = told.get("wheels") if isinstance(told, dict) else None
    return [each for each in wheels if isinstance(each, dict)] if isinstance(wheels, list) else []


def _of_server(told: object) -> list[Mapping[str, Any]]:
    """As Curdling's server lists them: versions with addresses."""
    found: list[Mapping[str, Any]] = []
    for release in told if isinstance(told, list) else ():
        urls = release.get("urls") if isinstance(release, dict) else None
        for each in urls if isinstance(urls, list) else ():
            if isinstance(each, dict) and isinstance(each.get("url"), str):
                filename = unquote(each["url"].partition("?")[0].partition("#")[0].rpartition("/")[2])
                found.append({"filename": filename, "sha256": each.get("sha256")})
    return found


def via_of(scope: Mapping[str, Any]) -> str:
    """Through whom a request has come; more than so much of it is nonsense."""
    return exchange_of(scope).headers.get(b"via", b"")[:LONGEST_VIA].decode("latin-1")
