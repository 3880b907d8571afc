"""Two processes at one database, four writers each, in one space."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import create_tables, empty_database
from tests.doubles.grove import Grove

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "kind", ["sqlite", *(pytest.param(kind, marks=pytest.mark.installed) for kind in ("postgresql", "mariadb"))]
)
def test_eight_writers_of_two_processes_leave_a_hive_that_is_whole(kind: str, tmp_path: Path) -> None:
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        grove = Grove(url)
        homes = [grove.home(1, "alice").id, grove.project("apiary", "preserving").id]

        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.doubles.gardening", url, str(first), *map(str, homes)],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for first in (10, 20)
        ]
        told = [process.communicate(timeout=120)[0].split() for process in processes]
        findings = grove.findings()
        grove.close()

    assert [process.returncode for process in processes] == [0, 0]
    assert findings == []
    assert [float(retries) for _, retries in told] == [0, 0]
    assert all(int(done) > 200 for done, _ in told)
