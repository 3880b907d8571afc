"""`pacifica-cartd` and `pacifica-cartd-cmd`, as programs."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own

from tests.doubles.carting import entry
from tests.doubles.served import ServedCarts, cartd_cmd
from tests.doubles.waiting import eventually


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an archive and Cartd's file in it."""
    folder = tmp_path_factory.mktemp("cartd")
    (folder / "archive").mkdir()
    (folder / "archive" / "one").write_bytes(b"1" * 100_000)
    (folder / "archive" / "two").write_bytes(b"2")
    (folder / ".pacifica-cartd").mkdir()
    (folder / ".pacifica-cartd" / "config.ini").write_text(f"[cartd]\nvolume_path = {folder / 'volume'}\n")
    return folder


def archive_of(folder: Path) -> dict[str, str]:
    return {"CREAMERY_CARTS_ARCHIVES": str(folder / "archive")}


@pytest.fixture(scope="module")
def cartd(folder: Path) -> Iterator[ServedCarts]:
    with ServedCarts(folder, "-p", "0", **archive_of(folder)) as served:
        yield served


def make(cartd: ServedCarts, uid: str, *items: str) -> int:
    """A cart that has ended; the status of its HEAD."""
    body = json.dumps({"fileids": [entry(item) for item in items]}).encode()
    assert cartd.client.post(f"{cartd.base}/{uid}", content=body).status_code == 201
    eventually(lambda: cartd.client.head(f"{cartd.base}/{uid}").status_code != 202, 20)
    return cartd.client.head(f"{cartd.base}/{uid}").status_code


def test_it_is_there_as_the_original_says_it(cartd: ServedCarts) -> None:
    assert cartd.get("/").json() == {"message": "Pacifica Cartd Interface Up and Running"}
    assert cartd.client.post(f"{cartd.base}/").json()["message"] == "Missing parameters: uid"
    assert f"data:     {cartd._data.parent / 'volume'} (SQLite)" in cartd.output


@pytest.mark.parametrize("uid", ["my_cart", "carts", "v1.2", "a%20b", "%C3%A4"])
def test_any_name_is_a_carts(cartd: ServedCarts, uid: str) -> None:
    if uid == "carts":
        assert cartd.get("/carts").json()["carts"] is not None  # one name is the list's
        return
    assert make(cartd, uid, "one", "two") == 204
    assert cartd.get(f"/{uid}?filename=x.tar").content[:4] == b"x/on"
    assert cartd.client.delete(f"{cartd.base}/{uid}").json() == {"message": "Cart Deleted Successfully"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", path, 404) for path in ("/simple/", "/simple/six/", "/api/v1/me", "/a/b", "/i/six/six-1.0.tar.gz")),
        *(("GET", path, 404) for path in ("/healthz", "/metrics", "/readyz")),  # names of carts that are not there
        ("POST", "/u/", 404),
        ("PUT", "/my_cart", 405),
        ("PATCH", "/", 405),
    ],
)
def test_nothing_else_is_served_and_that_is_said_as_the_original_says_it(
    cartd: ServedCarts, method: str, path: str, status: int
) -> None:
    answer = cartd.client.request(method, cartd.base + path)

    assert answer.status_code == status
    assert set(answer.json()) == {"status", "message", "traceback", "version"}


def test_what_it_says_of_files_that_mean_nothing_stands_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "cartd.ini"
    config.write_text("[celery]\nbroker_url = pyamqp://\n[database]\npeewee_url = sqliteext:///db.sqlite3\n")
    sqlite3.connect(tmp_path / "db.sqlite3").close()
    before = (tmp_path / "db.sqlite3").stat()

    with ServedCarts(tmp_path, "-c", config, "-p", "0", BACKEND_URL="rpc://") as served:
        served.get("/")
    warnings = [line for line in served.output.splitlines() if line.startswith("Warning")]

    assert warnings == [
        "Warning: these mean nothing here: BACKEND_URL, celery.broker_url",
        "Warning: Cartd's database db.sqlite3 is left alone: carts are kept in var/creamery.sqlite3",
    ]
    after = (tmp_path / "db.sqlite3").stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_the_log_goes_where_cherrypys_file_says(tmp_path: Path) -> None:
    cpconfig = tmp_path / "cp.ini"
    cpconfig.write_text(
        "[global]\nlog.screen: False\nlog.access_file: 'access.log'\nlog.error_file: 'error.log'\n"
        "server.socket_host: '127.0.0.1'\nserver.socket_port: 0\n"
    )

    with ServedCarts(tmp_path, "--cpconfig", cpconfig) as served:
        served.get("/")

    requests = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    events = [json.loads(line)["event"] for line in (tmp_path / "error.log").read_text().splitlines()]
    assert [(line["event"], line["path"]) for line in requests] == [("request", "/")]
    assert "server.stopped" in events
    assert '"event"' not in served.output


def test_a_log_that_cannot_be_written_keeps_it_from_starting(tmp_path: Path) -> None:
    cpconfig = tmp_path / "cp.ini"
    cpconfig.write_text("[global]\nlog.error_file: 'nowhere/error.log'\nserver.socket_port: 0\n")

    with (
        pytest.raises(AssertionError, match=r"nowhere/error\.log cannot be written"),
        ServedCarts(tmp_path, "--cpconfig", cpconfig),
    ):
        pass


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            AssertionError, match=rf"ended with 1:\npacifica-cartd: port {port} of 127\.0\.0\.1 is in use"
        ):
            ServedCarts(tmp_path, "-p", str(port)).__enter__()


