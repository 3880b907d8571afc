"""Several hubs over one database server and one data directory: each sees what the others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import empty_database
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
            assert asked <= 2  # a flight is one process's; what one has kept the others have
            assert all("big-2.0" in page for page in later)
            assert first.process.poll() is None
            assert second.process.poll() is None
