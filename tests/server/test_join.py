"""Several hubs over one database server and one data directory: each sees what the others do."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
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
