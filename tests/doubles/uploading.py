"""Uploads as twine sends them, and people who may send them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import httpx2

from creamery.accounts import By, Scope, add_user, create_token
from creamery.clock import Micros
from tests.doubles.distributions import Distribution
from tests.doubles.running import RunningHub

Auth = tuple[str, str]

PASSCODE = "a passcode of one's own"
HAVARTI: Auth = ("havarti", PASSCODE)
BY = By(Micros(1))


def token_of(
    hub: RunningHub, user: str, scopes: Sequence[Scope] = (Scope("index:upload"),), *, is_admin: bool = False
) -> Auth:
    """A user, made when there is none, and a token of theirs as twine sends it."""

    def made(connection: Any) -> str:
        from creamery.accounts import find_user  # noqa: PLC0415 - beside its one use

        if find_user(connection, user) is None:
            add_user(connection, user, None, BY, is_admin=is_admin)
        text, _ = create_token(connection, user, "a test's", list(scopes), None, BY)
        return text

    return "__token__", hub.built.hub.committer.write(made)


def fields_of(made: Distribution) -> dict[str, str]:
    """The form's fields that come before the file."""
    return {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": "whatever-the-form-says",
        "version": "0",
        "filetype": "bdist_wheel",
        "sha256_digest": made.sha256,
        "blake2_256_digest": hashlib.blake2b(made.content, digest_size=32).hexdigest(),
        "md5_digest": hashlib.md5(made.content, usedforsecurity=False).hexdigest(),
    }


def form_of(made: Distribution) -> tuple[dict[str, str], dict[str, tuple[str, bytes, str]]]:
    """The fields and the file of an upload."""
    return fields_of(made), {"content": (made.filename, made.content, "application/octet-stream")}


def upload(
    hub: RunningHub, made: Distribution, auth: Auth | None = HAVARTI, *, path: str = "/u/", **fields: str
) -> httpx2.Response:
    """Send a file; further fields take the place of those that twine sends."""
    known: Any = {} if auth is None else {"auth": auth}
    form, files = form_of(made)
    form |= {name.replace("__", ":"): value for name, value in fields.items()}
    return hub.client.post(hub.base + path, data=form, files=files, **known)
