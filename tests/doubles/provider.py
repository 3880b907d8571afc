"""Providers of OpenID Connect on loopback: a real one from a package, and one that says whatever a test wants."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwk, jws, jwt
from werkzeug.serving import make_server

from tests.doubles.loopback import Answerer, Exchange, Loopback, Reply

CLIENT, SECRET = "the hub", "s3cret: 100% +safe"

Claims = dict[str, Any]


class RealProvider:
    """oidc-provider-mock, over Authlib: it checks redirect addresses and the client's secret, and PKCE by what is here.

    Attributes:
        issuer: its address.
        client_id, client_secret: of the client that was registered last.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self._challenges: list[str] = []
        self._server = make_server("127.0.0.1", 0, self._wsgi, threaded=True)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.client_id = self.client_secret = ""
        self.verified = 0
        self._browser = httpx2.Client(trust_env=False, verify=False)

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Serve until the test ends."""
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            import_module("authlib.deprecate")  # it asks for its warnings, always

            warnings.simplefilter("ignore")  # Authlib's of itself
            patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
            logging.getLogger("werkzeug").setLevel(logging.ERROR)
            provider = cls(
                import_module("oidc_provider_mock").app(require_client_registration=True, require_nonce=True)
            )
            thread = threading.Thread(target=provider._server.serve_forever, args=(0.01,), daemon=True)
            thread.start()
            yield provider
            provider._server.shutdown()
            thread.join(10)
            provider._server.server_close()
            provider._browser.close()

    def register(self, redirect_uri: str) -> None:
        """A client, as an operator would."""
        answer = self._browser.post(f"{self.issuer}/oauth2/clients", json={"redirect_uris": [redirect_uri]}).json()
        self.client_id, self.client_secret = answer["client_id"], answer["client_secret"]

    def knows(self, subject: str, **claims: Any) -> None:
        """A user of it, with these claims."""
        self._browser.put(f"{self.issuer}/users/{subject}", json=claims).raise_for_status()

    def sign_in(self, address: str, subject: str) -> str:
        """Fill in the form at the address where the hub sends the browser; returns where it is sent back to."""
        form = {"action": "deny"} if not subject else {"sub": subject}
        answer = self._browser.post(address, data=form)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def _wsgi(self, environ: dict[str, Any], start: Any) -> Any:
        """PKCE (RFC 7636), which the package leaves out: no code without a challenge, no token without its verifier."""
        if environ["PATH_INFO"] == "/oauth2/authorize":
            asked = parse_qs(environ["QUERY_STRING"])
            assert asked["code_challenge_method"] == ["S256"]
            self._challenges += asked["code_challenge"]
        if environ["PATH_INFO"] == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = BytesIO(body)
            (verifier,) = parse_qs(body.decode())["code_verifier"]
            assert challenge(verifier) in self._challenges
            self.verified += 1
        return self._app(environ, start)


class FalseProvider:
    """Says what a test wants said; right in everything else. What it says is set between two sign-ins.

    Attributes:
        configuration: what stands in its document beside what it needs.
        claims: what stands in ID tokens beside what it needs; None leaves a claim out.
        userinfo: what its userinfo says.
        token: the whole answer to a code, made of the ID token.
        signs: makes the ID token of the claims.
        keys: what it says its keys are.
        misbehave: by path, what answers instead.
        back: what is added to the address that the browser is sent back to; None leaves something out.
        seen: the paths that were asked for.
        forms: what came with codes, and the Authorization that came with it.
    """

    def __init__(self) -> None:
        self.key: Any = new_key("RSA", "one")
        self._server = Loopback(self._answer)
        self.issuer = f"http://127.0.0.1:{self._server.ports[0]}"
        self.reset()

    def reset(self) -> None:
        """Right in everything."""
        self.configuration: Claims = {}
        self.claims: Claims = {}
        self.userinfo: Claims = {}
        self.token: Callable[[str], Claims] = lambda token: {"id_token": token, "access_token": "a.token"}
        self.signs: Callable[[Claims], str] = lambda claims: sign(claims, self.key)
        self.keys: list[Claims] = [self.key.as_dict(private=False)]
        self.misbehave: dict[str, Answerer] = {}
        self.back: Claims = {}
        self.seen: list[str] = []
        self.forms: list[tuple[dict[str, str], str]] = []
        self._codes: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def sign_in(self, address: str) -> str:
        """Where the browser is sent back to from the address that it was sent to."""
        asked = dict(parse_qsl(urlsplit(address).query, strict_parsing=True))
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], **self.back}
        return f"{asked['redirect_uri']}?" + urlencode({name: text for name, text in back.items() if text is not None})

    async def _answer(self, exchange: Exchange) -> None:
        path = exchange.request.path
        self.seen.append(path)
        answers: dict[str, Callable[[Exchange], Reply]] = {
            "/.well-known/openid-configuration": self._configuration,
            "/keys": lambda _: Reply(200, body=json.dumps({"keys": self.keys}).encode()),
            "/token": self._token,
            "/userinfo": lambda _: Reply(200, body=json.dumps(self.userinfo).encode()),
        }
        exchange.reply = answers[path](exchange) if path in answers else Reply(404)
        if path in self.misbehave:
            await self.misbehave[path](exchange)
        else:
            await exchange.send()

    def _configuration(self, _: Exchange) -> Reply:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        document = {name: f"{self.issuer}/{path}" for name, path in names.items()}
        document |= {"issuer": self.issuer, "userinfo_endpoint": f"{self.issuer}/userinfo", **self.configuration}
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _token(self, exchange: Exchange) -> Reply:
        form = dict(parse_qsl(exchange.request.body.decode(), strict_parsing=True))
        self.forms.append((form, _pair(exchange.request.headers.get("authorization", ""))))
        asked = self._codes.pop(form["code"], None)
        if (
            asked is None
            or form["redirect_uri"] != asked["redirect_uri"]
            or challenge(form["code_verifier"]) != asked["code_challenge"]
        ):
            return Reply(400, body=b'{"error": "invalid_grant"}')
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "subject",
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "preferred_username": "carol",
            **self.claims,
        }
        token = self.signs({name: value for name, value in claims.items() if value is not None})
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(self.token(token)).encode())


def new_key(kind: str, name: str | None, of: Any = None) -> Any:
    """A key pair of that kind (`RSA`, `EC`, `OKP`) and name."""
    size = of or {"RSA": 2048, "EC": "P-256", "OKP": "Ed25519"}[kind]
    return jwk.generate_key(kind, size, {"kid": name} if name else None, auto_kid=False)  # type: ignore[call-overload]


def sign(claims: Claims, key: Any, algorithm: str = "RS256", **header: Any) -> str:
    """A signed token; the header names the key where it has a name."""
    named = {} if key.kid is None else {"kid": key.kid}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of `none`, and of EdDSA's name
        return jwt.encode({"alg": algorithm, **named, **header}, claims, key, registry=registry)


def challenge(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _pair(authorization: str) -> str:
    """Name and password as RFC 6749 section 2.3.1 has them."""
    scheme, _, value = authorization.partition(" ")
    return ":".join(map(unquote_plus, base64.b64decode(value).decode().split(":"))) if scheme == "Basic" else ""
