"""The backup drill: a hub under load is backed up, killed, and restored elsewhere, on each database and across them."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select

from creamery.database import Database
from creamery.index.tables import index_file
from creamery.limits import Limits
from tests.databases import empty_database
from tests.doubles.distributions import Distribution
from tests.doubles.served import Served, creamery, fsck
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

BEFORE = 20
CLIENTS = 3
AWAY = "http://127.0.0.1:9/simple/"
"""Nobody listens there: what is served is here."""

DRILLS = [("sqlite", "sqlite"), ("postgresql", "postgresql"), ("mariadb", "mariadb"), ("sqlite", "postgresql")]


class Load:
    """Clients who fetch files all the time: those that are here, and new ones."""

    def __init__(self, hub: Served, upstream: Upstream) -> None:
        self.made: dict[str, Distribution] = {}
        self._hub = hub
        self._upstream = upstream
        self._numbers = itertools.count()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def fetch_new(self, client: httpx2.Client) -> None:
        """A project that nobody has asked for."""
        number = next(self._numbers)
        made = self._upstream.add(f"p{number}", "1.0", size=20_000 + 5_000 * (number % 30))
        self.made[made.filename] = made
        assert client.get(f"{self._hub.base}/simple/p{number}/").status_code == 200
        assert client.get(self._hub.base + path_of(made.filename)).content == made.content

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Meanwhile they fetch; that the hub dies under them is no news."""
        for thread in self._threads:
            thread.start()
        yield
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        with httpx2.Client(timeout=20, trust_env=False) as client:
            while not self._ending.is_set():
                try:
                    self.fetch_new(client)
                    for filename in list(self.made)[:5]:
                        client.get(self._hub.base + path_of(filename))
                    self._ending.wait(0.05)
                except httpx2.TransportError:
                    return


def path_of(filename: str) -> str:
    return f"/i/{filename.partition('-')[0]}/{filename}"


def kept(url: str) -> set[str]:
    """The files whose rows are committed: what the hub has acknowledged to have."""
    database = Database(url, Limits())
    try:
        asked = select(index_file.c.filename).where(index_file.c.digest.is_not(None))
        return database.read(lambda connection: set(connection.execute(asked).scalars()))
    finally:
        database.close()


def wait_until_kept(url: str, count: int) -> set[str]:
    """The row of a file comes a moment after its client had the last byte."""
    until = time.monotonic() + 30
    while len(found := kept(url)) < count:
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def place(kind: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """A data directory that is yet to be made, and the address of an empty database."""
    folder.mkdir()
    data = folder / "var"
    if kind == "sqlite":
        yield data, f"sqlite:///{data}/creamery.sqlite3"
        return
    with empty_database(kind, folder) as url:
        yield data, url


@pytest.mark.parametrize(("kind", "other"), DRILLS)
def test_what_was_acknowledged_before_the_backup_is_served_after_the_restore(
    tmp_path: Path, kind: str, other: str
) -> None:
    vault = tmp_path / "vault"
    with place(kind, tmp_path / "old") as (data, url), place(other, tmp_path / "new") as (new_data, new_url):
        with Upstream() as upstream, Served(data, upstream.url, database_url=url) as hub:
            load = Load(hub, upstream)
            for _ in range(BEFORE):
                load.fetch_new(hub.client)
            with load.going_on():
                acknowledged = wait_until_kept(url, BEFORE)
                fetched = len(load.made)
                backed_up, said = creamery("backup", vault, "--data", data, database_url=url)
                fetched_meanwhile = len(load.made) - fetched
                hub.process.send_signal(signal.SIGKILL)
            hub.wait()

        restored, told = creamery("restore", vault, "--data", new_data, "--database-url", new_url)
        with Served(new_data, AWAY, database_url=new_url) as hub:
            served = {filename: hub.get(path_of(filename)).content for filename in acknowledged}

        assert backed_up == 0, said
        assert restored == 0, told
        assert len(acknowledged) >= BEFORE
        assert fetched_meanwhile > 0
        assert served == {filename: load.made[filename].content for filename in acknowledged}


def test_a_backup_and_a_restore_that_are_killed_leave_the_former_backup_and_half_a_hub_that_nobody_serves(
    tmp_path: Path,
) -> None:
    data, vault, new = tmp_path / "var", tmp_path / "vault", tmp_path / "new"
    with Upstream() as upstream, Served(data, upstream.url) as hub:
        load = Load(hub, upstream)
        load.fetch_new(hub.client)
        wait_until_kept(f"sqlite:///{data}/creamery.sqlite3", 1)
        first, said = creamery("backup", vault, "--data", data)
        load.fetch_new(hub.client)
        wait_until_kept(f"sqlite:///{data}/creamery.sqlite3", 2)
        killed, _ = creamery("backup", vault, "--data", data, faults="backup.before_manifest=kill")

        cut, _ = creamery("restore", vault, "--data", new, faults="database.migration_step@9=kill")
        refused, told = creamery("serve", "--port", "0", "--data", new)
        restored, report = creamery("restore", vault, "--data", new)
        again, _ = creamery("backup", vault, "--data", data)

    assert first == again == 0, said
    assert killed == cut == -signal.SIGKILL
    assert refused == 1
    assert "half restored" in told
    assert restored == 0, report
    assert len(kept(f"sqlite:///{new}/creamery.sqlite3")) == 1
    assert fsck(new, "--read-data")[0] == 0
