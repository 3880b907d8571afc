"""What is believed of a provider of OpenID Connect, and what is not: over one that says whatever a test wants."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from creamery.accounts import Claimed
from creamery.accounts.oidc import (
    Attempt,
    AttemptOver,
    NotBelieved,
    NotInGroup,
    ProviderRefused,
    ProviderUnavailable,
    SignIn,
)
from creamery.accounts.oidc.provider import MOST_KEYS, Provider
from creamery.accounts.passwords import TooManyLogins
from creamery.egress import Egress
from creamery.limits import Limits
from creamery.sections import Accounts as AccountSettings
from creamery.sections import Egress as EgressSettings
from creamery.telemetry import Telemetry
from creamery.threads import Pools
from tests.doubles.hand_clock import HandClock
from tests.doubles.misbehaviour import endless_json, hang, redirect_to, refuse, say, status
from tests.doubles.provider import CLIENT, SECRET, FalseProvider, new_key, sign
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.anyio

BACK = "http://hub.test/login/oidc/callback"
CONFIGURATION = "/.well-known/openid-configuration"
QUICK = {"provider_seconds": 0.3, "upstream_connect_seconds": 0.3}


@pytest.fixture(scope="module")
def running() -> Iterator[FalseProvider]:
    with FalseProvider() as provider:
        yield provider


@pytest.fixture
def provider(running: FalseProvider) -> FalseProvider:
    running.reset()
    return running


class Visit:
    """Somebody who signs in through a hub's side of the flow."""

    def __init__(self, sign_in: SignIn, provider: FalseProvider) -> None:
        self.sign_in = sign_in
        self.provider = provider

    async def __call__(self, **brought: str) -> Claimed:
        """The whole way; `brought` is what stands in the address instead."""
        attempt = Attempt.begin("/")
        address = self.provider.sign_in(await self.sign_in.address(attempt, BACK))
        query = dict(parse_qsl(urlsplit(address).query))
        assert query.get("state") == attempt.state
        return await self.sign_in.finish(attempt, {**query, **brought}, BACK)


@asynccontextmanager
async def visiting(
    provider: FalseProvider, clock: HandClock | None = None, limits: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Visit]:
    known = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, **settings}
    found, bounds = AccountSettings.model_validate(known), Limits.model_validate(limits or {})
    egress, pools = Egress(EgressSettings(), bounds, Telemetry(), via="hub-under-test"), Pools(bounds)
    await egress.start()
    try:
        yield Visit(SignIn(found, provider.issuer, egress, pools, bounds, clock or HandClock()), provider)
    finally:
        await egress.close()
        pools.close()


async def test_a_right_provider_is_believed(provider: FalseProvider) -> None:
    async with visiting(provider) as visit:
        assert await visit() == Claimed(provider.issuer, "subject", "carol")

    assert provider.seen == [CONFIGURATION, "/token", "/keys"]
    form, pair = provider.forms[0]
    assert (form["client_id"], pair) == (CLIENT, ""), "a public client has nothing but PKCE"


@pytest.mark.parametrize(
    ("methods", "sends"),
    [
        (None, "pair"),
        (["client_secret_post", "client_secret_basic"], "pair"),
        (["client_secret_post"], "form"),
    ],
)
async def test_the_secret_goes_where_the_provider_wants_it(
    provider: FalseProvider, methods: list[str] | None, sends: str
) -> None:
    provider.configuration = {} if methods is None else {"token_endpoint_auth_methods_supported": methods}
    async with visiting(provider, oidc_client_secret=SECRET) as visit:
        await visit()

    form, pair = provider.forms[0]
    assert (pair, form.get("client_secret")) == ((f"{CLIENT}:{SECRET}", None) if sends == "pair" else ("", SECRET))


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RSA", "RS512"), ("RSA", "PS256"), ("EC", "ES256"), ("OKP", "EdDSA"), ("OKP", "Ed25519")],
)
async def test_signatures_of_every_kind_are_believed(provider: FalseProvider, kind: str, algorithm: str) -> None:
    key = new_key(kind, "another")
    provider.keys.append(key.as_dict(private=False))
    provider.signs = lambda claims: sign(claims, key, algorithm, x="what nobody knows does no harm")
    async with visiting(provider) as visit:
        assert (await visit()).subject == "subject"


