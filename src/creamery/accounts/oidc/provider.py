"""What the provider says of itself, its addresses and keys; asked when it is needed, and kept for a while.

Everything goes out through `egress` on behalf of the issuer's own host: an address on another host, which the
provider's document or a redirect names, must be public.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import orjson

from creamery.accounts.oidc.errors import ProviderUnavailable
from creamery.clock import Clock
from creamery.egress import Egress, EgressError, Origin
from creamery.limits import Limits
from creamery.sections import address_of

T = TypeVar("T")

OK = 200
MOST_KEYS = 100

_PLAIN = re.compile(r"[!\"$-\[\]-~]+", re.ASCII)  # printable, no fragment, and no `\`, which browsers take for `/`
_USER = re.compile(r"https?://[^/?]*@", re.ASCII)  # also an empty one
_SHOWN = 200
_WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The provider's addresses (Discovery 1.0 section 3).

    Attributes:
        posts_secret: it wants the hub's password in the form, not as `Authorization`.
        says_issuer: it says whose answer it is when it sends the browser back (RFC 9207 section 3).
    """

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    posts_secret: bool
    says_issuer: bool


Key = Mapping[str, Any]
"""A public key, as RFC 7517 has it."""


class Provider:
    """The provider, as this process knows it. Used on the event loop only."""

    def __init__(self, issuer: str, egress: Egress, limits: Limits, clock: Clock) -> None:
        self.issuer = issuer
        self._origin = Origin.parse(issuer)
        self._egress = egress
        self._limits = limits
        self._configuration = _Kept(self._ask_configuration, clock)
        self._keys = _Kept(self._ask_keys, clock)

    async def configuration(self) -> Configuration:
        """Its addresses.

        Raises:
            ProviderUnavailable: it does not say, or is another one.
        """
        return await self._configuration.get(self._limits.provider_fresh_seconds)

    async def keys(self, *, unknown: bool = False) -> tuple[Key, ...]:
        """Its keys; `unknown`: one was not among them, so they are asked for again, unless that was a moment ago.

        Raises:
            ProviderUnavailable: it does not say.
        """
        limits = self._limits
        return await self._keys.get(limits.provider_keys_seconds if unknown else limits.provider_fresh_seconds)

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """The status, and the JSON object that came with it.

        Raises:
            ProviderUnavailable: there is no answer, or another kind of one.
        """
        limits = self._limits
        asking = {"Accept": "application/json", **headers}
        try:
            async with self._egress.request(
                method,
                url,
                origin=self._origin,
                headers=asking,
                body=body,
                silent_seconds=limits.provider_seconds,
            ) as answer:
                status, text = answer.status, await answer.body(limits.provider_bytes, limits.provider_seconds)
        except EgressError as error:
            raise ProviderUnavailable(str(error)) from error
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ProviderUnavailable(f"{answer.url.partition('?')[0]}: status {status}, and no JSON object")
        return status, document

    async def _ask_configuration(self) -> Configuration:
        status, document = await self.ask("GET", self.issuer.removesuffix("/") + _WELL_KNOWN)
        if status != OK:
            raise ProviderUnavailable(f"its {_WELL_KNOWN} has status {status}")
        if document.get("issuer") != self.issuer:
            raise ProviderUnavailable(
                f"it calls itself {_short(document.get('issuer'))}, and accounts.oidc_issuer is {self.issuer!r};"
                " they must be the same, to the last slash"
            )
        methods = document.get("token_endpoint_auth_methods_supported")
        userinfo = document.get("userinfo_endpoint")
        return Configuration(
            authorization=self._address(document, "authorization_endpoint"),
            token=self._address(document, "token_endpoint"),
            keys=self._address(document, "jwks_uri"),
            userinfo=None if userinfo is None else self._address(document, "userinfo_endpoint"),
            posts_secret=isinstance(methods, list) and bool(methods) and "client_secret_basic" not in methods,
            says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _ask_keys(self) -> tuple[Key, ...]:
        configuration = await self.configuration()
        status, document = await self.ask("GET", configuration.keys)
        keys = document.get("keys")
        if status != OK or not isinstance(keys, list):
            raise ProviderUnavailable(f"its keys have status {status}, or are none")
        return tuple(key for key in keys[:MOST_KEYS] if isinstance(key, dict))

    def _address(self, document: Mapping[str, Any], name: str) -> str:
        """An address that the provider names; over TLS where the provider itself is."""
        address = document.get(name)
        schemes = ("https://",) if self.issuer.startswith("https://") else ("https://", "http://")
        if not isinstance(address, str) or not address.startswith(schemes) or not _is_plain(address):
            raise ProviderUnavailable(f"its {name} is no address that can be asked: {_short(address)}")
        return address


class _Kept(Generic[T]):
    """What was asked, for a while; many who ask at once share one question."""

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._value: T | None = None
        self._asked = 0.0
        self._asking: asyncio.Task[T] | None = None

    async def get(self, max_age: float) -> T:
        if self._value is not None and self._clock.monotonic() < self._asked + max_age:
            return self._value
        if self._asking is None:
            self._asking = asyncio.create_task(self._again())
            self._asking.add_done_callback(_looked_at)
        return await asyncio.shield(self._asking)

    async def _again(self) -> T:
        try:
            value = await self._ask()
            self._value, self._asked = value, self._clock.monotonic()
            return value
        finally:
            self._asking = None


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Whoever waited may have gone: then nobody hears of its failure, which is no defect."""
    if not task.cancelled():
        task.exception()


def _is_plain(address: str) -> bool:
    """Does everybody read the same host in it, egress and browsers, and has it no user?"""
    found = address_of(address) if _PLAIN.fullmatch(address) else None
    return found is not None and not _USER.match(address)


def _short(value: object) -> str:
    """What a provider wrote, for the log."""
    return repr(value)[:_SHOWN]
