"""Whether the hub lives, whether it can work, what it has done: for those who run it. A door like the others.

`Asker`, `Desk` and `Sent` are for the other doors' parts of `/api/v1`. They need FastAPI (11 MiB), and so are imported
when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from creamery.accounts import ADMIN, ScopeWord
from creamery.door import Door, Hub
from creamery.operations import api, oidc
from creamery.operations.access import RULES, SCOPES
from creamery.operations.health import Readiness
from creamery.operations.metrics import Metrics
from creamery.operations.refusals import refusals
from creamery.operations.routes import Routes
from creamery.operations.schedules import handlers, schedules

if TYPE_CHECKING:
    from creamery.operations.api.asking import Asker, Desk
    from creamery.operations.api.shapes import Sent

__all__ = ["SCOPES", "Asker", "Desk", "Sent", "door", "scope_words"]


def __getattr__(name: str) -> Any:
    """What of the face needs FastAPI (PEP 562)."""
    if name in {"Asker", "Desk"}:
        return getattr(import_module("creamery.operations.api.asking"), name)
    if name == "Sent":
        return import_module("creamery.operations.api.shapes").Sent
    raise AttributeError(f"module {__name__} has no attribute {name}")


def door(hub: Hub, neighbours: Sequence[Door] = ()) -> Door:
    """Operation of this hub; `/readyz` asks the `neighbours` too."""
    readiness = Readiness(hub, [check for neighbour in neighbours for check in neighbour.checks])
    hub.api.include(api.loader(hub, scope_words(neighbour.scopes for neighbour in neighbours)))
    return Door(
        name="operations",
        routes=(*Routes(readiness, Metrics(hub)).table(), *oidc.Routes(hub).table(), *api.routes(hub)),
        rules=RULES,
        scopes=SCOPES,
        handlers=handlers(hub),
        schedules=schedules(),
        refusals={**refusals(), **oidc.refusals()},
    )


def scope_words(of_doors: Iterable[Mapping[str, ScopeWord]]) -> dict[str, ScopeWord]:
    """What tokens may be limited to, in all doors, given those of the others."""
    words = {ADMIN: ScopeWord("everything that its user may")}
    for scopes in of_doors:
        words |= scopes
    return words | SCOPES
