"""One line of what a look at the set-up has found, and how a look that fails becomes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from creamery.client.errors import HubError


@dataclass(frozen=True, slots=True)
class Check:
    """What was found.

    Attributes:
        name: of what was looked at.
        state: `wrong`: an installation fails, or does other than was asked for; `warning`: it may; `note`: worth
            knowing.
        found: in a sentence or less; never a secret.
        remedy: what to do about it; empty: nothing.
    """

    name: str
    state: Literal["ok", "note", "warning", "wrong"]
    found: str
    remedy: str = ""


def checked(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """What was found until something got in the way, and what that was."""
    checks: list[Check] = []
    try:
        checks.extend(look())
    except Exception as error:  # noqa: BLE001 - a look that fails must not hide the others
        checks.append(failed(name, error))
    return checks


def failed(name: str, error: Exception) -> Check:
    """The line of a look that got nowhere. Only our own errors are quoted: others' may hold a secret."""
    if isinstance(error, HubError):
        return Check(name, "wrong", error.sentence, error.remedy)
    said = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return Check(name, "wrong", f"this cannot be looked at: {said}")
