"""Rules change between two starts: whoever mirrors the hub learns which pages list other files since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from creamery.clock import Micros
from creamery.contract import ProjectName
from creamery.database import DiskFull
from creamery.index import rule_changes
from creamery.index.rule_changes import index_rules, remember_rules
from creamery.index.tables import index_project, new_project
from creamery.journal import Entry, since
from tests.doubles.distributions import wheel
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import PASSCODE, upload
from tests.doubles.upstream import Upstream


def serials(hub: RunningHub) -> dict[str, int]:
    """As the list of projects has them."""
    return {each["name"]: each["_last-serial"] for each in hub.get("/simple/", accept=JSON).json()["projects"]}


def changes_of_rules(hub: RunningHub) -> list[Entry]:
    return [entry for entry in hub.ask(lambda c: since(c, 0, 1_000)) if entry.action == "rules changed"]


def grown(data: Path, upstream: Upstream, before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Which of three projects get a serial because a hub that had the one rules starts with the others."""
    shared = {"upstreams": [upstream.url], "passcode": PASSCODE}
    with RunningHub(data, index={**shared, **before}) as hub:
        if "acme" not in serials(hub):
            upload(hub, wheel("acme", "1.0"))
        for name in ("demo", "dep"):
            hub.get(f"/simple/{name}/")
        first, entries = hub.ask(_serials), len(changes_of_rules(hub))
    with RunningHub(data, index={**shared, **after}) as hub:
        second = hub.ask(_serials)
        changed = {name for name, serial in second.items() if serial > first[name]}
        assert len(changes_of_rules(hub)) == entries + bool(changed)
        assert len({second[name] for name in changed}) <= 1
        for name in changed & serials(hub).keys():
            assert hub.page(name)["meta"]["_last-serial"] == second[name]
    return changed


def _serials(connection: Any) -> dict[str, int]:
    return {row.name: row.serial for row in connection.execute(select(index_project))}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, set()),
        ({"deny": ["demo<1.1"]}, {"deny": ["demo<1.1"]}, set()),
        ({}, {"deny": ["demo<1.1"]}, {"demo"}),
        ({"deny": ["demo<1.1"]}, {}, {"demo"}),
        ({"deny": ["demo<1.1"]}, {"deny": ["demo<1.0"]}, {"demo"}),
        ({}, {"deny": ["* kind=sdist"]}, {"acme", "demo", "dep"}),
        ({}, {"deny": ["acme"]}, {"acme"}),
        ({}, {"allow": ["demo", "acme"]}, {"dep"}),
        ({"allow": ["demo", "acme"]}, {"allow": ["demo", "acme", "d*"]}, set()),
        ({}, {"allow": ["demo<2", "acme"]}, {"demo", "dep"}),
        ({}, {"reserved": ["d*", "acme"]}, {"demo", "dep"}),
        ({"reserved": ["dep", "x-*"]}, {"reserved": ["d?p"]}, set()),
        ({}, {"deleted_upstream": "withhold"}, set()),
        ({}, {"quarantined_upstream": "serve"}, set()),
    ],
)
def test_a_project_of_which_other_rules_hold_has_a_new_serial_and_no_other(
    tmp_path: Path, upstream: Upstream, before: dict[str, Any], after: dict[str, Any], expected: set[str]
) -> None:
    found = grown(tmp_path, upstream, before, after)

    assert found == expected


def test_what_becomes_of_copies_is_news_where_there_are_some(tmp_path: Path, upstream: Upstream) -> None:
    """A copy of what is deleted upstream, and one of what is quarantined there."""
    upstream.add("milk", "1.0")
    upstream.add("cheese", "1.0")
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        hub.page("demo")
        hub.download("milk", hub.files("milk")[0])
        hub.download("cheese", hub.files("cheese")[0])
        upstream.remove("milk")
        upstream.set_status("cheese", "quarantined")
        assert hub.page("milk")["files"][0]["yanked"]
        assert hub.files("cheese") == []
        first = hub.ask(_serials)

    with RunningHub(tmp_path, index={"upstreams": [upstream.url], "deleted_upstream": "withhold"}) as hub:
        second = hub.ask(_serials)
    with RunningHub(
        tmp_path,
        index={"upstreams": [upstream.url], "deleted_upstream": "withhold", "quarantined_upstream": "serve"},
    ) as hub:
        third = hub.ask(_serials)

    assert {name for name in first if second[name] > first[name]} == {"milk"}
    assert {name for name in first if third[name] > second[name]} == {"cheese"}


@pytest.mark.parametrize("unknown", [None, "null", '{"allow": ["=!"], "deny": []}', "{}"])
def test_where_nobody_knows_the_former_rules_every_project_has_news(
    tmp_path: Path, upstream: Upstream, unknown: str | None
) -> None:
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        first = hub.page("demo")["meta"]["_last-serial"]
        if unknown is None:
            hub.built.hub.committer.write(lambda c: c.execute(index_rules.delete()))
        else:
            hub.built.hub.committer.write(lambda c: c.execute(update(index_rules).values(rules=unknown)))

    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        assert hub.page("demo")["meta"]["_last-serial"] > first


def test_thousands_of_projects_are_one_entry_of_the_journal(tmp_path: Path) -> None:
    with RunningHub(tmp_path, index={"upstreams": []}) as hub:
        committer = hub.built.hub.committer
        names = [f"project-{number}" for number in range(1_200)]
        committer.write(lambda c: [new_project(c, ProjectName(name), Micros(1), hosted_since=1) for name in names])

        rules = '{"allow":[],"deny":["*"],"deleted_upstream":"serve","quarantined_upstream":"withhold","reserved":[]}'
        touched = committer.write(lambda c: remember_rules(c, rules, Micros(2)))
        again = committer.write(lambda c: remember_rules(c, rules, Micros(3)))

        [entry] = changes_of_rules(hub)
        assert (touched, again, entry.detail["projects"]) == (1_200, 0, 1_200)
        assert entry.detail["to"]["deny"] == ["*"]
        assert set(hub.ask(_serials).values()) == {entry.serial}


def test_a_start_without_room_to_write_serves_by_the_rules_and_tells_of_them_at_the_next(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    denying = {"upstreams": [upstream.url], "deny": ["demo<1.1"]}
    with RunningHub(tmp_path, index={"upstreams": [upstream.url]}) as hub:
        first = hub.page("demo")["meta"]["_last-serial"]

    with monkeypatch.context() as patch:
        patch.setattr(rule_changes, "remember_rules", no_room)
        with RunningHub(tmp_path, index=denying) as hub:
            assert hub.files("demo") == ["demo-1.1-py3-none-any.whl"]
            assert hub.page("demo")["meta"]["_last-serial"] == first
    with RunningHub(tmp_path, index=denying) as hub:
        assert hub.page("demo")["meta"]["_last-serial"] > first


def no_room(*_: object) -> int:
    raise DiskFull("the disk is full")