def test_a_database_server_is_waited_for_as_long_as_cartd_would(tmp_path: Path) -> None:
    wait = {"DATABASE_CONNECT_ATTEMPTS": "3", "DATABASE_CONNECT_WAIT": "0.1"}

    ended = cartd_cmd(tmp_path, "dump", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none", **wait)

    assert ended.returncode == 1
    assert ended.stderr.count("asking again in 0.1 s") == 2
    assert "Traceback" not in ended.stderr


def test_whoever_listens_for_everybody_is_told_how_carts_are_everybodys(tmp_path: Path) -> None:
    with ServedCarts(tmp_path, "-a", "0.0.0.0", "-p", "0") as served:
        port = served.base.rpartition(":")[2]
        answer = served.client.get(f"http://127.0.0.1:{port}/some")

    assert answer.status_code == 401
    assert "CREAMERY_CARTS_ANONYMOUS=on" in served.output


def test_the_database_is_checked_and_made(tmp_path: Path) -> None:
    codes = [cartd_cmd(tmp_path, *words).returncode for words in (["dbchk"], ["dbchk", "--equal"])]
    assert codes == [1, 1]
    assert not (tmp_path / "var").exists()

    codes = [
        cartd_cmd(tmp_path, *words).returncode for words in (["dbsync"], ["dbsync"], ["dbchk"], ["dbchk", "--equal"])
    ]
    assert codes == [0, 0, 0, 0]

    with sqlite3.connect(tmp_path / "var" / "creamery.sqlite3") as database:
        database.execute("UPDATE creamery_version SET version_num = '0001'")
    database.close()
    behind = cartd_cmd(tmp_path, "dbchk")
    assert behind.returncode == 255
    assert "run: pacifica-cartd-cmd dbsync" in behind.stdout


def test_help_and_wrong_calls_end_as_the_originals_did(tmp_path: Path) -> None:
    assert cartd_cmd(tmp_path).returncode == 0
    assert "fixit" in cartd_cmd(tmp_path).stdout
    assert cartd_cmd(tmp_path, "purge", "--time-ago", "60 moons ago").returncode == 2
    assert cartd_cmd(tmp_path, "fixit", "--cartid").returncode == 2
    assert cartd_cmd(tmp_path, "-c", "gone.ini", "dump").returncode == 1
    nothing = cartd_cmd(tmp_path, "dump")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "pacifica-cartd-cmd dbsync" in nothing.stderr


def test_carts_are_dumped_mended_and_purged_beside_the_server(cartd: ServedCarts, folder: Path) -> None:
    assert make(cartd, "whole", "one") == 204
    assert make(cartd, "broken", "two", "late") == 500

    unmended = cartd_cmd(folder, "fixit", "--cartid", "broken", "whole", **archive_of(folder))
    (folder / "archive" / "late").write_bytes(b"at last")
    unknown = cartd_cmd(folder, "fixit", "--cartid", "broken", "unknown", **archive_of(folder))
    still = cartd.client.head(f"{cartd.base}/broken").status_code
    mended = cartd_cmd(folder, "fixit", "--cartid", "broken", "whole", **archive_of(folder))

    assert unmended.returncode == 1
    assert "  late: " in unmended.stderr
    assert (unknown.returncode, still) == (1, 500)
    assert "No cart with uid unknown found" in unknown.stderr
    assert mended.returncode == 0, mended.stderr
    assert cartd.get("/broken?filename=x.tar").status_code == 200

    dumped = cartd_cmd(folder, "dump", "--json")
    assert json.loads(dumped.stdout) == yaml.safe_load(cartd_cmd(folder, "dump").stdout)
    assert [(cart["cart_uid"], cart["status"], len(cart["files"])) for cart in json.loads(dumped.stdout)] == [
        ("broken", "ready", 2),
        ("whole", "ready", 1),
    ]

    kept = cartd_cmd(folder, "purge", '--time-ago="60 days ago"'.replace('"', ""))
    assert (kept.returncode, kept.stdout) == (0, "")
    gone = cartd_cmd(folder, "purge", "--time-ago", "0 seconds ago")
    assert gone.returncode == 0
    assert gone.stdout.count("Cart Deleted Successfully") == 2
    assert "'cart_uid': 'broken'" in gone.stdout
    assert cartd.client.head(f"{cartd.base}/whole").status_code == 404


def test_carts_are_mended_where_no_server_runs(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "one").write_bytes(b"1")
    with ServedCarts(tmp_path, "-p", "0", **archive_of(tmp_path)) as served:
        assert make(served, "broken", "one", "late") == 500

    (archive / "late").write_bytes(b"late")
    lock = tmp_path / "var" / "lock"
    lock.rename(lock.with_name("kept"))
    lock.mkdir()
    hindered = cartd_cmd(tmp_path, "fixit", "--cartid", "broken", **archive_of(tmp_path))
    lock.rmdir()
    mended = cartd_cmd(tmp_path, "fixit", "--cartid", "broken", **archive_of(tmp_path))
    assert cartd_cmd(tmp_path, "fixit").returncode == 0

    assert hindered.returncode == 1
    assert "cannot be used: Is a directory" in hindered.stderr
    assert mended.returncode == 0, mended.stderr
    with ServedCarts(tmp_path, "-p", "0", **archive_of(tmp_path)) as served:
        assert served.client.head(f"{served.base}/broken").status_code == 204
        assert b"late" in served.get("/broken").content
