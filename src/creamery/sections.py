"""The groups of settings, such as `[index]`: what each setting may be, its default, its description.

`settings.py` reads them and says what is wrong in them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode
from yarl import URL

from creamery.limits import GIB
from creamery.policy_rules import PolicyRule, split_rules

SHORTEST_SECRET = 32
WEB_ADDRESS = "should begin with http:// or https:// and name a host; ports go from 1 to 65535"

_BLANK = re.compile(r"\s")
_RING = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9*?._-]{1,255}", re.ASCII)
_SCOPE = re.compile(r"[!#-\[\]-~]+", re.ASCII)  # RFC 6749 section 3.3

T = TypeVar("T")


def listed(value: object) -> object:
    """The environment has lists as `a, b`, and none at all as `[]`; creamery.toml as lists."""
    if isinstance(value, str) and value.strip() == "[]":
        return []
    if isinstance(value, str):
        return [piece.strip() for piece in value.split(",") if piece.strip()]
    return value


def address_of(text: str) -> URL | None:
    """An address as `egress` will read it; None where it names no host, or a port that cannot be."""
    try:
        address = URL(text)
    except (ValueError, IndexError):  # IndexError: `http://[]@`
        return None
    host = address.raw_host
    is_whole = host and not _BLANK.search(host) and address.explicit_port != 0 and text == text.strip()
    return address if is_whole else None


def is_web_address(text: str) -> bool:
    """May it be asked over http or https?"""
    address = address_of(text)
    return address is not None and address.scheme in {"http", "https"}


def _names_a_host(text: str) -> str:
    if address_of(text if "://" in text else f"//{text}") is None:
        raise ValueError("should be a host, such as `files.example` or `files.example:8443` (ports go from 1 to 65535)")
    return text


def _names_readers(text: str) -> str:
    if text not in {"anyone", "users", "admins"} and not (text.startswith("group:") and text != "group:"):
        raise ValueError("should be anyone, users, admins or group:NAME")
    return text


def names_uploaders(text: str) -> str:
    """Who may bring something in.

    Raises:
        ValueError: it is none of these.
    """
    if text == "anyone":
        raise ValueError("should be users, admins or group:NAME; nobody uploads without being known")
    return _names_readers(text)


def _are_addresses(given: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for each in given:
        address = address_of(each.get_secret_value())
        if address is None or not is_web_address(each.get_secret_value()) or address.query_string or address.fragment:
            raise ValueError(f"{WEB_ADDRESS}; it has no query")
    return given


def _is_ring(text: str) -> str:
    if not _RING.fullmatch(text):
        raise ValueError("should be a ring's name: at most 64 small letters, digits, `.`, `-` and `_`")
    return text


def is_long(secret: SecretStr) -> SecretStr:
    """A secret that nobody finds by trying.

    Raises:
        ValueError: it is shorter than `SHORTEST_SECRET`.
    """
    if len(secret.get_secret_value()) < SHORTEST_SECRET:
        raise ValueError(f"should have at least {SHORTEST_SECRET} characters, such as `openssl rand -hex 32` makes")
    return secret


def long_or_unset(secret: SecretStr | None) -> SecretStr | None:
    """`is_long`, where there is one."""
    return None if secret is None else is_long(secret)


def _is_pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError("should be a pattern of projects' names, such as `acme-*`: letters, digits, `-`, `*` and `?`")
    return re.sub(r"[-_.]+", "-", text).lower()


def _rules(value: object) -> object:
    return split_rules(value) if isinstance(value, str) else value


def _is_rule(text: str) -> str:
    return PolicyRule.parse(text).text


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)]
Patterns = Annotated[tuple[Annotated[str, AfterValidator(_is_pattern)], ...], NoDecode, BeforeValidator(listed)]
Rules = Annotated[tuple[Annotated[str, AfterValidator(_is_rule)], ...], NoDecode, BeforeValidator(_rules)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_names_a_host)], ...], NoDecode, BeforeValidator(listed)]


class Section(BaseModel):
    """What every group has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Listen(Section):
    """Where the hub listens."""

    host: str = Field("127.0.0.1", description="Address to listen on; anything but loopback wants TLS in front.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    uds: Path | None = Field(None, description="A Unix socket to listen on instead of a port.")


class Cache(Section):
    """What is kept of what can be fetched again."""

    max_bytes: int = Field(
        50 * GIB, ge=0, description="Size up to which fetched files are kept; beyond it the least recently used go."
    )
    max_age: NonNegativeFloat = Field(0, description="Seconds without use after which a fetched file goes; 0: never.")


class Upstream(Section):
    """An index that is asked for projects."""

    url: str = Field(
        description="Address of its simple API, such as `https://HOST/simple/`; may hold `user:password@`."
    )
    files: Hosts = Field(
        default=(), description="Further hosts that its pages may name for files, wherever those hosts are."
    )
    max_age: NonNegativeFloat | None = Field(
        None, description="Seconds for which its answers are taken as fresh; unset: as `index.max_age`."
    )
    names: Patterns = Field(
        default=("*",),
        description="The projects that it may answer for, as patterns such as `acme-*`; others it never hears.",
    )

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not is_web_address(url):
            raise ValueError(WEB_ADDRESS)
        return url if url.endswith("/") else url + "/"


def _upstreams(value: object) -> object:
    """One address, several separated by commas, or tables."""
    given = listed(value)
    if isinstance(given, (list, tuple)):
        return [{"url": item} if isinstance(item, str) else item for item in given]
    return given


class Index(Section):
    """Packages."""

    upstreams: Annotated[tuple[Upstream, ...] | None, NoDecode, BeforeValidator(_upstreams)] = Field(
        None,
        description="Indexes that are asked in order for what is not here; unset: the one that pip's configuration"
        " names, else PyPI; an empty list (`[]`): none.",
    )
    max_age: NonNegativeFloat = Field(
        0,
        description="Seconds for which an upstream's page is taken as fresh; 0: ask (conditionally) at every request.",
    )
    read: Annotated[str, AfterValidator(_names_readers)] = Field(
        "anyone", description="Who may read: `anyone`, `users` (whoever is known), `admins`, or `group:NAME`."
    )
    htpasswd: Path | None = Field(
        None, description="A password file as Apache has them; whoever is in it is known to this door, and to no other."
    )
    passcode: SecretStr | None = Field(
        None, description="Password of the user `havarti`; unset: there is no such user."
    )
    upload: Annotated[str, AfterValidator(names_uploaders)] = Field(
        "users", description="Who may upload: `users` (whoever is known), `admins`, or `group:NAME`."
    )
    reserved: Patterns = Field(
        default=(),
        description="Names that are the hub's own before anybody has uploaded them, such as `acme-*`: no upstream hears"
        " them. More of them by `creamery index reserve`.",
    )
    allow: Rules = Field(
        default=(),
        description="Rules about the files that are offered, such as `numpy`, `django>=4.2`, `acme-* kind=wheel`; where"
        " there are any, all other files are withheld, uploaded ones too.",
    )
    deny: Rules = Field(
        default=(),
        description="Rules about the files that are withheld, such as `evil-*`, `django<4.2`, `* kind=sdist`; they win"
        " over `index.allow`.",
    )
    deleted_upstream: Literal["serve", "withhold"] = Field(
        "serve", description="What becomes of the copy of a file that its upstream has deleted."
    )
    quarantined_upstream: Literal["serve", "withhold"] = Field(
        "withhold", description="What becomes of the copies of a project that its upstream has quarantined (PEP 792)."
    )
    offline_pages: Literal["here", "all"] = Field(
        "here", description="What a page lists while its upstream is unreachable: the files that are here, or all."
    )


class Wheels(Section):
    """Wheels that one machine has built, so that no other has to."""

    read: Annotated[str, AfterValidator(_names_readers)] = Field(
        "anyone", description="Who may have them: `anyone`, `users` (whoever is known), `admins`, or `group:NAME`."
    )
    push: Annotated[str, AfterValidator(_names_readers)] = Field(
        "users",
        description="Who may add to them: `users` (whoever is known), `admins`, `group:NAME`; `anyone`: users, and"
        " strangers into a ring of their own, as long as `wheels.strangers` lets them.",
    )
    strangers: Literal["auto", "on", "off"] = Field(
        "auto",
        description="When `wheels.push = anyone` holds for those who are not signed in: `auto`: as long as the hub"
        " listens on loopback alone, and nothing says that a proxy stands before it.",
    )
    ring: Annotated[str, AfterValidator(_is_ring)] = Field(
        "main", description="The ring that is written to by whoever may push and names no other; everybody sees it."
    )
    trusted: Annotated[tuple[Annotated[str, AfterValidator(_is_ring)], ...], NoDecode, BeforeValidator(listed)] = Field(
        default=(), description="Further rings that everybody sees, in their order, behind `wheels.ring`."
    )
    agree: NonNegativeInt = Field(
        0,
        description="When so many users have built the same bytes for the same key, whatever their rings, everybody"
        " sees them; 0: never, an administrator promotes them (`creamery wheels promote`).",
    )
    upstreams: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(listed), AfterValidator(_are_addresses)] = (
        Field(
            default=(),
            description="Where built wheels come from that are not here, in order: another hub's `http://HOST/w/`, or"
            " an old curd-server's address; may hold `user:password@`.",
        )
    )
    max_bytes: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="What built wheels that may go may hold together, beside `cache.max_bytes`: those that are"
        " pinned, and those that pip was handed (`limits.wheel_handed_seconds`), stay and do not count; unset: no limit"
        " of their own.",
    )
    max_unused_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Age since its last use at which a built wheel goes; unset: none."
    )
    htpasswd: Path | None = Field(None, description="A password file for this door, as `index.htpasswd`.")


