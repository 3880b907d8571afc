"""A scrub reads everything, goes on where it was left, and puts away what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from creamery.blobs import Finding, Kind, Scrub
from creamery.clock import SECOND
from creamery.contract import Digest
from creamery.telemetry import Telemetry
from tests.doubles import shelf
from tests.doubles.cellar import Cellar
from tests.doubles.hand_clock import HandClock

DAY = 86_400


def scrub_of(cellar: Cellar) -> Scrub:
    return Scrub(cellar.data, cellar.database, cellar.committer, cellar.limits, cellar.clock, Telemetry())


def run(scrub: Scrub, **bounds: Any) -> list[Finding]:
    bounds.setdefault("seconds", None)
    return list(scrub.run([shelf.SHELF], **bounds))


def fill(cellar: Cellar, blobs: int) -> list[Digest]:
    digests = cellar.scatter([b"%04d" % number for number in range(blobs)])
    cellar.clock.advance(1)  # type: ignore[attr-defined]
    return digests


def rot(cellar: Cellar, digest: Digest, data: bytes) -> Path:
    path = cellar.blobs.store.path(digest)
    path.chmod(0o600)
    path.write_bytes(data)
    return path


def test_a_pass_reads_everything_once(any_database_url: str, open_cellar: Callable[..., Cellar]) -> None:
    cellar = open_cellar(any_database_url)
    fill(cellar, 450)
    scrub = scrub_of(cellar)

    before = scrub.begin_pass()
    findings = run(scrub)

    assert (before.blobs, before.bytes) == (450, 1_800)
    assert (scrub.blobs, scrub.bytes) == (450, 1_800)
    assert findings == []
    assert scrub.left().blobs == 0


def test_before_the_first_pass_nothing_is_read(cellar: Cellar) -> None:
    fill(cellar, 3)
    scrub = scrub_of(cellar)

    assert run(scrub) == []
    assert scrub.blobs == 0


@pytest.mark.parametrize(("data", "kind"), [(b"rots", Kind.CORRUPT), (b"too long", Kind.WRONG_SIZE)])
def test_wrong_bytes_go_to_quarantine_and_are_served_no_more(cellar: Cellar, data: bytes, kind: Kind) -> None:
    kept = cellar.put(b"kept", "ours.whl")
    cellar.clock.advance(1)  # type: ignore[attr-defined]
    rot(cellar, kept, data)
    scrub = scrub_of(cellar)
    scrub.begin_pass()

    findings = run(scrub)

    assert [(finding.kind, finding.subject, finding.kept) for finding in findings] == [(kind, kept, True)]
    assert cellar.states() == {kept: "corrupt"}
    assert cellar.stored() == set()
    assert [path.read_bytes() for path in (cellar.data / "quarantine").iterdir()] == [data]
    assert scrub.left().blobs == 0


def test_a_missing_file_is_named_and_does_not_keep_a_pass_from_its_end(cellar: Cellar) -> None:
    fetched = cellar.put(b"fetched", "numpy.whl", kept=False)
    cellar.clock.advance(1)  # type: ignore[attr-defined]
    cellar.blobs.store.path(fetched).unlink()
    scrub = scrub_of(cellar)
    scrub.begin_pass()

    findings = run(scrub)

    assert [(finding.kind, finding.subject, finding.kept) for finding in findings] == [(Kind.MISSING, fetched, False)]
    assert scrub.left().blobs == 0


def test_what_lies_at_a_blobs_name_and_is_no_file_is_put_away(cellar: Cellar) -> None:
    kept = cellar.put(b"kept", "ours.whl")
    cellar.clock.advance(1)  # type: ignore[attr-defined]
    path = cellar.blobs.store.path(kept)
    path.unlink()
    path.mkdir()
    scrub = scrub_of(cellar)
    scrub.begin_pass()

    assert [finding.kind for finding in run(scrub)] == [Kind.CORRUPT]
    assert cellar.states() == {kept: "corrupt"}


def test_whoever_comes_next_goes_on_with_what_is_left(cellar: Cellar) -> None:
    fill(cellar, 20)
    first, second = scrub_of(cellar), scrub_of(cellar)
    first.begin_pass()

    run(first, most_bytes=4 * 7)
    run(second)

    assert (first.blobs, second.blobs) == (7, 13)
    assert first.left().blobs == 0


def test_what_comes_during_a_pass_was_hashed_when_it_came(cellar: Cellar) -> None:
    fill(cellar, 3)
    scrub = scrub_of(cellar)
    scrub.begin_pass()
    cellar.clock.advance(1)  # type: ignore[attr-defined]
    cellar.put(b"new", "new.whl")

    run(scrub)

    assert scrub.blobs == 3


def test_it_ends_when_its_time_is_over(cellar: Cellar) -> None:
    fill(cellar, 3)
    scrub = scrub_of(cellar)
    scrub.begin_pass()

    run(scrub, seconds=0)

    assert scrub.blobs == 0


def test_it_reads_no_faster_than_the_limit(open_cellar: Callable[..., Cellar], database_url: str) -> None:
    cellar = open_cellar(database_url, scrub_bytes=1_000)
    fill(cellar, 50)
    scrub = scrub_of(cellar)
    scrub.begin_pass()

    begun = cellar.clock.monotonic()
    run(scrub)

    assert cellar.clock.monotonic() - begun >= 0.2


def test_the_hub_reads_everything_once_in_the_time_of_a_pass(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    cellar = open_cellar(database_url, scrub_pass_seconds=30 * DAY, scrub_seconds=20)
    fill(cellar, 60)
    scrub = scrub_of(cellar)
    read = []

    for _ in range(30):
        scrub.run_slice([shelf.SHELF], DAY)
        read.append(scrub.blobs)
        clock.advance(DAY)
    scrub.run_slice([shelf.SHELF], DAY)

    assert read[0] <= 3
    assert 25 <= read[14] <= 40
    assert read[29] == 60
    assert 61 <= scrub.blobs <= 63  # the next pass has begun


def test_between_two_passes_the_hub_reads_nothing(
    open_cellar: Callable[..., Cellar], database_url: str, clock: HandClock
) -> None:
    cellar = open_cellar(database_url)
    fill(cellar, 3)
    scrub = scrub_of(cellar)
    scrub.begin_pass()
    run(scrub)

    clock.advance(DAY)
    scrub.run_slice([shelf.SHELF], 600)

    assert scrub.blobs == 3


def test_a_pass_from_before_the_clock_was_set_back_begins_anew(cellar: Cellar, clock: HandClock) -> None:
    fill(cellar, 3)
    scrub = scrub_of(cellar)
    began = scrub.begin_pass().began
    clock.jump(-DAY)

    cellar.blobs.scrub(600)

    left = scrub.left().began
    assert began is not None
    assert left is not None
    assert left < began - (DAY - 60) * SECOND
