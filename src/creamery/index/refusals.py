"""What the errors of owning and releasing look like on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from creamery.http import Problem, saying
from creamery.index.access import NotYours, OutOfReach, UnknownHere
from creamery.index.names import NoPattern
from creamery.index.ownership import NameConfusable, NameOwnedUpstream, OwnershipRefused
from creamery.index.prefetch import NoSuchPrefetch, NotWanted
from creamery.index.releases import NothingCalledSo, ReleaseRefused
from creamery.index.targets import NoTarget


def refusals() -> dict[type[Exception], Callable[[Any], Problem]]:
    """By kind. The texts are made for whoever asked, and hold no secret."""
    return {
        **dict.fromkeys((NameConfusable, NameOwnedUpstream), saying(400, "Name refused")),  # as uploads are refused
        OwnershipRefused: saying(409, "Conflict"),
        NothingCalledSo: saying(404, "Not found"),
        **dict.fromkeys((NoPattern, NoTarget, ReleaseRefused), saying(422, "Refused")),
        NoSuchPrefetch: saying(404, "Not found", "Prefetches that have ended are forgotten after a week."),
        NotWanted: saying(422, "Not understood"),
        UnknownHere: saying(404, "Not found"),
        OutOfReach: saying(403, "Forbidden"),
        NotYours: saying(403, "Forbidden", "An owner of the project, or an administrator, can give the right."),
    }
