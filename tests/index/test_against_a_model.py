"""Whatever upstreams and people do, and in whatever order: pages and addresses are as a plain model has them."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from creamery.contract import ProjectName
from creamery.database import announce
from creamery.index.offers import DELETED_UPSTREAM
from creamery.index.ownership import claim
from creamery.index.releases import ReleaseRefused, delete, unyank, yank
from creamery.index.tables import DOUBTED, find_project
from tests.doubles.distributions import Distribution, wheel
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import BY, HAVARTI, PASSCODE, upload
from tests.doubles.upstream import Upstream

NAMES = ("amber", "bronze", "cobalt")
VERSIONS = ("1.0", "2.0")
REASONS = ("", "broken", "use the next one")

LIMITS = {"unknown_seconds": 1e-6, "evict_grace_seconds": 1e-6}

names, versions, reasons = (st.sampled_from(each) for each in (NAMES, VERSIONS, REASONS))


def theirs(name: str, version: str) -> Distribution:
    """What the upstream has of that version."""
    return wheel(name, version)


def ours(name: str, version: str) -> Distribution:
    """What is uploaded of it: other bytes."""
    return wheel(name, version, size=10)


@dataclass
class Project:
    """What the model knows of a name.

    Attributes:
        upstream: what the upstream lists, version -> why it is yanked; None: it has no such project.
        seen: versions that the upstream ever listed to the hub.
        hosted: the name is claimed.
        uploaded: version -> why it is yanked.
        deleted: versions that were deleted here.
    """

    upstream: dict[str, str | None] | None = None
    is_owned_upstream: bool = False
    seen: set[str] = field(default_factory=set)
    hosted: bool = False
    uploaded: dict[str, str | None] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)


class IndexMachine(RuleBasedStateMachine):
    """A hub, its upstream, and the model."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.model = {name: Project() for name in NAMES}
        self.upstream = Upstream()
        self.upstream.start()
        self.hub = self._opened()

    def _opened(self) -> RunningHub:
        index = {"upstreams": [self.upstream.url], "passcode": PASSCODE}
        return RunningHub(self.folder / "data", index=index, cache={"max_bytes": 0}, limits=LIMITS).__enter__()

    def teardown(self) -> None:
        if hasattr(self, "hub"):
            self.hub.__exit__(None, None, None)
            self.upstream.stop()
            shutil.rmtree(self.folder)

    def _change(self, work: Any) -> Any:
        def told(connection: Any) -> Any:
            announce(connection, DOUBTED)
            return work(connection)

        return self.hub.built.hub.committer.write(told)

    def _known(self, name: str) -> Any:
        return self.hub.ask(lambda connection: find_project(connection, ProjectName(name)))

    # What the upstream does

    @rule(name=names, version=versions, yanked=st.none() | reasons)
    def upstream_lists(self, name: str, version: str, yanked: str | None) -> None:
        project = self.model[name]
        if project.upstream is not None and version in project.upstream:
            self.upstream.remove(name, version)
        self.upstream.add(name, version, yanked=_said(yanked))
        project.upstream = {**(project.upstream or {}), version: yanked}

    @rule(name=names, version=versions)
    def upstream_deletes(self, name: str, version: str) -> None:
        project = self.model[name]
        if project.upstream is None or version not in project.upstream or len(project.upstream) == 1:
            return
        self.upstream.remove(name, version)
        del project.upstream[version]

    @rule(name=names)
    def upstream_drops(self, name: str) -> None:
        if self.model[name].upstream is not None:
            self.upstream.remove(name)
            self.model[name].upstream = None

    # What people do

    @rule(name=names, version=versions)
    def somebody_uploads(self, name: str, version: str) -> None:
        project = self.model[name]
        answer = upload(self.hub, ours(name, version), HAVARTI)
        is_free = not project.hosted and not project.is_owned_upstream and project.upstream is None
        is_taken = version in project.deleted or (version in project.seen and version not in project.uploaded)
        if is_free or (project.hosted and not is_taken):
            assert answer.status_code == 200, answer.text
            project.hosted = True
            project.uploaded.setdefault(version, None)
        else:
            assert answer.status_code == 400, answer.text

    @rule(name=names)
    def an_administrator_claims(self, name: str) -> None:
        self._change(lambda c: claim(c, ProjectName(name), BY, holder="passcode:havarti", why="a test"))
        self.model[name].hosted = True

    @rule(name=names, version=versions, reason=st.none() | reasons)
    def an_owner_yanks_or_takes_it_back(self, name: str, version: str, reason: str | None) -> None:
        project, known = self.model[name], self._known(name)
        if known is None:
            return
        try:
            if reason is None:
                self._change(lambda c: unyank(c, known, version, BY))
            else:
                self._change(lambda c: yank(c, known, version, reason, BY))
        except ReleaseRefused:
            assert version not in project.uploaded
        else:
            assert version in project.uploaded
            project.uploaded[version] = reason

    @rule(name=names, version=versions)
    def an_owner_deletes(self, name: str, version: str) -> None:
        project, known = self.model[name], self._known(name)
        if known is None or version not in project.uploaded:
            return
        self._change(lambda c: delete(c, known, version, "a test", BY))
        del project.uploaded[version]
        project.deleted.add(version)

    # What the hub does

    @rule(name=names, version=versions)
    def somebody_installs(self, name: str, version: str) -> None:
        project, filename = self.model[name], theirs(name, version).filename
        if project.hosted and version in project.uploaded:
            assert self.hub.download(name, filename) == ours(name, version).content
        elif not project.hosted and project.upstream is not None and version in project.upstream:
            assert self.hub.download(name, filename) == theirs(name, version).content

    @rule()
    def everything_that_can_be_fetched_again_is_evicted(self) -> None:
        self.hub.built.hub.blobs.flush_uses()
        self.hub.built.hub.blobs.evict()

    @rule()
    def the_hub_is_started_anew(self) -> None:
        self.hub.__exit__(None, None, None)
        self.hub = self._opened()

    # What always holds

    @invariant()
    def pages_and_addresses_are_as_the_model_has_them(self) -> None:
        for name, project in self.model.items():
            answer = self.hub.get(f"/simple/{name}/", accept=JSON)
            expected = self._expected(name, project)
            if expected is None:
                assert answer.status_code == 404, answer.text
            else:
                listed = {file["filename"]: file["yanked"] for file in answer.json()["files"]}
                assert listed == {theirs(name, version).filename: yanked for version, yanked in expected.items()}
            for version in VERSIONS:
                asked = self.hub.client.head(f"{self.hub.base}/i/{name}/{theirs(name, version).filename}")
                assert (asked.status_code == 200) == (version in (expected or {})), (name, version, asked.status_code)

    def _expected(self, name: str, project: Project) -> dict[str, str | bool] | None:
        """What a page lists, version -> its `yanked`; None: there is no page."""
        if project.hosted:
            return {version: _said(yanked) for version, yanked in project.uploaded.items()}
        listed = project.upstream or {}
        project.is_owned_upstream |= project.upstream is not None
        project.seen |= set(listed)
        here = {version for version in project.seen - set(listed) if self.hub.is_here(theirs(name, version).filename)}
        if project.upstream is None and not here:
            return None
        return {version: _said(listed[version]) for version in listed} | dict.fromkeys(here, DELETED_UPSTREAM)


def _said(yanked: str | None) -> str | bool:
    return False if yanked is None else yanked or True


@pytest.mark.parametrize("examples", [3, pytest.param(25, marks=pytest.mark.installed)])
def test_the_index_is_as_the_model_has_it(examples: int) -> None:
    run_state_machine_as_test(
        IndexMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
