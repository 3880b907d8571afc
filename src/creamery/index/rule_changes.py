"""What changes with the hub's settings: pages that list other files than before the start get a serial.

Rules are no rows, so nobody sees them change but the next start: the database remembers those of the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import orjson
from sqlalchemy import Column, Connection, Integer, Row, Table, select, update

from creamery.clock import Micros
from creamery.contract import ProjectName
from creamery.database import (
    TABLE_OPTIONS,
    DiskFull,
    LongText,
    WritesBusy,
    announce,
    bump,
    insert_unless_there,
    metadata,
)
from creamery.door import Hub
from creamery.index.names import NoPattern, parse_pattern
from creamery.index.policies import Policy
from creamery.index.tables import DOUBTED, index_file, index_project
from creamery.journal import record
from creamery.policy_rules import NoRule
from creamery.sections import Index
from creamery.telemetry import log

_IDS_AT_ONCE = 500
_UNKNOWN = "null"

index_rules = Table(
    "index_rules",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("rules", LongText, nullable=False),
    **TABLE_OPTIONS,
)


def compare_rules(hub: Hub) -> None:
    """At a start: where other rules hold than at the last one, give what they touch a serial. For a thread."""
    rules = _written(hub.settings.index)
    if hub.database.read(_remembered) == rules:
        return
    try:
        touched = hub.committer.write(lambda connection: remember_rules(connection, rules, hub.clock.now()))
    except (DiskFull, WritesBusy) as error:  # the rules hold all the same; only mirrors do not hear of it yet
        log.error("index.rules_not_told", reason=str(error), remedy="make room, and start the hub again")
        return
    if touched:
        log.info("index.rules_changed", projects=touched)


def remember_rules(connection: Connection, rules: str, now: Micros) -> int:
    """These hold from now on. Projects that they may touch otherwise than the last ones get one serial.

    Returns:
        how many projects those are.
    """
    connection.execute(insert_unless_there(connection, index_rules), {"id": 1, "rules": _UNKNOWN})
    row = connection.execute(select(index_rules.c.rules).where(index_rules.c.id == 1).with_for_update()).one()
    if row.rules == rules:
        return 0
    touched = list(_touched(connection, row.rules, rules))
    if touched:
        detail = {"from": orjson.loads(row.rules), "to": orjson.loads(rules), "projects": len(touched)}
        serial = record(connection, "index", "rules changed", "settings", now=now, detail=detail)
        for start in range(0, len(touched), _IDS_AT_ONCE):
            _renumber(connection, touched[start : start + _IDS_AT_ONCE], serial, now)
        bump(connection, "index")
        announce(connection, DOUBTED)
    connection.execute(update(index_rules).where(index_rules.c.id == 1).values(rules=rules))
    return len(touched)


def _written(settings: Index) -> str:
    """All that the settings say of which files are offered."""
    texts = {name: list(getattr(settings, name)) for name in ("allow", "deny", "reserved")}
    words = {name: getattr(settings, name) for name in ("deleted_upstream", "quarantined_upstream")}
    return orjson.dumps({**texts, **words}, option=orjson.OPT_SORT_KEYS).decode()


def _remembered(connection: Connection) -> str | None:
    """The rules of the last start; one point read."""
    return connection.execute(select(index_rules.c.rules).where(index_rules.c.id == 1)).scalar_one_or_none()


def _touched(connection: Connection, formerly: str, rules: str) -> Iterator[int]:
    """Projects of which the two sets of rules do not say the same; all, where the former ones are not known."""
    old, new = _Rules.read(formerly), _Rules.read(rules)
    columns = ("id", "name", "hosted", "status", "quarantined")
    projects = connection.execute(select(*(index_project.c[name] for name in columns)).order_by(index_project.c.id))
    if old is None or new is None:
        yield from (project.id for project in projects)
        return
    with_copies = set() if old.deleted == new.deleted else _projects_with_copies(connection)
    yield from (project.id for project in projects if project.id in with_copies or _differs(project, old, new))


@dataclass(frozen=True, slots=True)
class _Rules:
    policy: Policy
    reserved: tuple[str, ...]
    deleted: str
    quarantined: str

    @classmethod
    def read(cls, rules: str) -> _Rules | None:
        """None: they are not known, or another version of the hub wrote them as this one does not know them."""
        said = orjson.loads(rules)
        try:
            policy, reserved = Policy(said["allow"], said["deny"]), tuple(map(parse_pattern, said["reserved"]))
            return cls(policy, reserved, said["deleted_upstream"], said["quarantined_upstream"])
        except (TypeError, KeyError, NoRule, NoPattern):
            return None

    def reserves(self, name: ProjectName) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.reserved)


def _differs(project: Row[tuple[object, ...]], old: _Rules, new: _Rules) -> bool:
    name = ProjectName(project.name)
    is_kept_back = project.status == "quarantined" or project.quarantined is not None
    return (
        old.policy.about(name) != new.policy.about(name)
        or (not project.hosted and old.reserves(name) != new.reserves(name))
        or (is_kept_back and old.quarantined != new.quarantined)
    )


def _projects_with_copies(connection: Connection) -> set[int]:
    """Those that have copies of what an upstream lists no longer."""
    gone = (~index_file.c.listed, index_file.c.digest.is_not(None), index_file.c.origin.is_not(None))
    return set(connection.execute(select(index_file.c.project_id).where(*gone).distinct()).scalars())


def _renumber(connection: Connection, project_ids: list[int], serial: int, now: Micros) -> None:
    connection.execute(
        update(index_project)
        .where(index_project.c.id.in_(project_ids))
        .values(
            serial=serial,
            revision=index_project.c.revision + 1,
            here_revision=index_project.c.here_revision + 1,
            changed=now,
        )
    )
