"""Anything that may be done with blobs, in any order, against a dictionary."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, create_engine

from creamery.blobs import Audit, Depth
from creamery.contract import Digest, digest_of
from creamery.database import metadata
from creamery.sections import Cache
from tests.doubles import shelf
from tests.doubles.cellar import TABLES, Cellar
from tests.doubles.hand_clock import HandClock

BODIES = [bytes([number]) * 100 * (number + 1) for number in range(5)]
NAMES = ["a", "b", "c"]
MAX_BYTES = 600
SEGMENT_BYTES = 700
SMALL_BYTES = [0, 250, 1_000]
"""None, some and all of the bodies lie in segments."""


class Refused(Exception):
    """The shelf does not want it."""


class Machine(RuleBasedStateMachine):
    """The cellar, and what a dictionary would say."""

    def __init__(self, url: str, data: Path, small_bytes: int) -> None:
        super().__init__()
        self.small_bytes = small_bytes
        empty(url)
        shutil.rmtree(data, ignore_errors=True)
        self.url = url
        self.data = data
        self.clock = HandClock()
        self.cellar = self.begin()
        self.model: dict[str, tuple[bytes, bool]] = {}
        self.may_be_away: set[str] = set()

    def begin(self) -> Cellar:
        limits = {"small_bytes": self.small_bytes, "segment_bytes": SEGMENT_BYTES, "sweep_share": 1.0}
        return Cellar(self.data, self.url, self.clock, cache=Cache(max_bytes=MAX_BYTES), **limits).open()

    @rule(name=st.sampled_from(NAMES), body=st.sampled_from(BODIES), kept=st.booleans())
    def put(self, name: str, body: bytes, kept: bool) -> None:
        self.cellar.put(body, name, kept=kept)
        self.model[name] = (body, kept)
        self.may_be_away.discard(name)

    @rule(body=st.sampled_from(BODIES))
    def be_refused(self, body: bytes) -> None:
        def refuse(connection: Connection, digest: Digest) -> None:
            raise Refused

        with pytest.raises(Refused):
            self.cellar.blobs.keep_bytes(body, refuse)

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
    def refer(self, name: str, other: str) -> None:
        if name in self.model and name not in self.may_be_away:
            body, kept = self.model[name]

            def copy(connection: Connection) -> None:
                self.cellar.blobs.refer(connection, digest_of(body))
                shelf.shelve(other, kept=kept)(connection, digest_of(body))

            self.cellar.committer.write(copy)
            self.model[other] = (body, kept)
            self.may_be_away.discard(other)

    @rule(name=st.sampled_from(NAMES))
    def take_away(self, name: str) -> None:
        self.cellar.take_away(name)
        self.model.pop(name, None)

    @rule(name=st.sampled_from(NAMES))
    def use(self, name: str) -> None:
        if name in self.model:
            self.cellar.blobs.used(digest_of(self.model[name][0]))

    @rule(seconds=st.sampled_from([1, 70, 90_000]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.cellar.blobs.sweep(slices=16)

    @rule()
    def evict(self) -> None:
        self.cellar.blobs.evict()
        self.may_be_away |= {name for name, (_, kept) in self.model.items() if not kept}

    @rule(clean=st.booleans())
    def begin_anew(self, clean: bool) -> None:
        self.cellar.close()
        if not clean:
            (self.data / "running" / "of-a-killed-process").touch()
        self.cellar = self.begin()

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        names = self.cellar.names()
        assert names.keys() == self.model.keys()
        for name, (body, _) in self.model.items():
            digest, here = names[name]
            assert digest == digest_of(body)
            assert here or name in self.may_be_away
            if here:
                assert self.cellar.blobs.read(digest, 1000) == body

    def teardown(self) -> None:
        try:
            self.cellar.blobs.evict()
            self.cellar.sweep_all()
            here = {digest for digest, is_here in self.cellar.names().values() if is_here}
            assert self.cellar.stored() == here
            assert self.cellar.states() == dict.fromkeys(here, "ok")
            audit = Audit(self.data, self.cellar.database, [shelf.SHELF], self.cellar.limits, self.clock)
            assert list(audit.run(Depth.DATA, lambda size: None)) == []
            cached = {body for body, kept in self.model.values() if not kept}
            only_cached = cached - {body for body, kept in self.model.values() if kept}
            assert sum(len(body) for body in only_cached if digest_of(body) in here) <= MAX_BYTES
        finally:
            self.cellar.close()


def empty(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in (*TABLES, shelf.book):
            connection.execute(table.delete())
        connection.execute(metadata.tables["generation"].insert().values(id=1))
    engine.dispose()


@pytest.mark.parametrize("small_bytes", SMALL_BYTES)
def test_whatever_is_done_in_whatever_order(any_database_url: str, tmp_path: Path, small_bytes: int) -> None:
    class Here(Machine):
        def __init__(self) -> None:
            super().__init__(any_database_url, tmp_path / "data", small_bytes)

    examples, steps = (10, 25) if os.environ.get("CREAMERY_TEST_INSTALLED") == "1" else (5, 20)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