async def test_a_token_that_names_no_key_may_be_signed_by_any(provider: FalseProvider) -> None:
    key = NAMELESS
    provider.keys = [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "oct", "k": "AAAA"}, *provider.keys]
    provider.keys.append(key.as_dict(private=False))
    provider.signs = lambda claims: sign(claims, key)
    async with visiting(provider) as visit:
        assert (await visit()).subject == "subject"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], signer: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{encoded(signer(signed.encode()))}"


def rsa_signer(key: Any) -> Callable[[bytes], bytes]:
    """RS256."""
    return lambda data: bytes(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))


STRANGER, NAMELESS = new_key("RSA", "one"), new_key("RSA", None)
SIGNED: dict[str, Callable[[FalseProvider], Callable[[dict[str, Any]], str]]] = {
    "not at all": lambda provider: lambda claims: sign(claims, provider.key, "none"),
    "not at all, without a dot": lambda provider: lambda claims: sign(claims, provider.key).rpartition(".")[0],
    "by a stranger under the key's name": lambda provider: lambda claims: sign(claims, STRANGER),
    "by a stranger, naming no key": lambda provider: lambda claims: sign(claims, NAMELESS),
    "by a key that it brings along": lambda provider: (
        lambda claims: sign(claims, STRANGER, kid="two", jwk=STRANGER.as_dict(private=False))
    ),
    "over other claims": lambda provider: (
        lambda claims: ".".join(
            (
                sign(claims, provider.key).split(".")[0],
                sign({**claims, "sub": "other"}, provider.key).split(".")[1],
                sign(claims, provider.key).split(".")[2],
            )
        )
    ),
    "in no way that anybody knows": lambda provider: lambda claims: "not.a.token",
}


@pytest.mark.parametrize("how", SIGNED)
async def test_an_id_token_that_is_not_signed_by_the_provider_is_not_believed(
    provider: FalseProvider, how: str
) -> None:
    provider.signs = SIGNED[how](provider)
    async with visiting(provider) as visit:
        with pytest.raises(NotBelieved):
            await visit()


async def test_a_public_key_is_never_taken_for_a_secret(provider: FalseProvider) -> None:
    """Everybody knows it, so everybody could sign."""
    public = provider.key.as_pem(private=False)
    header = {"alg": "HS256", "kid": "one"}
    provider.signs = lambda claims: by_hand(header, claims, lambda data: hmac.digest(public, data, "sha256"))
    async with visiting(provider) as visit:
        with pytest.raises(NotBelieved, match="in a way that is not believed"):
            await visit()


async def test_what_a_token_says_must_be_understood_is(provider: FalseProvider) -> None:
    header = {"alg": "RS256", "kid": "one", "crit": ["x"], "x": 1}
    provider.signs = lambda claims: by_hand(header, claims, rsa_signer(provider.key.private_key))
    async with visiting(provider) as visit:
        with pytest.raises(NotBelieved, match="cannot be read"):
            await visit()


@pytest.mark.parametrize(
    ("says", "is_one"),
    [
        ({"use": "sig", "alg": "RS256"}, True),
        ({"use": "enc"}, False),
        ({"alg": "RS512"}, False),
        ({"alg": "RSA-OAEP"}, False),
    ],
)
async def test_a_key_signs_what_it_says_that_it_is_for(
    provider: FalseProvider, says: dict[str, str], is_one: bool
) -> None:
    provider.keys = [{**provider.keys[0], **says}]
    async with visiting(provider) as visit:
        if is_one:
            await visit()
        else:
            with pytest.raises(NotBelieved, match="signed with none of its keys"):
                await visit()


