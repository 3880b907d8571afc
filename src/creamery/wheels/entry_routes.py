"""What builders ask, by the key of a build.

| path | answer |
|---|---|
| `/v1/entries/{key}` | a wheel's record and addresses; PUT adds record, wheel and log in one form |
| `/v1/entries/{key}/log` | what its build said |
| `/v1/projects/{project}` | all of a project's wheels |
| `/v1/lookup` | what becomes of many keys |
| `/v1/lease/{key}` | POST: the wheel, or the right to build it, or a wait; PUT goes on, DELETE gives it back |
| `/v1/failures/{key}` | that and why it cannot be built; PUT remembers it; `/log` is what its build said |
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from creamery.accounts import confirm
from creamery.blobs import Part
from creamery.clock import SECOND
from creamery.contract import Digest, InvalidName, NotADigest, normalize, parse_digest
from creamery.database import announce
from creamery.door import Hub
from creamery.http import (
    BytesResponse,
    Needs,
    Problem,
    Route,
    base_url,
    by_of,
    principal_of,
    receive_bytes,
    receive_form,
)
from creamery.wheels import leases, lookup, tables
from creamery.wheels.access import PUSH, READ
from creamery.wheels.chain import Chain, via_of
from creamery.wheels.failing import read_failure
from creamery.wheels.kept import in_order
from creamery.wheels.leases import Failure
from creamery.wheels.place import Pushed, PushRefused, Sight
from creamery.wheels.pushing import Pushing, check_name
from creamery.wheels.records import read_record, unpack_log
from creamery.wheels.rings import Rings
from creamery.wheels.showing import address_of, shown_entry, shown_failure
from creamery.wheels.tables import BeingPushed, Entry
from creamery.wheels.waiting import FREED, Waiting

FIELDS = ("record", "log")
KEY_BYTES = 80
"""A key in JSON, with what stands around it."""

_JSON = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_LOG = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)
_TOKEN = re.compile(r"[0-9a-f]{64}", re.ASCII)


class EntryRoutes:
    """The endpoints, over the hub's own store."""

    def __init__(self, hub: Hub, pushing: Pushing, rings: Rings, waiting: Waiting, chain: Chain) -> None:
        self._chain = chain
        self._pushing = pushing
        self._rings = rings
        self._waiting = waiting
        self._blobs = hub.blobs
        self._clock = hub.clock
        self._committer = hub.committer
        self._database = hub.database
        self._limits = hub.settings.limits
        self._pools = hub.pools
        self._asked = hub.telemetry.counter("wheels_asked", "Keys of built wheels that were asked for.", ["result"])

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        read = Needs(READ, "ring", is_personal=True)
        push = Needs(PUSH, "ring", is_named_later=True)
        return (
            Route(("GET",), "/w/v1/entries/{key}", self.entry, read),
            Route(("PUT",), "/w/v1/entries/{key}", self.put_entry, push),
            Route(("GET",), "/w/v1/entries/{key}/log", self.entry_log, read),
            Route(("GET",), "/w/v1/projects/{project}", self.project, read),
            Route(("POST",), "/w/v1/lookup", self.look_up, read),
            Route(("POST",), "/w/v1/lease/{key}", self.lease, push),
            Route(("PUT",), "/w/v1/lease/{key}", self.renew, push),
            Route(("DELETE",), "/w/v1/lease/{key}", self.give_back, push),
            Route(("GET",), "/w/v1/failures/{key}", self.failure, read),
            Route(("PUT",), "/w/v1/failures/{key}", self.put_failure, push),
            Route(("GET",), "/w/v1/failures/{key}/log", self.failure_log, read),
        )

    async def entry(self, request: Request) -> Response:
        """A built wheel by its key: record, file, who built it, and where."""
        entry = await self._entry(request)
        self._asked.labels("hit").inc()
        return _json(shown_entry(entry, self._address(request, entry), self._base(request)))

    async def put_entry(self, request: Request) -> Response:
        """Adds a wheel: a form of `record` (JSON), `wheel` (the file), perhaps `log`; 201, or 200 if it is here."""
        key, ring = _key(request), self._rings.written_by(request.scope)

        def begin(filename: str, at_most: int | None) -> Part:
            return self._blobs.begin(None, f"push of {check_name(filename)}", at_most=at_most)

        form = await receive_form(request, file_field="wheel", begin=begin, limits=self._limits, wanted=FIELDS)
        if form.file is None:
            raise PushRefused("the form has no file in the field wheel")
        part, filename = form.file.part, form.file.filename
        try:
            told = await self._pools.cpu.run(read_record, form.one("record"), key, filename, form.one("log"))
        except BaseException:
            await part.drop_soon()
            raise
        by = by_of(request.scope, self._clock.now())
        outcome = await self._pushing.take(Pushed(filename, part, principal_of(request), by, ring, told))
        body = {"outcome": outcome, "key": key, "sha256": part.kept_digest(), "ring": ring}
        return _json(body, status=201 if outcome == "new" else 200)

    async def project(self, request: Request) -> Response:
        """All of a project's wheels that are here, with their records, as another hub asks that has this one above."""
        try:
            name = normalize(request.path_params["project"])
        except InvalidName as error:
            raise Problem(404, "Not found", f"{error}.", remedy="Check its spelling.") from error
        self._chain.follow(name)
        sight = self._rings.seen_by(request.scope)
        entries = await self._pools.database.run(
            self._database.read, lambda connection: tables.entries_of(connection, name, sight)
        )
        base = self._base(request)
        return _json({"wheels": [shown_entry(each, self._address(request, each), base) for each in entries]})

    async def entry_log(self, request: Request) -> Response:
        """What the build said that made a wheel; `?ring=` of those that lists show."""
        entry = await self._entry(request, await self._ring_named(request))
        return await self._log(entry.log_digest, entry.key)

    async def look_up(self, request: Request) -> Response:
        """What becomes of many keys, `{"keys": [...]}`: each is a `hit`, `failed`, `leased` or a `miss`."""
        most = self._limits.wheel_keys
        body = await receive_bytes(request, most * KEY_BYTES, "limits.wheel_keys")
        keys = _keys(body, most)
        sight, home = self._rings.seen_by(request.scope), self._rings.home_of(request.scope)
        now = self._clock.now()
        question = partial(lookup.look_up, keys=keys, sight=sight, home=home, now=now, limits=self._limits)
        found = await self._pools.database.run(self._database.read, question)
        missing = [key for key, each in found.items() if each.state == "miss"]
        for key, said in (await self._chain.look_up(missing, via_of(request.scope))).items():
            found[key] = lookup.elsewhere(said)
        base = self._base(request)
        answer = {key: each.shown(key, base) for key, each in found.items()}
        for result, count in lookup.counted(found).items():
            self._asked.labels(result).inc(count)
        return _json({"keys": answer})

    async def lease(self, request: Request) -> Response:
        """The right to build: 201 it is yours, 200 it is here or cannot be built, 202 somebody builds it (`?wait=`)."""
        key, ring, sight = _key(request), self._rings.written_by(request.scope), self._rings.seen_by(request.scope)
        await self._bring(key, sight, request)
        by = by_of(request.scope, self._clock.now())
        wait = _seconds(request.query_params.get("wait", "0"))
        fate = await self._waiting.lease(key, ring, sight, principal_of(request), by, wait)
        base = self._base(request)
        if fate.entry is not None:
            self._asked.labels("hit").inc()
            return _json({"state": "hit", **shown_entry(fate.entry, self._address(request, fate.entry), base)})
        if fate.failure is not None:
            self._asked.labels("failed").inc()
            return _json({"state": "failed", **shown_failure(fate.failure, base)})
        lease = fate.lease
        assert lease is not None  # noqa: S101 - one of three
        left = max(0.0, (lease.until - self._clock.now()) / SECOND)
        if fate.is_yours:
            self._asked.labels("miss").inc()
            return _json({"state": "yours", "token": lease.token, "seconds": left}, status=201)
        return _json({"state": "leased", "by": lease.holder, "seconds": left}, status=202)

    async def renew(self, request: Request) -> Response:
        """Goes on with a lease, `?token=`, for `limits.wheel_lease_seconds` from now; 409 if it has passed on."""
        key, ring, token, now = _key(request), self._rings.written_by(request.scope), _token(request), self._clock.now()
        until = await self._committer.commit(
            lambda connection: leases.renew(connection, ring, key, token, now, self._limits)
        )
        return _json({"seconds": (until - now) / SECOND})

    async def give_back(self, request: Request) -> Response:
        """Gives a lease back, `?token=`: the next who waits has it."""
        key, ring, token = _key(request), self._rings.written_by(request.scope), _token(request)

        def write(connection: Connection) -> None:
            leases.give_back(connection, ring, key, token)
            announce(connection, FREED)

        await self._committer.commit(write)
        return BytesResponse(b"", (), status=204)

    async def failure(self, request: Request) -> Response:
        """Why a key cannot be built, who tried, and until when nobody need try again."""
        return _json(shown_failure(await self._failure(request), self._base(request)))

    async def put_failure(self, request: Request) -> Response:
        """Remembers that a build backend failed: a form of `record` (JSON) and, perhaps, `log`."""
        key, ring = _key(request), self._rings.written_by(request.scope)
        form = await receive_form(request, file_field="wheel", begin=_no_file, limits=self._limits, wanted=FIELDS)
        record, said = form.one("record"), form.one("log")
        failure, packed = await self._pools.cpu.run(read_failure, record or "", said, key, ring)
        by, principal = by_of(request.scope, self._clock.now()), principal_of(request)

        def write(connection: Connection, _: object = None) -> Failure:
            confirm(connection, principal, by.now)
            announce(connection, FREED)
            return leases.fail(connection, failure, by, self._limits)

        kept: Failure | None = None
        while kept is None:
            try:
                if packed is None:
                    kept = await self._committer.commit(write)
                else:
                    kept = await self._pools.disk.run(self._blobs.keep_bytes, packed, write)
            except BeingPushed:  # by another process: its row is there the next time
                continue
        return _json(shown_failure(kept, self._base(request)), status=201)

    async def failure_log(self, request: Request) -> Response:
        """What the build said that failed; `?ring=` likewise."""
        failure = await self._failure(request, await self._ring_named(request))
        return await self._log(failure.log_digest, failure.key)

    # Steps

    async def _ring_named(self, request: Request) -> Sight | None:
        """The ring that is asked for by its name, as `/api/v1/wheels` tells them; empty: whoever asks sees no such one.

        Lists show more than is had by a key: failures of all rings that one sees, and administrators every ring.
        """
        name = request.query_params.get("ring")
        if name is None:
            return None
        return tuple(ring for ring in await self._rings.all_seen_by(request.scope) if ring == name)

    async def _entry(self, request: Request, named: Sight | None = None) -> Entry:
        key, sight = _key(request), self._rings.seen_by(request.scope) if named is None else named
        found = await self._by_key(key, sight)
        if not found and await self._bring(key, sight, request):
            found = await self._by_key(key, sight)
        if not found:
            raise Problem(404, "Not found", f"There is no built wheel of the key {key}.", remedy="Build it.")
        return in_order(found, sight)[0]

    async def _by_key(self, key: Digest, sight: Sight) -> list[Entry]:
        return await self._pools.database.run(
            self._database.read, lambda connection: tables.entries_by_key(connection, [key], sight)
        )

    async def _bring(self, key: Digest, sight: Sight, request: Request) -> bool:
        """Have what an upstream has, unless it is here."""
        if self._chain.is_empty or await self._by_key(key, sight):
            return False
        return await self._chain.bring_key(key, via_of(request.scope))

    async def _failure(self, request: Request, named: Sight | None = None) -> Failure:
        key, rings = _key(request), (self._rings.home_of(request.scope),) if named is None else named
        found = None
        for ring in rings:
            question = partial(leases.find_failure, key=key, ring=ring)
            found = await self._pools.database.run(self._database.read, question)
        if found is None:
            raise Problem(404, "Not found", f"No build of the key {key} is known to have failed.", remedy="Build it.")
        return found

    async def _log(self, digest: Digest | None, key: Digest) -> Response:
        if digest is None:
            raise Problem(404, "Not found", f"There is no log of the build {key}.", remedy="It was sent without one.")
        most = self._limits.form_field_bytes
        packed = await self._pools.disk.run(self._blobs.read, digest, most)
        return BytesResponse(await self._pools.cpu.run(unpack_log, packed, most), _LOG)

    def _base(self, request: Request) -> str:
        return f"{base_url(request.scope)}/w"

    def _address(self, request: Request, entry: Entry) -> str:
        assert entry.file.digest is not None  # noqa: S101 - it is here
        return address_of(self._base(request), entry.file.digest, entry.file.filename)


