"""The groups of settings of data carts, `[carts]` and the archives in it; as `sections.py` has the others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from creamery.limits import GIB
from creamery.sections import (
    WEB_ADDRESS,
    Hosts,
    Section,
    address_of,
    is_web_address,
    listed,
    long_or_unset,
    names_uploaders,
)

INDEX_ARCHIVE = "index"
"""By this name the hub's own index is an archive; no other has it."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST_AND_PORT = re.compile(r"[\w.-]+:\d+(?:/.*)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_NO_NAME = re.compile(r"[^A-Za-z0-9._:-]+", re.ASCII)


class Archive(Section):
    """A place that carts' files come from."""

    name: str = Field(
        description="What carts and rows know it by; unset: the address's host, or the path's last part. Whoever"
        " changes it makes another archive of it."
    )
    kind: Literal["pacifica", "directory", "web"] = Field(
        description="`pacifica`: it speaks the Pacifica Archive Interface; `directory`: a folder of this machine;"
        " `web`: any http server with files."
    )
    url: str | None = Field(None, description="Its address, for all but folders; may hold `user:password@`.")
    path: Path | None = Field(None, description="The folder; nothing outside of it is ever read.")
    at_once: PositiveInt | None = Field(
        None,
        description="Requests, and files being read, at the same time; unset: 1 for `pacifica`, 4 for `directory`, 8"
        " for `web`. A Pacifica archive bears more only where each process of it has one thread.",
    )
    window: PositiveInt = Field(500, description="Files that may be staged, and not yet near, at the same time.")

    @model_validator(mode="before")
    @classmethod
    def _has_a_name(cls, given: object) -> object:
        if not isinstance(given, dict) or "name" in given:
            return given
        address, path = address_of(str(given.get("url", ""))), str(given.get("path", ""))
        port = f":{address.explicit_port}" if address is not None and address.explicit_port else ""
        own = f"{address.host}{port}" if address is not None else Path(path).name
        return {**given, "name": _NO_NAME.sub("-", own).strip("-.") or given.get("kind", "archive")}

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("should be a name of at most 64 letters, digits, `.`, `-`, `_` and `:`")
        if name == INDEX_ARCHIVE:
            raise ValueError(f"`{name}` is the hub's own index: give it a `name` of its own")
        return name

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        address = address_of(url) if url is not None else None
        if url is not None and (address is None or not is_web_address(url) or address.query_string or address.fragment):
            raise ValueError(f"{WEB_ADDRESS}; it has no query")
        return url

    @field_validator("path")
    @classmethod
    def _is_whole(cls, path: Path | None) -> Path | None:
        return None if path is None else path.absolute()

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        needed = "path" if self.kind == "directory" else "url"
        if getattr(self, needed) is None or (self.url is not None and self.path is not None):
            raise ValueError(f"an archive of kind {self.kind} has `{needed}`, and not the other of `url` and `path`")
        return self


def _archives(value: object) -> object:
    """One text, several separated by commas, or tables."""
    given = listed(value)
    if isinstance(given, (list, tuple)):
        return [_archive(item) if isinstance(item, str) else item for item in given]
    return given


def _archive(text: str) -> dict[str, str]:
    if _ADDRESS.match(text):
        return {"kind": "pacifica", "url": text}
    if _HOST_AND_PORT.fullmatch(text):
        raise ValueError(f"{text}: an archive's address begins with http:// or https://, a folder's path with / or ./")
    return {"kind": "directory", "path": text}


class Carts(Section):
    """Files that are brought near from an archive, and downloaded together."""

    archives: Annotated[tuple[Archive, ...], NoDecode, BeforeValidator(_archives)] = Field(
        default=(),
        description="Where carts' files come from: `http://HOST/` of a Pacifica Archive Interface, the path of a"
        " folder, or tables. An item that names no archive is the first one's.",
    )

    use: Annotated[str, AfterValidator(names_uploaders)] = Field(
        "users", description="Who may have carts: `users` (whoever is known), `admins`, or `group:NAME`."
    )
    anonymous: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether strangers may have carts, as the original's did: `auto`: as long as the hub listens on"
        " loopback alone, and nothing says that a proxy stands before it.",
    )
    bundle_task: bool = Field(
        False, description="Whether a bundle's topmost folder is the cart's name, whatever file name is asked for."
    )
    lru_purge: bool = Field(True, description="Whether carts give way to new ones where the disk is full.")
    lru_buffer_time: NonNegativeFloat = Field(
        0, description="Seconds since its last download for which a cart does not give way."
    )
    quota_bytes: int = Field(
        1024 * GIB, ge=0, description="Bytes of one owner's carts together; all strangers are one owner."
    )
    quota_carts: int = Field(1_000, ge=0, description="The same in carts.")
    webhook_secret: Annotated[SecretStr | None, AfterValidator(long_or_unset)] = Field(
        None,
        description="What notices of carts that have ended are signed with, at least 32 characters; unset: carts name"
        " no `webhook`.",
    )
    webhook_hosts: Hosts = Field(
        default=(), description="Hosts that carts' webhooks may name wherever those are; all others must be public."
    )

    @field_validator("archives")
    @classmethod
    def _have_names_of_their_own(cls, archives: tuple[Archive, ...]) -> tuple[Archive, ...]:
        names = [archive.name for archive in archives]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two archives are called {min(twice)}: give each a table with a `name` of its own")
        return archives