@pytest.mark.parametrize(("before", "is_seen"), [(MOST_KEYS - 1, True), (MOST_KEYS, False)])
async def test_so_many_keys_are_looked_at(provider: FalseProvider, before: int, is_seen: bool) -> None:
    provider.keys = [{"kty": "RSA", "kid": f"other {number}"} for number in range(before)] + provider.keys
    async with visiting(provider) as visit:
        if is_seen:
            await visit()
        else:
            with pytest.raises(NotBelieved, match="signed with none of its keys"):
                await visit()


@pytest.mark.parametrize(("bits", "is_one"), [(1024, False), (2048, True)])
async def test_a_short_key_is_none(provider: FalseProvider, bits: int, is_one: bool) -> None:
    key = rsa.generate_private_key(65_537, bits)
    modulus = key.public_key().public_numbers().n.to_bytes(bits // 8, "big")
    provider.keys = [{"kty": "RSA", "kid": "short", "e": "AQAB", "n": encoded(modulus)}]
    provider.signs = lambda claims: by_hand({"alg": "RS256", "kid": "short"}, claims, rsa_signer(key))
    async with visiting(provider) as visit:
        if is_one:
            await visit()
        else:
            with pytest.raises(NotBelieved, match="signed with none of its keys"):
                await visit()


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"iss": "http://other.example"}, "another provider's"),
        ({"iss": None}, "another provider's"),
        ({"aud": "another hub"}, "for somebody else"),
        ({"aud": None}, "for somebody else"),
        ({"aud": [CLIENT, "another hub"]}, "for several"),
        ({"aud": [CLIENT, "another hub"], "azp": "another hub"}, "for somebody else"),
        ({"azp": "another hub"}, "for somebody else"),
        ({"nonce": "another"}, "of another sign-in"),
        ({"nonce": None}, "of another sign-in"),
        ({"exp": int(time.time()) - 61}, "too old"),
        ({"exp": None}, "has no exp"),
        ({"exp": "tomorrow"}, "has no exp"),
        ({"exp": True}, "has no exp"),
        ({"exp": 10**400}, "has no exp"),
        ({"iat": 10**400}, "has no iat"),
        ({"iat": -(10**400)}, "has no iat"),
        ({"nbf": 10**400}, "has no nbf"),
        ({"iat": None}, "has no iat"),
        ({"iat": int(time.time()) + 300}, "of tomorrow"),
        ({"nbf": int(time.time()) + 300}, "of tomorrow"),
        ({"sub": None}, "its sub is none"),
        ({"sub": 7}, "its sub is none"),
        ({"sub": "x" * 256}, "its sub is none"),
        ({"sub": "a\nb"}, "its sub is none"),
    ],
)
async def test_claims_that_are_not_of_this_sign_in_are_not_believed(
    provider: FalseProvider, claims: dict[str, Any], says: str
) -> None:
    provider.claims = claims
    async with visiting(provider) as visit:
        with pytest.raises(NotBelieved, match=says):
            await visit()


async def test_clocks_may_differ_a_little_and_tokens_be_for_several(provider: FalseProvider) -> None:
    now = int(time.time())
    provider.claims = {"exp": now - 30, "iat": now + 30, "aud": ["another", CLIENT], "azp": CLIENT, "sub": "x" * 255}
    async with visiting(provider) as visit:
        assert (await visit()).subject == "x" * 255


