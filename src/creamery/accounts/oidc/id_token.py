"""Whether an ID token is to be believed (OpenID Connect Core section 3.1.3.7).

Imported when somebody signs in: joserfc and what is under it are 10 MiB.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import errors, jwk, jws, jwt

from creamery.accounts.oidc.errors import NoSuchKey, NotBelieved
from creamery.accounts.oidc.provider import Key

ALGORITHMS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}
"""Signatures that are believed, and the kind of key that makes them. None that needs a secret which both sides know:
then a public key could be taken for the secret. And never `none`."""

LEEWAY_SECONDS = 60
"""What two clocks may differ."""

_SHORTEST_MODULUS = 342  # letters of Base64: 2048 bits (RFC 7518 section 3.3)


class _Registry(jws.JWSRegistry):
    """The library's, which otherwise warns of `EdDSA`, the older name of `Ed25519` (RFC 9864), on standard error."""

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise errors.UnsupportedAlgorithmError
        return self.algorithms[name]


_REGISTRY = _Registry(algorithms=list(ALGORITHMS), strict_check_header=False)


def verified(token: str, keys: Sequence[Key]) -> dict[str, Any]:
    """The claims of a token that one of the keys has signed.

    Raises:
        NoSuchKey: the key that it names is not among them; or it names none, and none of them fits.
        NotBelieved: it is no signed token, or its signature is wrong.
    """
    try:
        header = jws.extract_compact(token.encode(), registry=_REGISTRY).headers()
        named, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise NotBelieved("its ID token is signed in a way that is not believed")
        for key in _fitting(keys, ALGORITHMS[algorithm], algorithm, named):
            try:
                return dict(jwt.decode(token, key, registry=_REGISTRY).claims)
            except errors.BadSignatureError as error:
                if named is not None:
                    raise NotBelieved("the signature of its ID token is wrong") from error
    except (errors.JoseError, ValueError) as error:
        raise NotBelieved("its ID token cannot be read") from error
    raise NoSuchKey


def check_claims(claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: float) -> None:
    """Is it for this hub, of this sign-in, and of today?

    Args:
        claims: of a token whose signature is right.
        issuer: who must have made it.
        client_id: whom it must be for.
        nonce: which sign-in it must be of.
        now: seconds since 1970.

    Raises:
        NotBelieved: it is not.
    """
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != issuer:
        raise NotBelieved("its ID token is another provider's")
    if client_id not in audiences or claims.get("azp", client_id) != client_id:
        raise NotBelieved("its ID token is for somebody else")
    if len(audiences) > 1 and "azp" not in claims:
        raise NotBelieved("its ID token is for several, and does not say who asked for it")
    if claims.get("nonce") != nonce:
        raise NotBelieved("its ID token is of another sign-in")
    if _moment(claims, "exp") <= now - LEEWAY_SECONDS:
        raise NotBelieved("its ID token is too old, or the clocks differ")
    begins = max(_moment(claims, name) for name in ("iat", "nbf") if name in claims or name == "iat")
    if begins > now + LEEWAY_SECONDS:
        raise NotBelieved("its ID token is of tomorrow: the clocks differ")


def _fitting(keys: Iterable[Key], kind: str, algorithm: str, named: object) -> Iterable[Any]:
    """The keys that may have signed it, as joserfc has them. What cannot be used is left out."""
    for key in keys:
        if key.get("kty") != kind or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
            continue
        if named is not None and key.get("kid") != named:
            continue
        if kind == "RSA" and len(str(key.get("n", ""))) < _SHORTEST_MODULUS:
            continue
        public = {name: value for name, value in key.items() if name in {"kty", "n", "e", "crv", "x", "y"}}
        try:
            yield jwk.import_key(public, kind)  # type: ignore[call-overload]  # one of its three names
        except (errors.JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
            continue


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    try:
        moment = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:  # JSON's numbers have no end
        moment = math.inf
    if not math.isfinite(moment):
        raise NotBelieved(f"its ID token has no {name}")
    return moment
