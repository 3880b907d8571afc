"""Whether an installation through a hub can work here: each thing that it needs, looked at once.

Nothing is changed, on this machine or on the hub, and nothing of any package is run. What cannot be looked at is a
finding like the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

from creamery.client.address import HubAddress, parse_address
from creamery.client.checks import Check, checked, failed
from creamery.client.credentials import Credentials, Sources, find_credentials
from creamery.client.errors import HubError, Refused
from creamery.client.machine import (
    Machine,
    look_at_compiler,
    look_at_folders,
    look_at_python,
    look_at_python_path,
    look_at_uv,
)
from creamery.client.other_indexes import OtherIndex, PipFiles, Unread, other_indexes, switches
from creamery.client.serving import probe
from creamery.client.wire import PROBE, Hub, Patience

UNHURRIED = Patience(connect_seconds=2.0, silent_seconds=5.0, whole_seconds=10.0, answer_bytes=64 * 1024)
MOST_SKEW_SECONDS = 60.0

_NOT_ALLOWED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_TO_RING = "wheels:push:"
_NO_KEY = "0" * 64
"""Of no build: nobody has its lease, so the hub refuses to renew it to everybody who may push, and changes nothing."""

_GIVE_A_TOKEN = "Give a token: in CREAMERY_TOKEN, in a file that --token-file names, or in ~/.netrc."  # noqa: S105
_MAKE_A_TOKEN = "Make a token that may: creamery token create --user NAME --name WHAT-FOR --scope wheels:push"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, as the command tells it.

    Attributes:
        now: seconds since 1970.
        monotonic: seconds that only ever grow.
    """

    now: Callable[[], float]
    monotonic: Callable[[], float]


def examine(url: str, sources: Sources, machine: Machine, pip: Callable[[], PipFiles], clock: Clock) -> list[Check]:
    """Look at everything.

    Args:
        url: the hub's address, as it was given.
        sources: where credentials may be.
        machine: where an installation would run.
        pip: tells what its files say of indexes.
        clock: the time.
    """
    address, of_hub = _of_hub(url, sources, clock)
    return [
        *checked("uv", lambda: look_at_uv(machine)),
        *of_hub,
        *checked("indexes", lambda: look_at_indexes(address, machine, pip())),
        *checked("python", lambda: look_at_python(machine)),
        *checked("compiler", lambda: look_at_compiler(machine)),
        *checked("folders", lambda: look_at_folders(machine)),
        *checked("PYTHONPATH", lambda: look_at_python_path(machine)),
    ]


def _of_hub(url: str, sources: Sources, clock: Clock) -> tuple[HubAddress | None, list[Check]]:
    """Which hub is meant, if one is, and what is to say of it and of who asks."""
    try:
        address, user = parse_address(url)
    except HubError as error:
        return None, [failed("hub", error)]
    try:
        credentials = find_credentials(address, user, sources)
    except Exception as error:  # noqa: BLE001 - the hub is looked at all the same
        anybody = checked("hub", lambda: look_at_hub(address, None, clock))
        there = [check for check in anybody if check.name in {"hub", "time"}]
        return address, [*there, failed("credentials", error)]
    found = checked("hub", lambda: look_at_hub(address, credentials, clock))
    if user is not None and credentials is None:  # their name may be a token, and is not shown
        lacking = "the hub's address names a user, and nothing has their password: nobody asks"
        found.append(Check("credentials", "warning", lacking, f"Keep it: keyring set {address} NAME, or in ~/.netrc."))
    return address, found


def look_at_hub(address: HubAddress, credentials: Credentials | None, clock: Clock) -> Iterator[Check]:
    """Is it there, what time is it there, and who may do what?"""
    began, refusal = clock.monotonic(), None
    try:
        probe(address, credentials)
    except Refused as error:
        refusal = error
    except HubError as error:
        yield Check("hub", "wrong", error.sentence, error.remedy)
        yield _unasked(credentials)
        return
    took = clock.monotonic() - began
    if refusal is not None and refusal.status not in _NOT_ALLOWED:
        yield Check("hub", "wrong", f"{address} answers, but not about wheels: {refusal.sentence}", refusal.remedy)
        yield _unasked(credentials)
        return
    version, date = _greeting(address)
    named = f", creamery {version}" if version else ""
    yield Check("hub", "ok", f"{address} answers in {took * 1_000:.0f} ms{named}")
    yield look_at_time(date, clock.now())
    yield from look_at_credentials(address, credentials, refusal)


def look_at_time(date: str, now: float) -> Check:
    """Does the hub's clock say what ours says? `date`: as HTTP has it."""
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return Check("time", "note", "the hub does not say what time it is")
    skew = now - moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    if abs(skew) <= MOST_SKEW_SECONDS:
        return Check("time", "ok", "this machine's clock and the hub's agree")
    return Check(
        "time",
        "warning",
        f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the hub's",
        "Set both by NTP: signatures and certificates are valid by the clock.",
    )