@pytest.mark.parametrize(
    ("configuration", "back", "believed"),
    [
        ({}, {}, True),
        ({}, {"iss": "own"}, True),
        ({}, {"iss": "http://other.example"}, False),
        ({"authorization_response_iss_parameter_supported": True}, {}, False),
        ({"authorization_response_iss_parameter_supported": True}, {"iss": "own"}, True),
    ],
)
async def test_a_code_of_another_provider_goes_nowhere(
    provider: FalseProvider, configuration: dict[str, Any], back: dict[str, str], believed: bool
) -> None:
    """Mix-up (RFC 9207): a code that is sent to whoever did not give it is a code that is given away."""
    provider.configuration = configuration
    provider.back = {name: provider.issuer if value == "own" else value for name, value in back.items()}
    async with visiting(provider) as visit:
        if believed:
            await visit()
        else:
            with pytest.raises(NotBelieved, match="another provider"):
                await visit()

    assert len(provider.forms) == believed


@pytest.mark.parametrize(
    ("brought", "error", "says"),
    [
        ({"error": "access_denied"}, ProviderRefused, "the provider says access_denied"),
        ({"error": "<script>\n"}, ProviderRefused, "the provider says an error"),
        ({"code": ""}, AttemptOver, "without a code"),
        ({"code": "a-strangers"}, ProviderRefused, "the provider says invalid_grant"),
    ],
)
async def test_a_refusal_is_told_in_the_providers_word_if_it_is_one(
    provider: FalseProvider, brought: dict[str, str], error: type[Exception], says: str
) -> None:
    async with visiting(provider) as visit:
        with pytest.raises(error, match=f"^{says}$|{says}"):
            await visit(**brought)


async def test_what_the_token_does_not_say_userinfo_is_asked_for(provider: FalseProvider) -> None:
    provider.claims = {"preferred_username": None}
    provider.userinfo = {"sub": "subject", "preferred_username": "dora", "groups": ["staff"], "iss": "ignored"}
    async with visiting(provider, oidc_groups_claim="groups", oidc_group="staff") as visit:
        assert await visit() == Claimed(provider.issuer, "subject", "dora", frozenset({"staff"}))


async def test_userinfo_adds_to_what_the_token_says_and_changes_none_of_it(provider: FalseProvider) -> None:
    """The token is signed, and userinfo is not."""
    provider.userinfo = {"sub": "subject", "preferred_username": "root", "groups": ["staff"]}
    async with visiting(provider, oidc_groups_claim="groups") as visit:
        assert await visit() == Claimed(provider.issuer, "subject", "carol", frozenset({"staff"}))


@pytest.mark.parametrize(
    ("verified", "name"), [(True, "a@b.example"), (False, None), ("true", None), ("false", None), (1, None)]
)
async def test_an_address_is_verified_where_the_provider_says_true_and_nothing_like_it(
    provider: FalseProvider, verified: object, name: str | None
) -> None:
    """Core section 5.1 has it as a boolean; the text "false" is true for those who only look whether it is there."""
    provider.claims = {"email": "a@b.example", "email_verified": verified}
    async with visiting(provider, oidc_name_claim="email") as visit:
        assert (await visit()).name == name


@pytest.mark.parametrize("whose", [{"sub": "another"}, {"sub": None}, {"sub": ["subject"]}, {}])
async def test_userinfo_of_somebody_else_is_not_believed(provider: FalseProvider, whose: dict[str, Any]) -> None:
    provider.userinfo = {**whose, "groups": ["staff"]}
    async with visiting(provider, oidc_groups_claim="groups") as visit:
        with pytest.raises(NotBelieved, match="somebody else's"):
            await visit()


@pytest.mark.parametrize("token", [None, 7, "a\r\nHost: b", "é"])
async def test_an_access_token_that_cannot_be_one_is_not_sent(provider: FalseProvider, token: object) -> None:
    provider.token = lambda signed: {"id_token": signed, "access_token": token}
    async with visiting(provider, oidc_groups_claim="groups") as visit:
        with pytest.raises(NotBelieved, match="no access token"):
            await visit()

    assert "/userinfo" not in provider.seen


