"""`curd install`: uv installs, with hubs and old curd-servers as its caches, as Curdling's client had them.

What stands first among the addresses that answer decides. A hub is what it is to `creamery install`, the index; old
servers are one more index through a relay, and go before all others: the first that has a version that is asked for is
taken, as Curdling did. None of them is needed: what is away is passed over, but the names that a hub has ever called
its own come from nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType

from creamery.client import installing
from creamery.client.address import HubAddress, User, parse_address
from creamery.client.caches import Offer, WheelCache
from creamery.client.credentials import Credentials, Sources, find_credentials
from creamery.client.curd_cache import CurdCache
from creamery.client.elsewhere import kept_out
from creamery.client.errors import HubError, NotAHub, Refused
from creamery.client.hub_cache import HubCache
from creamery.client.interpreter import build_of
from creamery.client.launching import Launch
from creamery.client.old_server import OldServer
from creamery.client.own_names import Memory, OwnNames
from creamery.client.pinned import hashes_of, wants_sources
from creamery.client.places import with_options
from creamery.client.relay import Relay
from creamery.client.serving import recalled_names
from creamery.client.wire import ASKING, PROBE, Hub
from creamery.client.wishes import Wish
from creamery.contract import ProjectName, why_foreign

MOST_AT_ONCE = 8
HUB = "/w"
"""What a hub's address may end in: there it has Curdling's routes."""
_OTHER_TARGETS = ("--python-version", "--python-platform")
_UNAUTHORISED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_NOT_SOLVED = 1
_HTTP_SECONDS = "300"
"""That uv waits for a file: the relay begins to send one when it has it."""


@dataclass(frozen=True, slots=True)
class Server:
    """What answers at an address.

    Attributes:
        address: of a hub its root.
        credentials: of whoever asks it.
    """

    address: HubAddress
    credentials: Credentials | None
    is_hub: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Which servers there are.

    Attributes:
        servers: that answer, in the order in which they were named.
        kept: names that hubs which are away keep for themselves.
    """

    servers: tuple[Server, ...]
    kept: OwnNames


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is asked instead of what is configured.

    Attributes:
        url: as it was given, without who asks.
        address: None: it is a folder.
    """

    url: str
    address: HubAddress | None
    credentials: Credentials | None


def read_index(url: str, sources: Sources) -> Index:
    """Read an index's address.

    Raises:
        UnusableInput: it is none.
    """
    if not url.startswith(("http://", "https://")):
        return Index(url, None, None)
    address, user = parse_address(url)
    end = "/" if url.endswith("/") else ""
    return Index(f"{address}{end}", address, find_credentials(address, user, sources) if user is not None else None)


def find_servers(urls: Sequence[str], sources: Sources, say: Callable[[str], object]) -> Found:
    """Look who answers at addresses, with one question or two each, all at once; who does not is said.

    Args:
        urls: as they were given, perhaps with a name and a password.
        sources: where credentials may be; a token there is shown only to what answers, or refuses, as a hub does.
        say: is told a sentence for the user.

    Raises:
        UnusableInput: one of them is no address.
    """
    named = [parse_address(url) for url in urls]
    looks = [_Look(address, user, sources) for address, user in named]
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        found = list(pool.map(_Look.outcome, looks))
    servers, kept = dict[HubAddress, Server](), OwnNames()
    for look, outcome in zip(looks, found, strict=True):
        if isinstance(outcome, Server):
            servers.setdefault(outcome.address, outcome)
        else:
            say(f"{outcome.sentence} It is passed over.")
            kept |= Memory(look.root).recall()[0]
    return Found(tuple(servers.values()), kept)


class _Look:
    """What is at one address?"""

    def __init__(self, address: HubAddress, user: User | None, sources: Sources) -> None:
        self.address = address
        path = address.path.removesuffix(HUB)
        self.root = HubAddress(address.scheme, address.host, address.port, path)
        self._own = find_credentials(address, user, Sources(netrc_file=sources.netrc_file))
        self._token = None if self._own is not None else sources.token
        self._refused = 0

    def outcome(self) -> Server | HubError:
        """Who answers, or why nobody does."""
        try:
            return self._hub() or self._old_server()
        except HubError as error:
            wanted = f"{self.root} answers {self._refused}: it wants a token, or another name and password."
            return Refused(self._refused, "", wanted) if self._refused else error

    def _hub(self) -> Server | None:
        found = self._as_hub(self._own)
        if self._token is not None and (found is not None or self._refused):
            found = self._as_hub(Credentials.of_token(self._token, "CREAMERY_TOKEN")) or found
        return found

    def _as_hub(self, credentials: Credentials | None) -> Server | None:
        try:
            Memory(self.root).learn(Hub(self.root, credentials, patience=PROBE).at_root())
        except Refused as error:
            self._refused = error.status if error.status in _UNAUTHORISED else 0
            return None
        except NotAHub:
            return None
        except OSError:  # its names cannot be remembered; `installing` says so
            pass
        return Server(self.root, credentials, is_hub=True)

    def _old_server(self) -> Server:
        OldServer(self.address, self._own, patience=PROBE).names()
        return Server(self.address, self._own, is_hub=False)


class CurdLaunch(Launch):
    """One `curd install`.

    Args:
        found: the servers.
        indexes: that are asked instead of what is configured; none: that is asked.
        wish: how to install; the first hub's.
    """

    def __init__(
        self,
        found: Found,
        indexes: Sequence[Index],
        wish: Wish,
        own: Mapping[str, str],
        say: Callable[[str], object],
    ) -> None:
        super().__init__(wish, own, say)
        self.own = own
        self.kept = found.kept
        self.relay: Relay | None = None
        self.old_servers = [CurdCache(s.address, s.credentials, warn=say) for s in found.servers if not s.is_hub]
        hubs = [s for s in found.servers if s.is_hub and s.address != wish.address]
        others = [HubCache(Hub(s.address, s.credentials, warn=say, patience=ASKING).at_root()) for s in hubs]
        self.caches: Sequence[WheelCache] = [*self.old_servers, *others]
        self._indexes = indexes

    def begin_relay(self, fits: Callable[[ProjectName, Offer], bool] | None) -> None:
        """Have uv told of the old servers' wheels that fit; None: of none.

        Where something is asked behind a hub, this stands between them: uv is not to go on with the hub's own names.
        """
        servers = [] if fits is None else self.old_servers
        guarded = recalled_names(self.wish)
        if servers or (guarded and self._indexes):
            self.relay = Relay(servers, Path(self.folder, "relay"), fits, guarded, self.say)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.relay is not None:
            self.relay.close()
        super().__exit__(kind, error, trace)

    def indexes(self, page: str = "w/i") -> dict[str, str]:
        """The hub, the old servers, and what is asked behind them."""
        return super().indexes(page) | self._in_order(hub=page, relay=True)

    def asking(self, *, hub: str, relay: bool) -> dict[str, str]:
        """The environment of a program that asks these and the indexes, and builds by itself."""
        return {**self.own, **self.netrc_variable(), **self._in_order(hub=hub, relay=relay)}

    def known_hosts(self) -> list[tuple[HubAddress, Credentials]]:
        """The hub, and the indexes; who asks the old servers uv is not told."""
        named = [(index.address, index.credentials) for index in self._indexes]
        more = [(address, credentials) for address, credentials in named if address and credentials]
        return [*super().known_hosts(), *more]

    def _in_order(self, *, hub: str, relay: bool) -> dict[str, str]:
        """uv asks its indexes in their order, and the default one last; `hub`: which of its, if one."""
        hubs = [f"{self.wish.address}/{hub}/"] if hub and self.wish.address is not None else []
        relays = [self.relay.url] if relay and self.relay is not None else []
        order = [*hubs, *relays, *(index.url for index in self._indexes)]
        found = {}
        if self._indexes or hubs:
            found["UV_DEFAULT_INDEX"] = order.pop()
        if order or self._indexes:
            kept = "" if self._indexes else self.own.get("UV_INDEX", "")
            found["UV_INDEX"] = " ".join([*order, *kept.split()])
        if self.relay is not None and not hubs:  # the first that has a version that is asked for, as Curdling had it
            found["UV_INDEX_STRATEGY"] = self.own.get("UV_INDEX_STRATEGY", "unsafe-first-match")
        if relays:
            found["UV_HTTP_TIMEOUT"] = self.own.get("UV_HTTP_TIMEOUT", _HTTP_SECONDS)
            found |= _past_proxies(self.own)
        return found


def install(launch: CurdLaunch, uv: str, arguments: Sequence[str]) -> installing.Installed:
    """Let uv install, and tell how it ended.

    Raises:
        HubError: what is asked for is a hub's own, and the hub is away; nothing was installed.
    """
    launch.be_ready()
    launch.begin_relay(_fitting(launch, uv, arguments) if launch.old_servers else None)
    more = kept_out(launch, launch.kept, uv, arguments, launch.variables())
    words = with_options(arguments, more)
    own = launch.asking(hub="", relay=True)
    done = installing.install(launch, uv, words, is_pinned=lambda: True, own=own)
    relay = launch.relay
    if relay is None:
        return done
    why = " ".join(dict.fromkeys(relay.troubles))
    if _may_be_the_relays(done, relay, launch):
        launch.say(f"{why} It is tried once more, without the wheels of old servers.".strip())
        relay.switch_off()
        done = installing.once_more(launch, uv, words, own)
    elif why:
        launch.say(f"{why} It came from elsewhere.")
    if launch.builds is not None:
        launch.builds.outcomes += relay.outcomes
    return done


def _may_be_the_relays(done: installing.Installed, relay: Relay, launch: Launch) -> bool:
    """May uv have failed for a wheel that it was told of? One of another name inside, or one that did not come."""
    outcomes = [] if launch.builds is None else launch.builds.outcomes
    has_failed = any(each.kind == "failed" for each in outcomes)
    is_for_a_wheel = done.code == _NOT_SOLVED or (done.code != 0 and bool(relay.troubles))
    return is_for_a_wheel and not done.was_interrupted and relay.has_told and not has_failed


def _fitting(launch: CurdLaunch, uv: str, arguments: Sequence[str]) -> Callable[[ProjectName, Offer], bool] | None:
    """Which wheels uv can use, for this Python and by the hashes that files insist on; None: nobody can tell."""
    if wants_sources(arguments, launch.own) or any(word.startswith(_OTHER_TARGETS) for word in arguments):
        return None
    build = build_of(uv, arguments, launch.own)
    if build is None:
        return None
    hashes = hashes_of(arguments)

    def fits(project: ProjectName, offer: Offer) -> bool:
        return why_foreign(build, offer.filename) is None and offer.sha256 in hashes.get(project, {offer.sha256})

    return fits


def _past_proxies(own: Mapping[str, str]) -> dict[str, str]:
    """The relay is on this machine, whatever uv asks others through."""
    names = [name for name in ("NO_PROXY", "no_proxy") if own.get(name)] or ["NO_PROXY"]
    return {name: ",".join(filter(None, [own.get(name, ""), "127.0.0.1"])) for name in names}
