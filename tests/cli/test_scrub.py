"""`creamery scrub`: what it says, and how it ends."""

from __future__ import annotations

from pathlib import Path

from creamery.contract import digest_of
from tests.cli.conftest import run, tell
from tests.cli.test_backup import spoil


def test_what_is_right_ends_with_0(hub_data: Path) -> None:
    code, report = run("scrub", "--data", hub_data)

    assert code == 0
    assert (report["blobs"], report["bytes"], report["left_blobs"], report["findings"]) == (3, 23, 0, [])


def test_what_is_wrong_ends_with_1_and_is_put_away(hub_data: Path) -> None:
    spoil(hub_data, "one.whl", b"rotten!")

    code, report = run("scrub", "--data", hub_data)

    assert code == 1
    assert [(finding["kind"], finding["subject"]) for finding in report["findings"]] == [
        ("corrupt blob", digest_of(b"one.whl"))
    ]
    assert len(list((hub_data / "quarantine").iterdir())) == 1
    assert run("scrub", "--data", hub_data)[0] == 0


def test_the_next_run_goes_on_with_the_pass_unless_it_is_told_to_begin_anew(hub_data: Path) -> None:
    _, nothing = run("scrub", "--data", hub_data, "--max-duration", "0s")
    _, rest = run("scrub", "--data", hub_data, "--max-duration", "1h")
    _, again = run("scrub", "--data", hub_data, "--anew")

    assert (nothing["blobs"], nothing["left_blobs"]) == (0, 3)
    assert (rest["blobs"], rest["left_blobs"]) == (3, 0)
    assert again["blobs"] == 3
    assert "before it" in tell("scrub", "--data", hub_data, "--max-duration", "0")


def test_a_span_that_is_none_is_refused(hub_data: Path) -> None:
    assert "write 90, 90s, 30m, 2h or 1d" in tell("scrub", "--data", hub_data, "--max-duration", "soon")


def test_what_is_no_hub_ends_with_10(tmp_path: Path) -> None:
    assert run("scrub", "--data", tmp_path)[0] == 10