@pytest.mark.parametrize(
    ("groups", "found"),
    [(["a", "b"], {"a", "b"}), ("a", {"a"}), ([], set()), (None, set()), ({"a": 1}, None), ([1], None), (7, None)],
)
async def test_groups_are_a_list_of_names_or_one(provider: FalseProvider, groups: Any, found: set[str] | None) -> None:
    provider.userinfo = {"sub": "subject", "groups": groups}
    async with visiting(provider, oidc_groups_claim="groups") as visit:
        if found is None:
            with pytest.raises(NotBelieved, match="no list of names"):
                await visit()
        else:
            assert (await visit()).groups == found


async def test_who_is_not_in_the_group_does_not_get_in(provider: FalseProvider) -> None:
    provider.claims = {"groups": ["others"]}
    async with visiting(provider, oidc_groups_claim="groups", oidc_group="staff") as visit:
        with pytest.raises(NotInGroup):
            await visit()


@pytest.mark.parametrize(
    "configuration",
    [
        {"issuer": "http://other.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://a.example/#fragment"},
        {"authorization_endpoint": "http://a.example/\u2028"},
        {"authorization_endpoint": "http://a.example/\r\nSet-Cookie: a=b"},
        {"authorization_endpoint": "http://a.example/\n"},
        {"authorization_endpoint": "http://ä.example/"},
        {"authorization_endpoint": "http://a.example/a b"},
        {"authorization_endpoint": "http://a.example/\x7f"},
        {"authorization_endpoint": "http://a.example\\@b.example/"},
        {"authorization_endpoint": "http://user:password@a.example/"},
        {"authorization_endpoint": "http://@a.example/"},
        {"authorization_endpoint": "http:///authorize"},
        {"authorization_endpoint": "http://a.example:99999/"},
        {"token_endpoint": "http://"},
        {"token_endpoint": "http://[x]/"},
        {"token_endpoint": "http://[::1/"},
        {"jwks_uri": 7},
        {"userinfo_endpoint": "data:,"},
    ],
)
async def test_a_configuration_that_cannot_be_is_refused_before_anybody_is_sent_there(
    provider: FalseProvider, configuration: dict[str, Any]
) -> None:
    provider.configuration = configuration
    async with visiting(provider) as visit:
        with pytest.raises(ProviderUnavailable):
            await visit()


class Told(Provider):
    """At an https address, without a network: says what it is told."""

    def __init__(self, document: dict[str, Any]) -> None:
        limits = Limits()
        super().__init__("https://id.example", None, limits, HandClock())  # type: ignore[arg-type]  # `ask` alone asks it
        self.document = {"issuer": self.issuer, **document}

    async def ask(self, *_: object) -> tuple[int, dict[str, Any]]:
        return 200, self.document