def look_at_credentials(
    address: HubAddress, credentials: Credentials | None, refusal: Refused | None
) -> Iterator[Check]:
    """Whom the hub takes us for, and what they may.

    Args:
        address: the hub's.
        credentials: of whoever asks.
        refusal: what it said when it was asked for wheels; None: they may be read.
    """
    if credentials is None and refusal is not None:
        yield Check("credentials", "wrong", "none, and the hub wants to know who asks", _GIVE_A_TOKEN)
        return
    asker = _Asker()
    if credentials is None:
        yield Check("credentials", "ok", "none")
    else:
        check, asker = _who(address, credentials)
        yield check
        yield from _of_plain_http(address, credentials)
    if asker.is_refused:
        return
    if refusal is not None:
        yield Check("wheels", "wrong", f"they may not be read: {refusal.sentence}", refusal.remedy)
    else:
        yield _pushing(address, credentials, asker)


def look_at_indexes(address: HubAddress | None, machine: Machine, pip: PipFiles) -> Iterator[Check]:
    """Who else is asked for packages."""
    found = other_indexes(address, machine.environ, machine.folder, pip)
    for name in switches(machine.environ):
        yield Check("indexes", "warning", f"{name} is set: then no index is asked, nor the hub", f"Unset {name}.")
    for each in found:
        if isinstance(each, Unread):
            yield _of_unread(each)
        else:
            yield _of_index(each)
    if not found:
        yield Check("indexes", "ok", "no other is configured")


def _of_unread(unread: Unread) -> Check:
    """uv refuses to work with such a uv.toml; of a project's file it says so, and goes on without."""
    state: Literal["warning", "wrong"] = "warning" if unread.file.name == "pyproject.toml" else "wrong"
    return Check("indexes", state, f"{unread.file} cannot be read, or is no TOML", "Mend it.")


def _of_index(index: OtherIndex) -> Check:
    if not index.is_added:
        return Check("indexes", "note", f"{index.address} ({index.place}): the hub is asked in its place")
    return Check(
        "indexes",
        "warning",
        f"{index.address} ({index.place}) is asked besides the hub: somebody else may have your names there",
        f"Take it out of {index.place}, and let the hub ask it: index.upstreams.",
    )


def _greeting(address: HubAddress) -> tuple[str, str]:
    """The hub's version and its date, as far as it tells them."""
    try:
        said, date = Hub(address, patience=PROBE).at_root().get_dated("healthz")
    except HubError:
        return "", ""
    version = said.get("version") if isinstance(said, dict) else None
    return (version if isinstance(version, str) else ""), date


def _unasked(credentials: Credentials | None) -> Check:
    found = "none" if credentials is None else f"found in {credentials.place}; nobody can say whether they are right"
    return Check("credentials", "note", found)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Whom the hub takes us for.

    Attributes:
        is_refused: the credentials are not right.
        ring: whose wheels we push to, for people.
    """

    is_refused: bool = False
    ring: str = "the ring strangers"


def _who(address: HubAddress, credentials: Credentials) -> tuple[Check, _Asker]:
    place = f"found in {credentials.place}"
    try:
        said = Hub(address, credentials, patience=UNHURRIED).get("me")
    except Refused as error:
        if error.status != HTTPStatus.FORBIDDEN:
            remedy = f"Put one there that is right. {_MAKE_A_TOKEN}"
            return Check("credentials", "wrong", f"{place}, and refused: {error.sentence}", remedy), _Asker(True)
        known = Check(
            "credentials", "ok", f"{place}; the hub knows them; their scopes do not let it say whose they are"
        )
        return known, _Asker(ring="the ring that the token names, else to the hub's own")
    scopes = said.get("scopes") or ()
    named = sorted({each.removeprefix(_TO_RING) for each in scopes if each.startswith(_TO_RING)})
    asker = _Asker(ring=f"the ring {named[0]}" if named else "the hub's own ring")
    return Check("credentials", "ok", f"{place}; the hub takes you for {said.get('name')}"), asker


def _of_plain_http(address: HubAddress, credentials: Credentials) -> Iterator[Check]:
    if address.scheme == "http" and not address.is_loopback:
        yield Check(
            "credentials",
            "warning",
            f"{address} is plain http: whoever is on the way can read what {credentials.place} holds",
            "Put TLS in front of the hub, and use https.",
        )


def _pushing(address: HubAddress, credentials: Credentials | None, asker: _Asker) -> Check:
    hub = Hub(address, credentials, patience=UNHURRIED).at_root()
    try:
        hub.put("w", "v1", "lease", _NO_KEY, query={"token": _NO_KEY})
    except Refused as error:
        if error.status in _NOT_ALLOWED:
            return Check("wheels", "note", "they may be read; what is built here may not be pushed", _MAKE_A_TOKEN)
        if error.status != HTTPStatus.CONFLICT:
            return Check("wheels", "warning", f"they may be read, and not pushed: {error.sentence}", error.remedy)
    return Check("wheels", "ok", f"they may be read, and pushed to {asker.ring}")