class Hive(Section):
    """Files: people's homes, and spaces that are shared work."""

    use: Annotated[str, AfterValidator(names_uploaders)] = Field(
        "users", description="Who has files here: `users`, `group:NAME` or `admins`."
    )
    quota: NonNegativeInt | None = Field(
        None, description="Bytes that the files of one space may have, where it has no quota of its own; unset: any."
    )
    trash_days: Annotated[float, Field(ge=0, le=36_500)] = Field(
        30.0,
        description="Days that what was deleted stays when the disk is short of room; of a space that has more than its"
        " quota, the oldest goes earlier.",
    )
    trash_most_days: Annotated[float, Field(ge=0, le=36_500)] | None = Field(
        None, description="Days after which what was deleted goes though there is room; unset: it stays."
    )
    log_days: Annotated[float, Field(ge=1, le=36_500)] = Field(
        90.0, description="Days for which clients can ask what has changed; who was away for longer lists anew."
    )
    windows_names: bool = Field(
        default=False, description="Refuse names that Windows cannot hold, such as `a:b`, `NUL` or `x.`."
    )
    cors: Texts = Field(
        default=(), description="Origins whose pages may use WebDAV from a browser, such as `app://obsidian.md`."
    )


class Accounts(Section):
    """Who may come in."""

    registrations_open: bool = Field(
        False, description="Whether strangers may make themselves users (`POST /api/v1/registrations`)."
    )
    oidc_issuer: str | None = Field(
        None,
        description="Address of a provider of OpenID Connect where people sign in, exactly as it calls itself; unset:"
        " there is none.",
    )
    oidc_client_id: str | None = Field(
        None, min_length=1, max_length=255, validate_default=True, description="What the provider knows the hub by."
    )
    oidc_client_secret: SecretStr | None = Field(
        None,
        validate_default=True,
        description="The hub's password at the provider; unset: the hub is a public client, which PKCE alone protects.",
    )
    oidc_scopes: Texts = Field(
        default=("openid", "profile", "email"), description="What the provider is asked for; `openid` is among it."
    )
    oidc_name_claim: str = Field(
        "preferred_username",
        min_length=1,
        description="The claim that a new user is named after; `email` counts where the provider has verified it.",
    )
    oidc_groups_claim: str | None = Field(
        None,
        min_length=1,
        validate_default=True,
        description="The claim that lists somebody's groups; unset: groups are the hub's own affair.",
    )
    oidc_group: str | None = Field(
        None,
        min_length=1,
        validate_default=True,
        description="The group, as that claim has it, whose members alone get in; unset: whoever the provider knows.",
    )
    oidc_register: bool = Field(
        True,
        description="Whether somebody new becomes a user by signing in at the provider; false: only who was linked"
        " (`creamery user link`).",
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _is_an_issuer(cls, issuer: str | None) -> str | None:
        address = address_of(issuer) if issuer is not None else None
        if issuer is not None and (not is_web_address(issuer) or address is None or address.user is not None):
            raise ValueError(f"{WEB_ADDRESS}; it has no user and no password")
        if issuer is not None and ("?" in issuer or "#" in issuer):
            raise ValueError(f"{WEB_ADDRESS}; it has no query and no fragment")
        return issuer

    @field_validator("oidc_client_id")
    @classmethod
    def _goes_with_the_issuer(cls, client_id: str | None, info: ValidationInfo) -> str | None:
        if "oidc_issuer" in info.data and (client_id is None) != (info.data["oidc_issuer"] is None):
            raise ValueError("accounts.oidc_issuer and accounts.oidc_client_id go together: set both, or none")
        return client_id

    @field_validator("oidc_client_secret", "oidc_groups_claim", "oidc_group")
    @classmethod
    def _needs_an_issuer(cls, value: T, info: ValidationInfo) -> T:
        if value is not None and info.data.get("oidc_issuer", "") is None:
            raise ValueError("means nothing without accounts.oidc_issuer and accounts.oidc_client_id")
        if value is not None and info.field_name == "oidc_group" and info.data.get("oidc_groups_claim", "") is None:
            raise ValueError("needs accounts.oidc_groups_claim, the claim in which it is looked for")
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _asks_for_identity(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes or not all(_SCOPE.fullmatch(scope) for scope in scopes):
            raise ValueError("should list the scopes, `openid` among them, separated by commas")
        return scopes


class Log(Section):
    """What the hub says of its work, to standard error and into files."""

    format: Literal["auto", "json", "text"] = Field("auto", description="One JSON object a line, or text for people.")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is written.")
    requests: bool = Field(True, description="One line per request.")
    screen: bool = Field(True, description="Whether it goes to standard error at all.")
    file: Path | None = Field(None, description="A file that it is appended to, but for the lines of requests.")
    requests_file: Path | None = Field(None, description="A file that the lines of requests are appended to.")

    @field_validator("file", "requests_file", mode="before")
    @classmethod
    def _is_named(cls, path: object) -> object:
        return path or None  # CherryPy writes '' for none


class Egress(Section):
    """The way out. Unset values are taken from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""

    https_proxy: str | None = Field(
        None, description="Proxy for https addresses: `http://HOST:PORT`, or `HOST:PORT`; empty in creamery.toml: none."
    )
    http_proxy: str | None = Field(None, description="Proxy for http addresses, in the same way.")
    no_proxy: Texts = Field(default=(), description="Hosts (and their subdomains) that are reached without a proxy.")

    @field_validator("https_proxy", "http_proxy")
    @classmethod
    def _is_a_proxy(cls, proxy: str | None) -> str | None:
        if proxy and not is_web_address(proxy if "://" in proxy else f"http://{proxy}"):
            raise ValueError(f"a proxy {WEB_ADDRESS} (`HOST:PORT` alone is an http proxy); no other kind can be used")
        return proxy