@pytest.mark.parametrize("what", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
async def test_a_provider_behind_tls_names_no_address_without(what: str) -> None:
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
    right = {name: f"https://other.example/{name}?a=b@c" for name in names}

    assert (await Told(right).configuration()).token == right["token_endpoint"]
    with pytest.raises(ProviderUnavailable, match=f"its {what} is no address"):
        await Told({**right, what: f"http://id.example/{what}"}).configuration()


async def test_a_slash_makes_another_issuer(provider: FalseProvider) -> None:
    provider.configuration = {"issuer": provider.issuer + "/"}
    async with visiting(provider) as visit:
        with pytest.raises(ProviderUnavailable, match="to the last slash"):
            await visit()


@pytest.mark.parametrize("path", [CONFIGURATION, "/keys", "/token", "/userinfo"])
@pytest.mark.parametrize("how", ["silent", "gone", "endless", "a page", "an error", "a list"])
async def test_a_provider_that_does_not_answer_as_it_should_costs_a_moment(
    provider: FalseProvider, path: str, how: str
) -> None:
    answers = {
        "silent": hang(),
        "gone": refuse(),
        "endless": endless_json("application/json"),
        "a page": say(b"<html>"),
        "an error": status(500, b"{}"),
        "a list": say(b"[]", "application/json"),
    }
    provider.misbehave[path] = answers[how]
    async with visiting(provider, oidc_groups_claim="groups", limits={**QUICK, "provider_bytes": 100_000}) as visit:
        begun = time.monotonic()
        with pytest.raises(ProviderRefused if (path, how) == ("/token", "an error") else ProviderUnavailable):
            await visit()
        assert time.monotonic() - begun < 5, "limits.provider_seconds"


async def test_an_answer_may_have_as_many_bytes_as_its_limit(provider: FalseProvider) -> None:
    key = json.dumps(provider.key.as_dict(private=False)).encode()
    body = b'{"keys": [' + key + b" " * 5_000 + b"]}"
    provider.misbehave["/keys"] = say(body, "application/json")
    async with visiting(provider, limits={"provider_bytes": len(body)}) as visit:
        await visit()
    async with visiting(provider, limits={"provider_bytes": len(body) - 1}) as visit:
        with pytest.raises(ProviderUnavailable, match="has more than"):
            await visit()


@pytest.mark.parametrize("what", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
async def test_the_provider_leads_the_hub_to_no_private_address(provider: FalseProvider, what: str) -> None:
    with Upstream() as private:
        provider.configuration = {what: private.base + "/"}
        async with visiting(provider, oidc_groups_claim="groups") as visit:
            with pytest.raises(ProviderUnavailable, match="it is not asked"):
                await visit()
        assert private.connections == 0


@pytest.mark.parametrize("path", [CONFIGURATION, "/keys", "/token", "/userinfo"])
async def test_no_redirect_of_the_providers_leads_there_either(provider: FalseProvider, path: str) -> None:
    with Upstream() as private:
        provider.misbehave[path] = redirect_to(private.base + "/", 307)
        async with visiting(provider, oidc_groups_claim="groups", oidc_client_secret=SECRET) as visit:
            with pytest.raises(ProviderUnavailable, match="it is not asked"):
                await visit()
        assert private.connections == 0


async def test_new_keys_are_found_but_not_looked_for_all_the_time(provider: FalseProvider) -> None:
    clock, old, new = HandClock(), provider.key, STRANGER
    async with visiting(provider, clock) as visit:
        await visit()
        provider.keys = [{**new.as_dict(private=False), "kid": "new"}]
        provider.signs = lambda claims: sign(claims, new, kid="new")

        with pytest.raises(NotBelieved):
            await visit()
        assert provider.seen.count("/keys") == 1, "limits.provider_keys_seconds"
        clock.advance(61)
        provider.claims = {"exp": int(time.time()) + 600}
        await visit()
        await visit()
        assert provider.seen.count("/keys") == 2

        provider.signs = lambda claims: sign(claims, old)
        with pytest.raises(NotBelieved):
            await visit()
        assert provider.seen.count("/keys") == 2


async def test_a_key_that_was_taken_back_is_believed_for_an_hour_at_most(provider: FalseProvider) -> None:
    clock = HandClock()
    async with visiting(provider, clock) as visit:
        await visit()
        provider.keys = []
        provider.claims = {"exp": int(time.time()) + 8_000}
        clock.advance(3_500)
        await visit()
        clock.advance(200)
        with pytest.raises(NotBelieved, match="none of its keys"):
            await visit()  # limits.provider_fresh_seconds

    assert provider.seen.count(CONFIGURATION) == 2


async def test_so_many_sign_ins_are_finished_at_once(provider: FalseProvider) -> None:
    async with visiting(provider, limits={"waiting_logins": 1}) as visit:
        attempt = Attempt.begin("/")
        visit.sign_in._finishing = 1
        with pytest.raises(TooManyLogins):
            await visit.sign_in.finish(attempt, {"code": "a"}, BACK)
        visit.sign_in._finishing = 0
        await visit()
        assert visit.sign_in._finishing == 0
