"""Asking upstream indexes for a project's page: in order, conditionally, never when they are known to be down.

Several upstreams are asked in their order, and the first that has a name owns it, for ever: only a clear "no such
project" (404) leads to the next, an upstream that cannot be asked does not. Otherwise an outage would let a stranger's
project of the same name slip in. Who owns a name is changed by command alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from http import HTTPStatus
from itertools import count
from urllib.parse import unquote, urlsplit

from yarl import URL

from creamery.clock import Clock
from creamery.contract import Digest, InvalidName, ProjectName, digest_of, normalize, parse_filename
from creamery.egress import Answer, BadAnswer, Egress, EgressError, Origin, TooSlow, Unreachable, public_reason
from creamery.index.breaker import Breaker
from creamery.index.parsing import JSON_TYPE, NotAPage, parse_page
from creamery.index.project import KeptFile, Owner, ProjectPage
from creamery.sections import Upstream
from creamery.settings import Settings
from creamery.telemetry import Telemetry, log
from creamery.threads import Pools

ACCEPT = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

LOOK_SECONDS = 2.0
PATIENT_EVERY = 5
"""How long a look at a dead upstream lasts, and which one lasts as long as any request: some are alive and slow."""


Privacy = Callable[[ProjectName], Awaitable[str | None]]
"""Why no upstream may hear a name at this moment; None: it may."""


class UpstreamDown(Exception):
    """An upstream cannot be asked now.

    Attributes:
        upstream: its address, for the log.
        reason: what stands in the way, as anybody may read it.
    """

    def __init__(self, upstream: str, reason: str) -> None:
        super().__init__(f"{upstream} {reason}")
        self.upstream = upstream
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as an upstream sent it. `page` is None where ours is current: it said so (304), or sent the same bytes."""

    upstream: str
    page: ProjectPage | None
    page_digest: Digest | None
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class Validators:
    """What an upstream gave us with the page that we have."""

    upstream: str
    etag: str | None
    last_modified: str | None
    page_digest: Digest | None


