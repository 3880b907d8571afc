"""What somebody is told who does not get in by the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from creamery.accounts import IdentityTaken, NotKnownHere, UserDisabled
from creamery.accounts.oidc import AttemptOver, NotBelieved, NotInGroup, ProviderRefused, ProviderUnavailable
from creamery.http import Problem
from creamery.operations.refusals import as_problem

_BEGIN_AGAIN = "Sign in again, from the beginning."
_ADMINISTRATORS = "Whoever runs the hub can change it."


def refusals() -> Mapping[type[Exception], Callable[[Any], Problem]]:
    """By kind. What only administrators can mend is in the log; no text holds a code or a token."""
    return {
        AttemptOver: as_problem(400, "Begin again", _BEGIN_AGAIN),
        ProviderRefused: as_problem(403, "Not signed in", _BEGIN_AGAIN),
        NotInGroup: as_problem(403, "Not let in", "Whoever runs the provider can put you into the group."),
        NotKnownHere: as_problem(403, "Not known here", _ADMINISTRATORS, end=""),  # a command, to be copied whole
        UserDisabled: as_problem(403, "Not let in", _ADMINISTRATORS),
        IdentityTaken: as_problem(409, "Begin again", _BEGIN_AGAIN),
        NotBelieved: as_problem(502, "The provider is not believed", _ADMINISTRATORS),
        ProviderUnavailable: _unavailable,
    }


def _unavailable(_: ProviderUnavailable) -> Problem:
    """Where it stands, and what it said, is for the log: strangers can ask for this page."""
    return Problem(
        502,
        "The provider does not answer",
        "The provider of OpenID Connect does not answer as it should.",
        remedy="Try again in a minute; whoever runs the hub finds the reason in its log.",
        headers={"Cache-Control": "no-store"},
    )
