"""Which archives there are: settings, the original's variable, a flag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from creamery.cart_sections import Archive as ArchiveSettings
from creamery.carts.archives import Archive, open_archives
from creamery.carts.archives.directory import Directory
from creamery.carts.archives.pacifica import Pacifica
from creamery.carts.archives.web import Web
from creamery.hub import build
from creamery.settings import SettingsError, load_settings
from tests.doubles.archives import ArchiveInterface
from tests.doubles.running import RunningHub
from tests.doubles.served import Served
from tests.suites.archive import read

VARIABLE = "CREAMERY_CARTS_ARCHIVES"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but the test's own."""
    monkeypatch.delenv("ARCHIVE_INTERFACE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def given(**flags: Any) -> list[ArchiveSettings]:
    return list(load_settings(**flags).carts.archives)


def opened(tmp_path: Path) -> dict[str, Archive]:
    """What a hub makes of the environment."""
    built = build(load_settings(data=tmp_path))
    built.hub.pools.close()
    built.hub.database.close()
    built.app.close()
    return open_archives(built.hub)


def test_without_a_word_there_is_none(tmp_path: Path) -> None:
    assert opened(tmp_path) == {}


def test_one_text_is_one_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "https://hub:hunter2@archive.example:8080/tapes")

    archives = opened(tmp_path)

    assert list(archives) == ["archive.example:8080"]
    assert isinstance(archives["archive.example:8080"], Pacifica)
    assert "hunter2" not in repr(archives)


def test_several_keep_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "/srv/cold data, http://archive.example, shelf")

    archives = opened(tmp_path)

    assert list(archives) == ["cold-data", "archive.example", "shelf"]
    assert [type(each) for each in archives.values()] == [Directory, Pacifica, Directory]
    assert given()[2].path == tmp_path / "shelf"


def test_tables_say_everything(tmp_path: Path) -> None:
    (tmp_path / "creamery.toml").write_text(
        """
        [[carts.archives]]
        name = "tapes"
        kind = "pacifica"
        url = "http://archive.example"
        at_once = 8
        window = 20
        [[carts.archives]]
        kind = "web"
        url = "https://data.example/pub"
        [[carts.archives]]
        kind = "directory"
        path = "/srv/data"
        """
    )

    archives = opened(tmp_path)

    assert {name: (type(each), each.at_once, each.window) for name, each in archives.items()} == {
        "tapes": (Pacifica, 8, 20),
        "data.example": (Web, 8, 500),
        "data": (Directory, 4, 500),
    }


def test_a_pacifica_archive_is_asked_for_one_thing_at_a_time_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "http://archive.example")

    assert opened(tmp_path)["archive.example"].at_once == 1


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("archive.example:8080/", "http://archive.example:8080/"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("https://archive.example/", "https://archive.example/"),
    ],
)
def test_the_originals_variable_may_leave_out_the_scheme(monkeypatch: pytest.MonkeyPatch, value: str, url: str) -> None:
    monkeypatch.setenv("ARCHIVE_INTERFACE_URL", value)
    assert [(each.kind, each.url) for each in given()] == [("pacifica", url)]

    monkeypatch.setenv(VARIABLE, "/srv/data")
    assert [each.kind for each in given()] == ["directory"]


@pytest.mark.parametrize(
    ("archives", "says"),
    [
        ("ftp://archive.example/", "should begin with http"),
        ("http://archive.example/?a=b", "no query"),
        ("http://hub:hunter2@/", "name a host"),
        ("archive.example:8080", "begins with http:// or https://"),
        ("/a/data, /b/data", "two archives are called data"),
        ("/srv/index", "the hub's own index"),
        ([{"kind": "directory"}], "has `path`"),
        ([{"kind": "web", "path": "/x"}], "has `url`"),
        ([{"kind": "web", "path": "/x", "url": "http://hub:hunter2@a.example"}], "not the other"),
        ([{"kind": "tape", "url": "http://a.example"}], "'pacifica', 'directory' or 'web'"),
        ([{"kind": "web", "url": "http://a.example", "at_once": 0}], "greater than 0"),
        ([{"kind": "web", "url": "http://a.example", "name": "a/b"}], "should be a name"),
        ([{"kind": "web", "url": "http://a.example", "nmae": "a"}], "no such setting"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name_and_without_a_password(archives: object, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        load_settings(carts={"archives": archives})

    assert str(caught.value).startswith("carts.archives")
    assert "hunter2" not in str(caught.value)


@pytest.mark.anyio
async def test_a_hub_reads_from_it(tmp_path: Path) -> None:
    """From its own loop, as jobs do."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "a").write_bytes(b"from the shelf")
    with ArchiveInterface({"1": b"from the tapes"}) as server:
        shelf = str(tmp_path / "shelf")
        with RunningHub(tmp_path / "data", carts={"archives": [server.url, shelf]}) as running:
            hub = running.built.hub
            archives = open_archives(hub)

            found = [
                await _elsewhere(hub.egress.call, read(archive, item))
                for archive, item in zip(archives.values(), ["1", "a"], strict=True)
            ]

    assert found == [b"from the tapes", b"from the shelf"]


async def _elsewhere(call: Any, coroutine: Any) -> object:
    import asyncio  # noqa: PLC0415 - only here

    return await asyncio.to_thread(call, coroutine)


def test_serve_takes_a_folder(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    served = Served(tmp_path / "data", "", limits_drain_seconds="1")
    served._command += ["--archive", str(tmp_path / "shelf"), "--archive", "ftp://archive.example"]

    with pytest.raises(AssertionError, match=r"carts\.archives"):
        served.__enter__()
    served.client.close()

    served = Served(tmp_path / "data", "", limits_drain_seconds="1")
    served._command += ["--archive", str(tmp_path / "shelf")]
    with served:
        assert served.get("/healthz").status_code == 200
