"""The code flow from the hub's side: where the browser is sent, and what is made of the code that it brings back."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, urlencode

from creamery.accounts.identities import Claimed
from creamery.accounts.oidc.attempt import Attempt
from creamery.accounts.oidc.claims import claimed, missing, subject_of
from creamery.accounts.oidc.errors import AttemptOver, NoSuchKey, NotBelieved, ProviderRefused, ProviderUnavailable
from creamery.accounts.oidc.provider import OK, Configuration, Key, Provider
from creamery.accounts.passwords import TooManyLogins
from creamery.clock import SECOND, Clock
from creamery.egress import Egress
from creamery.limits import Limits
from creamery.sections import Accounts as AccountSettings
from creamery.threads import Pools

_CODE = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)  # such as `access_denied`; what else an error says is not shown
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class SignIn:
    """Signing in at the provider that the settings name. Used on the event loop only."""

    def __init__(
        self, settings: AccountSettings, issuer: str, egress: Egress, pools: Pools, limits: Limits, clock: Clock
    ) -> None:
        self._settings = settings
        self._client_id = settings.oidc_client_id or ""
        self._provider = Provider(issuer, egress, limits, clock)
        self._pools = pools
        self._limits = limits
        self._clock = clock
        self._finishing = 0

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser signs in (Core section 3.1.2.1).

        Raises:
            ProviderUnavailable: the provider does not say.
        """
        configuration = await self._provider.configuration()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings.oidc_scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in configuration.authorization else "?"
        return f"{configuration.authorization}{joint}{urlencode(asked)}"

    async def finish(self, attempt: Attempt, brought: Mapping[str, str], redirect_uri: str) -> Claimed:
        """Who it is that the provider has sent back.

        Args:
            attempt: which sign-in it is; its state has been compared.
            brought: what stands in the address that the browser came back to.
            redirect_uri: that address, as the provider was told it.

        Raises:
            AttemptOver: neither code nor error came.
            ProviderRefused, ProviderUnavailable, NotBelieved, NotInGroup: see there.
            TooManyLogins: too many are at it.
        """
        if self._finishing >= self._limits.waiting_logins:
            raise TooManyLogins
        self._finishing += 1
        await asyncio.sleep(0)  # from here on there is a task, by which egress bounds its waits (http/turns.py)
        try:
            configuration = await self._provider.configuration()
            code = self._code(brought, configuration)
            answer = await self._exchange(configuration, code, attempt, redirect_uri)
            claims = await self._believed(answer.get("id_token"), attempt)
            if missing(claims, self._settings) and configuration.userinfo is not None:
                claims = {**await self._userinfo(configuration.userinfo, answer, subject_of(claims)), **claims}
            return claimed(self._provider.issuer, claims, self._settings)
        finally:
            self._finishing -= 1

    def _code(self, brought: Mapping[str, str], configuration: Configuration) -> str:
        """The code, if it is this provider who sends it (RFC 9207: else it may be meant for another)."""
        if brought.get("iss", None if configuration.says_issuer else self._provider.issuer) != self._provider.issuer:
            raise NotBelieved("the browser was sent back by another provider")
        if "error" in brought:
            raise ProviderRefused(_word(brought["error"]))
        if not brought.get("code"):
            raise AttemptOver("the browser was sent back without a code")
        return brought["code"]

    async def _exchange(
        self, configuration: Configuration, code: str, attempt: Attempt, redirect_uri: str
    ) -> dict[str, Any]:
        """What the code is good for (Core section 3.1.3), once."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
        }
        headers = dict(_FORM)
        secret = self._settings.oidc_client_secret
        if secret is None:
            form["client_id"] = self._client_id
        elif configuration.posts_secret:
            form |= {"client_id": self._client_id, "client_secret": secret.get_secret_value()}
        else:
            pair = f"{quote_plus(self._client_id)}:{quote_plus(secret.get_secret_value())}"  # RFC 6749 section 2.3.1
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        status, answer = await self._provider.ask("POST", configuration.token, headers, urlencode(form).encode())
        if status != OK:
            raise ProviderRefused(_word(answer.get("error")))
        return answer

    async def _believed(self, token: object, attempt: Attempt) -> dict[str, Any]:
        """The claims of the ID token."""
        if not isinstance(token, str):
            raise NotBelieved("it has sent no ID token")
        expected = {"issuer": self._provider.issuer, "client_id": self._client_id, "nonce": attempt.nonce}
        for unknown in (False, True):
            keys = await self._provider.keys(unknown=unknown)
            try:
                return await self._pools.cpu.run(_checked, token, keys, self._clock.now() / SECOND, expected)
            except NoSuchKey:
                continue  # the provider may have new ones
        raise NotBelieved("its ID token is signed with none of its keys")

    async def _userinfo(self, url: str, answer: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """Further claims (Core section 5.3), of the same person."""
        token = answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise NotBelieved("it has sent no access token, and its ID token does not say enough")
        status, claims = await self._provider.ask("GET", url, {"Authorization": f"Bearer {token}"})
        if status != OK:
            raise ProviderUnavailable(f"its userinfo has status {status}")
        if claims.get("sub") != subject:
            raise NotBelieved("its userinfo is somebody else's")
        return claims


def _checked(token: str, keys: Sequence[Key], now: float, expected: Mapping[str, str]) -> dict[str, Any]:
    from creamery.accounts.oidc.id_token import check_claims, verified  # noqa: PLC0415 - when somebody signs in

    claims = verified(token, keys)
    check_claims(claims, **expected, now=now)
    return claims


def _word(error: object) -> str:
    """A provider's word for what is wrong, if it is one."""
    return error if isinstance(error, str) and _CODE.fullmatch(error) else "an error"
