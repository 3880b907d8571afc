"""`creamery serve` as its users meet it: where it listens, what stands in its way, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.served import Served
from tests.doubles.upstream import Upstream, after, drip, hang

FAILING_STARTS = """
import json, sys
from creamery.server import serve
from creamery.settings import load_settings

for settings in json.loads(sys.argv[1]):
    sys.stderr.write(f"{serve(load_settings(**settings))}\\n")
"""
"""Starts that fail, one after the other in one process, each with its exit code behind what it says."""

NO_UPSTREAM = "http://127.0.0.1:9/simple/"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def hub(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    upstream.add("six", "1.16.0")
    with Served(tmp_path_factory.mktemp("hub") / "var", upstream.url) as served:
        yield served


def start(*settings: dict[str, Any]) -> list[str]:
    """What each start said that failed."""
    started = subprocess.run(
        [sys.executable, "-c", FAILING_STARTS, json.dumps(settings)],
        env={"PATH": os.environ["PATH"], "CREAMERY_INDEX_UPSTREAMS": NO_UPSTREAM},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 0, started.stderr
    lines = started.stderr.splitlines()
    assert lines[1::2] == ["1"] * len(settings), started.stderr
    return lines[::2]


def test_a_hub_says_where_it_is_and_answers(hub: Served) -> None:
    page, ready, scraped = hub.get("/simple/six/"), hub.get("/readyz"), hub.get("/metrics")

    assert f"pip install --index-url {hub.base}/simple/ PACKAGE" in hub.output
    assert page.status_code == 200
    assert ready.json()["status"] == "ready"
    assert "index.upstreams" in {check["name"] for check in ready.json()["checks"]}
    assert 'creamery_http_requests_total{door="index",method="GET",process=' in scraped.text
    assert "creamery_disk_free_bytes" in scraped.text
    assert "creamery_process_resident_memory_bytes" in scraped.text
    assert "Traceback" not in hub.output


def test_the_line_that_it_prints_makes_the_first_administrator_once(hub: Served) -> None:
    printed = re.search(r"curl -H (\S+):(\S+) -d '(\{.*\})' (\S+)", hub.output)
    assert printed is not None
    body, address = printed[3].replace('"NAME"', '"root"').replace("PASSWORD", "correct horse"), printed[4]

    codes = [hub.client.post(address, content=body, headers={printed[1]: printed[2]}).status_code for _ in range(2)]

    assert codes == [201, 403]
    assert stat.S_IMODE((hub._data / "secret").stat().st_mode) == 0o600
    assert "correct horse" not in hub.output


def test_a_start_that_cannot_be_says_why_in_one_line(hub: Served, tmp_path: Path) -> None:
    data, port = hub._data, int(hub.base.rpartition(":")[2])
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    living = socket.socket(socket.AF_UNIX)
    living.bind(str(tmp_path / "living"))
    living.listen()

    free = {"data": str(tmp_path / "var"), "listen": {"port": 0}, "log": {"level": "error"}}
    said = start(
        {"data": str(data), "listen": {"port": 0}},
        {**free, "listen": {"port": port}},
        {**free, "listen": {"host": "192.0.2.1", "port": 0}},
        {**free, "listen": {"host": "no.such.host.invalid"}},
        {**free, "listen": {"uds": str(tmp_path / "living")}},
        {**free, "listen": {"uds": str(tmp_path / "file")}},
        {**free, "trusted_proxies": ["my-proxy"]},
        {**free, "database_url": "oracle://x"},
        {**free, "data": str(tmp_path / "file" / "var")},
    )
    living.close()

    assert f"another creamery serves {data} (pid {hub.process.pid})" in said[0]
    assert f"port {port} of 127.0.0.1 is in use" in said[1]
    assert "no address of this machine" in said[2]
    assert "knows no such address" in said[3]
    assert "another program listens there" in said[4]
    assert "which is no socket" in said[5]
    assert "'my-proxy' is no network" in said[6]
    assert "database_url" in said[7]
    assert "cannot be used" in said[8]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "in the way"


def test_running_requests_are_finished_after_sigterm(tmp_path: Path, upstream: Upstream) -> None:
    made = upstream.add("slow", "1.0", size=300_000)
    upstream.misbehave(f"*{made.filename}", drip(200_000))
    found: list[bytes] = []

    with Served(tmp_path / "var", upstream.url) as served:
        served.get("/simple/slow/")
        client = threading.Thread(target=lambda: found.append(served.get(f"/i/slow/{made.filename}").content))
        client.start()
        wait_until_asked(upstream, made.filename)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(served.base.rpartition(":")[2])))
        client.join(20)
        code = served.wait()

    assert found == [made.content]
    assert code == 0
    assert '"event":"server.stopped"' in served.output


def test_a_running_job_is_finished_after_sigterm(tmp_path: Path) -> None:
    with Upstream(metadata=False) as upstream:
        made = upstream.add("tail", "1.0", size=300_000)
        upstream.misbehave(f"*{made.filename}", after(0.5))
        with Served(tmp_path / "var", upstream.url) as served:
            served.get("/simple/tail/")  # has a job read METADATA from the wheel's tail
            while not upstream.count(upstream.path_of(made.filename)):
                time.sleep(0.01)
            served.process.send_signal(signal.SIGTERM)
            code = served.wait()

    with contextlib.closing(sqlite3.connect(tmp_path / "var" / "creamery.sqlite3")) as database:
        states = database.execute("SELECT state FROM job WHERE kind = 'index.metadata'").fetchall()
    assert (code, states) == (0, [("done",)])


def test_nobody_waits_at_the_end_for_a_client_that_has_left(tmp_path: Path, upstream: Upstream) -> None:
    made = upstream.add("left", "1.0", size=300_000)
    upstream.misbehave(f"*{made.filename}", hang())

    with Served(tmp_path / "var", upstream.url, limits_drain_seconds="600") as served:
        served.get("/simple/left/")
        with socket.create_connection(("127.0.0.1", int(served.base.rpartition(":")[2]))) as client:
            client.sendall(f"GET /i/left/{made.filename} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
            while not upstream.count(upstream.path_of(made.filename)):
                time.sleep(0.01)
        while '"aborted":"client"' not in served.output:
            time.sleep(0.01)
        served.process.send_signal(signal.SIGTERM)
        code = served.wait()

    assert code == 0
    assert "http.cut_off" not in served.output


@pytest.mark.parametrize(("patience", "signals", "code"), [("0.5", 1, 0), ("60", 2, 1)])
def test_what_does_not_end_is_cut_at_the_deadline_or_at_a_second_signal(
    tmp_path: Path, upstream: Upstream, patience: str, signals: int, code: int
) -> None:
    made = upstream.add(f"endless{signals}", "1.0", size=300_000)
    upstream.misbehave(f"*{made.filename}", drip(1_000))

    with Served(tmp_path / "var", upstream.url, limits_drain_seconds=patience) as served:
        served.get(f"/simple/endless{signals}/")
        client = socket.create_connection(("127.0.0.1", int(served.base.rpartition(":")[2])))
        client.sendall(f"GET /i/endless{signals}/{made.filename} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
        wait_until_asked(upstream, made.filename)
        began = time.monotonic()
        for _ in range(signals):
            served.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        ended = served.wait()
        client.close()

    assert ended == code
    assert ('"aborted":"hub"' in served.output and '"event":"http.cut_off"' in served.output) is (code == 0)
    assert time.monotonic() - began < 20
    assert "Traceback" not in served.output


def test_closed_streams_keep_nobody_from_serving(tmp_path: Path) -> None:
    socket_path = tmp_path / "s"
    command = f"exec {sys.executable} -m creamery serve --uds {socket_path} --data {tmp_path}/var <&- >&- 2>&-"
    environment = {"PATH": os.environ["PATH"], "CREAMERY_INDEX_UPSTREAMS": NO_UPSTREAM}
    running = subprocess.Popen(["sh", "-c", command], env=environment)

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.connect(str(socket_path))
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 200")
        return False

    while running.poll() is None and not answers():
        time.sleep(0.02)
    for _ in range(2):  # as `timeout` does: to the process, and to its group
        running.send_signal(signal.SIGTERM)

    assert running.wait(20) == 0


def test_a_unix_socket_is_listened_on_and_a_stale_one_replaced(tmp_path: Path) -> None:
    path = tmp_path / "hub.socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    command = [sys.executable, "-m", "creamery", "serve", "--uds", str(path), "--data", str(tmp_path / "var")]
    environment = {"PATH": os.environ["PATH"], "CREAMERY_INDEX_UPSTREAMS": NO_UPSTREAM}

    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        said = served.stdout.readline()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n")
            answer = client.recv(65_536)
        served.send_signal(signal.SIGTERM)

    assert said.rstrip().endswith(f"listens on unix:{path}")
    assert answer.startswith(b"HTTP/1.1 200")
    assert served.returncode == 0
    assert not path.exists()


def wait_until_asked(upstream: Upstream, filename: str) -> None:
    """Until the hub has asked for a file."""
    until = time.monotonic() + 20
    while not any(seen.path.endswith(filename) and seen.sent for seen in upstream.requests()):
        assert time.monotonic() < until
        time.sleep(0.02)
