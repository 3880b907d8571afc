"""What the errors of accounts and jobs look like on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from creamery.accounts import (
    BadCredentials,
    InvalidAccountName,
    LastAdministrator,
    NameTaken,
    NoSuchAccount,
    NoSuchSession,
    NoSuchToken,
    NotTheFirst,
    PasswordRefused,
    RightEnded,
    TokenRefused,
    UnknownScope,
    UserChanged,
)
from creamery.http import WRONG, Problem
from creamery.http.gate import API_CHALLENGE
from creamery.jobs import JobRefused, NoSuchJob


def refusals() -> Mapping[type[Exception], Callable[[Any], Problem]]:
    """By kind. The texts are made for whoever asked, and hold no secret."""
    return {
        **dict.fromkeys((NoSuchAccount, NoSuchJob, NoSuchSession, NoSuchToken), as_problem(404, "Not found")),
        **dict.fromkeys((JobRefused, LastAdministrator, NameTaken), as_problem(409, "Conflict")),
        **dict.fromkeys((InvalidAccountName, PasswordRefused, TokenRefused, UnknownScope), as_problem(422, "Refused")),
        NotTheFirst: as_problem(403, "Not the first", "Ask an administrator; or run: creamery user add NAME --admin"),
        UserChanged: _wrong,
        RightEnded: _wrong,
        BadCredentials: _wrong,
    }


def as_problem(status: int, title: str, remedy: str = "", end: str = ".") -> Callable[[Any], Problem]:
    """What makes a problem of an error whose text may be shown, with `end` behind it."""

    def problem(error: Exception) -> Problem:
        return Problem(status, title, f"{error}{end}", remedy=remedy, headers={"Cache-Control": "no-store"})

    return problem


def _wrong(_: Exception) -> Problem:
    return Problem(401, "Unauthorized", WRONG, headers=API_CHALLENGE)
