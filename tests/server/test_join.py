"""Several hubs over one database server and one data directory: each sees what the others do."""

from __future__ import annotations

import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.databases import empty_database
from tests.doubles.misbehaviour import drip
from tests.doubles.served import Served
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_hubs_join_on_a_database_server_and_share_what_they_fetch(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "var"
    with empty_database(kind, tmp_path) as url, Upstream() as upstream:
        made = upstream.add("big", "1.0", size=200_000)
        settings = {"database_url": url, "index_max_age": "3600"}
        with Served(data, upstream.url, **settings) as first, Served(data, upstream.url, **settings) as second:
            pages = [hub.get("/simple/big/").text for hub in (first, second)]
            files = [hub.get(f"/i/big/{made.filename}").content for hub in (first, second, first, second)]
            asked = upstream.count(upstream.path_of(made.filename))

            upstream.add("big", "2.0")
            with Served(data, upstream.url, **settings | {"index_max_age": "0"}) as third:
                third.get("/simple/big/")  # a change of the page, by one of the three
            later = [hub.get("/simple/big/").text for hub in (first, second)]

            assert pages[0] == pages[1]
            assert files == [made.content] * 4
            assert asked == 1
            assert all("big-2.0" in page for page in later)
            assert first.process.poll() is None
            assert second.process.poll() is None


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_one_of_them_fetches_a_file_and_when_it_is_killed_another_goes_on(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "var"
    with empty_database(kind, tmp_path) as url, Upstream() as upstream, ThreadPoolExecutor(4) as clients:
        made = upstream.add("big", "1.0", size=1_000_000)
        path, address = upstream.path_of(made.filename), f"/i/big/{made.filename}"
        upstream.misbehave(path, drip(400_000))
        settings = {"database_url": url, "index_max_age": "3600"}
        with Served(data, upstream.url, **settings) as fetching, Served(data, upstream.url, **settings) as lent:
            for hub in (fetching, lent):
                hub.get("/simple/big/")
            cut_off = clients.submit(fetching.get, address)
            while not upstream.count(path):
                time.sleep(0.01)
            whole = [clients.submit(lent.get, address) for _ in range(3)]
            time.sleep(0.8)  # a third of the file
            asked = upstream.count(path)
            fetching.process.send_signal(signal.SIGKILL)

            assert asked == 1
            assert [answer.result().content for answer in whole] == [made.content] * 3
            with pytest.raises(httpx2.TransportError):
                cut_off.result()
            resumed = upstream.requests(path)[1:]
            assert [seen.headers["range"].startswith("bytes=0-") for seen in resumed] == [False]
            assert fetching.wait() == -signal.SIGKILL


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_page_that_is_new_or_changed_may_be_asked_of_all_at_once(tmp_path: Path, kind: str) -> None:
    data, names = tmp_path / "var", [f"p{number}" for number in range(12)]
    with empty_database(kind, tmp_path) as url, Upstream() as upstream, ExitStack() as running:
        for name in names:
            upstream.add(name, "1.0")
        hubs = [running.enter_context(Served(data, upstream.url, database_url=url)) for _ in range(3)]
        clients = running.enter_context(ThreadPoolExecutor(len(hubs) * len(names)))

        def ask_all() -> set[int]:
            asked = [clients.submit(hub.get, f"/simple/{name}/") for name in names for hub in hubs]
            return {answer.result().status_code for answer in asked}

        found = [ask_all()]
        for version in ("2.0", "3.0", "4.0"):
            for name in names:
                upstream.add(name, version)
            found.append(ask_all())

        assert found == [{200}] * 4
        assert all("-4.0-" in hub.get(f"/simple/{name}/").text for name in names for hub in hubs)
        assert [_retries(hub) for hub in hubs] == [0, 0, 0]  # no deadlocks: each costs a second on PostgreSQL


def _retries(hub: Served) -> float:
    found = re.search(r"^creamery_commit_retries_total\S* (\S+)$", hub.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])
