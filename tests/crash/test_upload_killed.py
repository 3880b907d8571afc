"""A hub killed at each step of an upload: started again, nothing is half published, and the upload can be sent anew."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
import pytest

from tests.doubles.distributions import Distribution, wheel
from tests.doubles.served import Served, fsck
from tests.doubles.uploading import HAVARTI, PASSCODE, form_of
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

POINTS = [
    *("blobs.created", "blobs.mid_body", "blobs.after_file_sync@2", "segments.begun", "segments.mid_write"),
    *("segments.before_sync@2", "segments.after_sync@2"),
    *(f"blobs.after_link@{visit}" for visit in (1, 2)),
    *(f"database.{moment}_commit@+{visit}" for moment in ("before", "after") for visit in (1, 2)),
]


def send(hub: Served, made: Distribution) -> int:
    """Upload it; returns the status of the answer, 0 where none came."""
    form, files = form_of(made)
    try:
        return hub.client.post(f"{hub.base}/u/", data=form, files=files, auth=HAVARTI).status_code
    except httpx2.TransportError:
        return 0


def listed(hub: Served) -> dict[str, str]:
    """The files of the project's page, and what they hash to."""
    page = hub.get("/simple/acme/", Accept="application/vnd.pypi.simple.v1+json")
    return {file["filename"]: file["hashes"]["sha256"] for file in page.json().get("files", [])}


@pytest.mark.parametrize("point", POINTS)
def test_a_hub_killed_at_any_step_of_an_upload_has_it_whole_or_not_at_all(tmp_path: Path, point: str) -> None:
    data = tmp_path / "var"
    releases = [wheel("acme", f"1.{number}", size=200_000) for number in range(4)]
    with Upstream() as upstream:
        with Served(data, upstream.url, faults=f"{point}=kill", index_passcode=PASSCODE) as hub:
            answers = [send(hub, made) for made in releases]
            code = hub.wait()
        checked, report = fsck(data, "--read-data")

        with Served(data, upstream.url, index_passcode=PASSCODE) as hub:
            before = listed(hub)
            again = [send(hub, made) for made in releases]
            after = listed(hub)
            fetched = [hub.get(f"/i/acme/{made.filename}").content for made in releases]

    acknowledged = {made.filename for made, answer in zip(releases, answers, strict=True) if answer == 200}
    hashes = {made.filename: made.sha256 for made in releases}
    assert code == -signal.SIGKILL
    assert checked == 0, report
    assert acknowledged <= before.keys()
    assert before.items() <= hashes.items()
    assert again == [200] * len(releases)
    assert after == hashes
    assert fetched == [made.content for made in releases]
    assert fsck(data, "--read-data")[0] == 0