class Upstreams:
    """The configured upstreams, with a breaker for each host. Used on the event loop only."""

    def __init__(
        self, settings: Settings, egress: Egress, pools: Pools, clock: Clock, telemetry: Telemetry, *, privacy: Privacy
    ) -> None:
        """`privacy` is asked before each request: a name may have become private while its answer was waited for."""
        self._limits = settings.limits
        self._pools = pools
        self._privacy = privacy
        self._unanswered: dict[ProjectName, Origin] = {}
        self._egress = egress
        self._clock = clock
        self._default_max_age = settings.index.max_age
        self.configured = tuple(_Configured.of(upstream) for upstream in settings.resolved_upstreams())
        self._max_ages = {each.origin.url: self._strictest_age(each.origin.url) for each in self.configured}
        self._least_age = self._strictest_age(None)
        self._breakers: dict[str, Breaker] = {}
        self._probes: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._seconds = telemetry.histogram(
            "index_upstream_seconds", "Time until an upstream's answer began.", ["kind"]
        )
        self._failures = telemetry.counter("index_upstream_failures", "Failures to get an answer.", ["host"])
        self._open = telemetry.gauge("index_upstream_down", "1 while an upstream counts as down.", ["host"])

    def breaker(self, url: str) -> Breaker:
        """The breaker of an address's host."""
        host = urlsplit(url).netloc
        if host not in self._breakers:
            self._breakers[host] = Breaker(host, self._limits, self._clock)
        return self._breakers[host]

    def breakers(self) -> list[Breaker]:
        """Of every host that was ever asked."""
        return list(self._breakers.values())

    def max_age(self, upstream: str | None) -> float:
        """Seconds for which an answer of this upstream is fresh; without one, the strictest of all."""
        if upstream is None:
            return self._least_age
        return self._max_ages.get(upstream, self._default_max_age)

    def _strictest_age(self, upstream: str | None) -> float:
        ages = [
            self._default_max_age if each.max_age is None else each.max_age
            for each in self.configured
            if upstream in {None, each.origin.url}
        ]
        return min(ages, default=self._default_max_age)

    def first_down(self, name: ProjectName, owner: Owner | None) -> Breaker | None:
        """The first of the upstreams that would be asked for a name which is known to be down, where one is."""
        breakers = (self.breaker(each.origin.url) for each in self._asked(name, owner))
        return next((breaker for breaker in breakers if breaker.is_open), None)

    def why_unanswerable(self, name: ProjectName, owner: Owner) -> str | None:
        """Why nobody may be asked for a name that an upstream owns; None: somebody may."""
        if owner.upstream is None or self._asked(name, owner):
            return None
        if self.origin_for(owner.upstream) is None:
            return "is configured no more, and owns the name (`creamery index assign` gives it to another)"
        return "owns the name and may not answer for it (its `names`)"

    def asked_for(self, name: ProjectName, owner: Owner | None) -> tuple[str, ...]:
        """The addresses of those who would be asked for a name, in order. From any thread."""
        return tuple(each.origin.url for each in self._asked(name, owner))

    def _asked(self, name: ProjectName, owner: Owner | None) -> list[_Configured]:
        """Who would be asked for a name, in order: its owner; where nobody owns it, or it is merged, all who may be."""
        may = [each for each in self.configured if any(fnmatchcase(name, pattern) for pattern in each.names)]
        if owner is None or owner.upstream is None or owner.merged:
            return may
        return [each for each in may if each.origin.url == owner.upstream]

    def why_unasked(self, file: KeptFile) -> str | None:
        """Why a file's origin is not asked for it; None: it is. Whoever may not hear a name may not hear its files."""
        owner = file.owner
        if file.origin is None or not owner.is_asked_upstream:
            return "is asked for no file of a name that is claimed here"
        found = next((each for each in self.configured if each.origin.url == file.origin), None)
        if found is None:
            return "is configured no more"
        if not any(fnmatchcase(owner.name, pattern) for pattern in found.names):
            return "may not answer for the name (its `names`)"
        return None

    def refuse_unasked(self, file: KeptFile) -> None:
        """Before a file, or its METADATA, is fetched.

        Raises:
            UpstreamDown: the file's origin is not asked for it.
        """
        reason = self.why_unasked(file)
        if reason is not None:
            raise UpstreamDown(file.origin or "the hub", reason)

    async def refuse_private(self, name: ProjectName) -> None:
        """Before each request that tells a name, for it may have been claimed or reserved this moment.

        Raises:
            UpstreamDown: no upstream may hear it.
        """
        reason = await self._privacy(name)
        if reason is not None:
            raise UpstreamDown(name, f"is not asked: {reason}")

    async def _without_private_names(self, url: str) -> str:
        """The address, or its host's root where it tells a name that has become private."""
        name = self._name_in(url)
        if name is None or await self._privacy(name) is None:
            return url
        return str(URL(url).origin()) + "/"

    def _name_in(self, url: str) -> ProjectName | None:
        """The project that an address of a page or a file tells of; None: of none."""
        page = next(
            (url.removeprefix(each.origin.url) for each in self.configured if url.startswith(each.origin.url)), ""
        )
        last = url.rpartition("/")[2].removesuffix(".metadata")
        try:
            return normalize(page.rstrip("/")) if page.endswith("/") else parse_filename(unquote(last)).project
        except InvalidName:
            return None

    def patience(self) -> float:
        """Seconds to wait for all of them where something older can be served."""
        return max((self.breaker(each.origin.url).patience for each in self.configured), default=0.0)

    def origin_for(self, upstream: str | None) -> Origin | None:
        """The configured origin of that address; None where it is configured no more: then only public hosts count."""
        return next((each.origin for each in self.configured if each.origin.url == upstream), None)

    async def fetch(self, name: ProjectName, owner: Owner | None, validators: Validators | None) -> Fetched | None:
        """Ask for a project's page: whoever owns the name, else each upstream in order; None: none of them has it.

        Raises:
            UpstreamDown: one that comes first cannot be asked.
        """
        if owner is not None and (reason := self.why_unanswerable(name, owner)) is not None:
            raise UpstreamDown(str(owner.upstream), reason)
        if owner is not None and owner.merged:
            return await self._fetch_merged(name, owner, validators)
        for each in self._asked(name, owner):
            known = validators if validators is not None and validators.upstream == each.origin.url else None
            fetched = await self._ask(each.origin, name, known)
            if fetched is not None:
                return fetched
        return None

    async def _ask(self, origin: Origin, name: ProjectName, known: Validators | None) -> Fetched | None:
        self._unanswered[name] = origin
        try:
            return await self._fetch_from(origin, name, known)
        finally:
            self._unanswered.pop(name, None)

    async def _fetch_merged(self, name: ProjectName, owner: Owner, validators: Validators | None) -> Fetched | None:
        """The pages of all who have it, as one; of a file that two have, the first one's counts."""
        found = [
            each for upstream in self._asked(name, owner) if (each := await self._ask(upstream.origin, name, None))
        ]
        pages = [each.page for each in found if each.page is not None]
        if not pages:
            return None
        digest = digest_of("".join(str(each.page_digest) for each in found).encode())
        first = found[0].upstream
        if validators is not None and validators.page_digest == digest:
            return Fetched(first, None, digest, None, None)
        files = {
            file.filename: replace(file, origin=each.upstream)
            for each in reversed(found)
            if each.page is not None
            for file in each.page.files
        }
        versions = tuple(dict.fromkeys(version for page in pages for version in page.versions or ()))
        marked = tuple(each.upstream for each in found if each.page is not None and each.page.status == "quarantined")
        merged = replace(
            next((page for page in pages if page.status != "quarantined"), pages[0]),
            files=tuple(files.values()),
            versions=versions or None,
            quarantined=marked,
        )
        return Fetched(first, merged, digest, None, None)

    async def close(self) -> None:
        """End the looks that are under way, and the reading of pages."""
        self._is_closing = True
        for probe in list(self._probes):
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)

    async def _fetch_from(self, origin: Origin, name: ProjectName, known: Validators | None) -> Fetched | None:
        breaker = self.breaker(origin.url)
        self.refuse_if_down(breaker, origin.url)
        await self.refuse_private(name)
        url = f"{origin.url}{name}/"
        headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip, zstd"}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        started = self._clock.monotonic()
        try:
            async with self._egress.request("GET", url, origin=origin, headers=headers) as answer:
                self._unanswered.pop(name, None)
                seconds = self._clock.monotonic() - started
                self._seconds.labels("page").observe(seconds)
                if is_no_answer(answer.status):
                    raise BadAnswer(answer.url, f"it answered {answer.status}")
                if answer.status == HTTPStatus.NOT_MODIFIED and known is not None:
                    fetched = Fetched(origin.url, None, known.page_digest, known.etag, known.last_modified)
                elif answer.status == HTTPStatus.OK:
                    fetched = await self._page(answer, origin, name, known)
                elif answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
                    fetched = None
                else:  # it is alive and refuses this one project, or us
                    self.heard(breaker, url, seconds)
                    raise UpstreamDown(origin.url, f"answered {answer.status} for {name}")
        except EgressError as error:
            raise self.failed(breaker, origin, url, error) from error
        self.heard(breaker, url, seconds)
        return fetched

    async def _page(self, answer: Answer, origin: Origin, name: ProjectName, known: Validators | None) -> Fetched:
        content_type = answer.headers.get("Content-Type", "")
        body = await answer.body(self._limits.upstream_page_bytes, self._limits.upstream_page_seconds)

        def read() -> tuple[ProjectPage | None, Digest]:
            digest = digest_of(body)
            if known is not None and known.page_digest == digest:
                return None, digest
            until = self._clock.monotonic() + self._limits.upstream_page_seconds
            return parse_page(
                body,
                content_type,
                name=name,
                url=answer.url,
                max_files=self._limits.page_files,
                is_late=lambda: self._is_closing or self._clock.monotonic() > until,
            ), digest

        try:
            page, digest = await self._pools.cpu.run(read)
        except NotAPage as error:
            raise BadAnswer(answer.url, f"it is no project page: {error}") from error
        etag, last_modified = _validator(answer, "ETag", 1024), _validator(answer, "Last-Modified", 64)
        return Fetched(origin.url, page, digest, etag, last_modified)

    def refuse_if_down(self, breaker: Breaker, url: str) -> None:
        """Nobody waits for a host that counts as down; but now somebody wants it, so it is looked at soon.

        Raises:
            UpstreamDown: it does.
        """
        if breaker.outage is not None:
            breaker.wanted.set()
            raise UpstreamDown(url, breaker.outage.reason)

    def heard(self, breaker: Breaker, url: str, seconds: float) -> None:
        """An upstream's host answered."""
        if breaker.answered(url, seconds):
            log.warning("upstream.back", host=breaker.host)
            self._open.labels(breaker.host).set(0)

    def failed(self, breaker: Breaker, origin: Origin | None, url: str, error: EgressError) -> UpstreamDown:
        """An upstream's host did not answer, or not sensibly; begins to look for its return where it counts as down.

        What went wrong once an answer had begun may be about this address only.
        """
        reason = public_reason(error)
        self._failures.labels(breaker.host).inc()
        if isinstance(error, (Unreachable, TooSlow)) and not error.answered:
            opened = breaker.unreachable(url, reason, is_certain=is_about_the_host(error))
        else:
            opened = breaker.refused(url, reason)
        log.warning("upstream.failed", url=url, reason=str(error), down=breaker.is_open)
        if opened:
            self._look_for(breaker, origin, url)
        return UpstreamDown(url, reason)

    def silent(self, name: ProjectName) -> None:
        """Nobody waits any longer for this project's page: the upstream that owes an answer counts as down.

        One that has begun to answer, and is slow to end, does not.
        """
        origin = self._unanswered.get(name)
        if origin is None:
            return
        breaker, url = self.breaker(origin.url), f"{origin.url}{name}/"
        if breaker.unreachable(url, f"did not answer within {breaker.patience:.1f} s"):
            log.warning("upstream.silent", host=breaker.host, seconds=breaker.patience)
            self._look_for(breaker, origin, url)

    def _look_for(self, breaker: Breaker, origin: Origin | None, url: str) -> None:
        """The host is down: look in the background, at growing distances, until it answers again."""
        self._open.labels(breaker.host).set(1)
        probe = asyncio.get_running_loop().create_task(self._look_until_back(breaker, origin, url))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    async def _look_until_back(self, breaker: Breaker, origin: Origin | None, url: str) -> None:
        for number in count(1):
            if not breaker.is_open:
                return
            await breaker.pass_pause()
            asked = [asyncio.create_task(self._look(breaker, origin, url))]
            elsewhere = breaker.other_than(url)
            if elsewhere is None and origin is not None and url.startswith(origin.url):
                elsewhere = origin.url
            if elsewhere is not None:
                asked.append(asyncio.create_task(self._look(breaker, origin, elsewhere)))
            try:
                if await self._first_answer(asked, patient=number % PATIENT_EVERY == 0):
                    if not (asked[0].done() and asked[0].result()):
                        breaker.blame(url)  # at once, or its next silence takes the host down again
                        await asyncio.wait(asked[:1], timeout=breaker.patience)
                    if breaker.blames(url):
                        log.warning("upstream.one_address_fails", url=url)
                    return
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
            breaker.looked_in_vain()

    async def _first_answer(self, asked: list[asyncio.Task[bool]], *, patient: bool) -> bool:
        """Does one answer soon? A look that hangs would keep the next one from finding the upstream back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if patient else LOOK_SECONDS):
                for looked in asyncio.as_completed(asked):
                    if await looked:
                        return True
        return False

    async def _look(self, breaker: Breaker, origin: Origin | None, url: str) -> bool:
        """One byte of what clients will ask for; some servers, and some troubles, know no HEAD."""
        started = self._clock.monotonic()
        headers = {"Accept": ACCEPT, "Range": "bytes=0-0"}
        try:
            asked = await self._without_private_names(url)
            async with self._egress.request("GET", asked, origin=origin, headers=headers) as answer:
                if is_no_answer(answer.status):
                    return False
                self.heard(breaker, asked, self._clock.monotonic() - started)
                return True
        except EgressError as error:
            log.debug("upstream.still_down", host=breaker.host, url=url, reason=str(error))
            return False


@dataclass(frozen=True, slots=True)
class _Configured:
    origin: Origin
    max_age: float | None
    names: tuple[str, ...]

    @classmethod
    def of(cls, upstream: Upstream) -> _Configured:
        return cls(Origin.parse(upstream.url, upstream.files), upstream.max_age, upstream.names)


def _validator(answer: Answer, header: str, longest: int) -> str | None:
    value = answer.headers.get(header)
    return value if value and len(value) <= longest else None


def is_no_answer(status: int) -> bool:
    """Does the upstream say that it cannot answer now?"""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS


def is_about_the_host(error: EgressError) -> bool:
    """Does this say that the host is away, whatever it was asked for?"""
    return isinstance(error, Unreachable) and error.stage in {"dns", "connect", "tls"}