def _json(value: object, status: int = 200) -> Response:
    return BytesResponse(orjson.dumps(value), _JSON, status=status)


def _key(request: Request) -> Digest:
    try:
        return parse_digest(request.path_params["key"])
    except NotADigest as error:
        raise Problem(404, "Not found", f"The key {error}.", remedy="Compute it as docs/reference says.") from error


def _keys(body: bytes, most: int) -> list[Digest]:
    wrong = partial(Problem, 400, "Bad request", remedy='Send {"keys": [...]} with keys of 64 hexadecimal digits.')
    try:
        said: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise wrong(f"The body is no JSON: {error}.") from error
    if not isinstance(said, dict) or set(said) != {"keys"} or not isinstance(said["keys"], list):
        raise wrong("The body is no object with the one field keys.")
    if len(said["keys"]) > most:
        raise Problem(
            413, "Too many keys", f"There are more than {most} keys (limits.wheel_keys).", remedy="Ask twice."
        )
    try:
        return [parse_digest(key) if isinstance(key, str) else parse_digest(repr(key)) for key in said["keys"]]
    except NotADigest as error:
        raise wrong(f"{error}.") from error


def _token(request: Request) -> str:
    token = request.query_params.get("token", "")
    if not _TOKEN.fullmatch(token):
        raise Problem(400, "Bad request", "The address lacks ?token=, which the lease was answered with.")
    return token


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):  # noqa: PLR2004 - more are no wait
        raise Problem(400, "Bad request", f"wait is a number of whole seconds, and not {text[:40]!r}.")
    return float(text)


def _no_file(filename: str, _: int | None) -> Part:
    raise PushRefused(f"a failure has no wheel, and {filename} is one")
