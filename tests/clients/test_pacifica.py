"""Pacifica's own clients, and curl as Cartd's documents call it, against `pacifica-cartd`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.clients.machine import Machine
from tests.clients.prepare import prepared
from tests.doubles.archive_interface import archive_interface
from tests.doubles.served import ServedCarts

pytestmark = pytest.mark.installed

FILES = {"1": b"milk\n" * 1_000, "2": os.urandom(300_000), "3": b""}
NAMES = {"1": ("a/b", "milk.txt"), "2": ("", "random.bin"), "3": ("a", "empty")}
"""Where the transaction has each of them."""

DOCUMENTED = """
set -e
ip link set lo up
uuidgen() { cat /proc/sys/kernel/random/uuid; }
"$PROGRAM" &
SERVER=$!
trap 'kill $SERVER' EXIT
for n in $(seq 300); do curl -s http://127.0.0.1:8081/ >/dev/null && break; sleep 0.1; done
MY_CART_UUID=`uuidgen`
curl -X POST --upload-file /tmp/foo.json http://127.0.0.1:8081/$MY_CART_UUID
for n in $(seq 100); do
  curl -I -X HEAD http://127.0.0.1:8081/$MY_CART_UUID >head.txt
  grep -q 'x-pacifica-status: ready' head.txt && break
  sleep 0.1
done
curl http://127.0.0.1:8081/$MY_CART_UUID?filename=my_cart.tar >shown.tar
curl -O -J http://127.0.0.1:8081/$MY_CART_UUID?filename=my_cart.tar
cmp shown.tar my_cart.tar
tar xf my_cart.tar
curl -X DELETE http://127.0.0.1:8081/$MY_CART_UUID
"""
"""The lines of Cartd's documents, in their order; `/tmp` is the test's own, and so is the network."""

LIST = """
{
  "fileids": [
    {"id":"foo.txt", "path":"1/2/3/foo.txt", "hashtype":"md5", "hashsum":""},
    {"id":"bar.csv", "path":"1/2/3/bar.csv", "hashtype":"md5", "hashsum":""},
    {"id":"baz.ini", "path":"2/3/4/baz.ini", "hashtype":"md5", "hashsum":""}
  ]
}
"""


@pytest.fixture
def cartd(tmp_path: Path) -> Iterator[ServedCarts]:
    archive = tmp_path / "archive"
    archive.mkdir()
    for name, content in FILES.items():
        (archive / name).write_bytes(content)
    with ServedCarts(tmp_path, "-p", "0", CREAMERY_CARTS_ARCHIVES=str(archive)) as served:
        yield served


def transaction(**changed: str) -> dict[str, Any]:
    """As the policy server describes it."""
    files = {
        number: {
            "name": name,
            "subdir": subdir,
            "hashtype": "sha1",
            "hashsum": changed.get(f"hash_{number}", hashlib.sha1(FILES[number], usedforsecurity=False).hexdigest()),
        }
        for number, (subdir, name) in NAMES.items()
    }
    return {"files": files}


@contextmanager
def policy(document: dict[str, Any]) -> Iterator[str]:
    """A policy server that knows one transaction."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/by_id/1234" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the library has it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/by_id"
    finally:
        server.shutdown()
        server.server_close()


def test_pacifica_cli_downloads_a_transaction(cartd: ServedCarts, tmp_path: Path) -> None:
    machine, target = Machine(tmp_path), tmp_path / "target"
    with policy(transaction()) as address:
        machine.succeed(
            prepared("pacifica") / "pacifica-cli",
            *("download", "--transaction-id", "1234", "--destination", target),
            DOWNLOAD_URL=cartd.base,
            DOWNLOAD_POLICY_URL=address,
        )

    found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {
        f"data/{subdir}/{name}".replace("//", "/"): FILES[number] for number, (subdir, name) in NAMES.items()
    }


def test_pacifica_cli_downloads_what_a_cloud_event_names(cartd: ServedCarts, tmp_path: Path) -> None:
    machine, target = Machine(tmp_path), tmp_path / "target"
    rows = [
        {"destinationTable": "Files", "_id": int(number), **described}
        for number, described in transaction()["files"].items()
    ]
    event = machine.home / "event.json"
    event.write_text(json.dumps({"data": [{"destinationTable": "Transactions", "_id": 1234}, *rows]}))

    machine.succeed(
        prepared("pacifica") / "pacifica-cli",
        *("download", "--cloudevent", event, "--destination", target),
        DOWNLOAD_URL=cartd.base,
    )

    assert (target / "data" / "random.bin").read_bytes() == FILES["2"]
    assert (target / "data" / "a" / "b" / "milk.txt").read_bytes() == FILES["1"]


def test_pacifica_cli_downloads_what_the_real_archive_interface_has(tmp_path: Path) -> None:
    """All of it is Pacifica's, but for the cart between; the address of the archive as Cartd's documents write it."""
    machine, target, kept = Machine(tmp_path), tmp_path / "target", tmp_path / "kept"
    kept.mkdir()
    for name, content in FILES.items():
        (kept / name).write_bytes(content)

    with archive_interface(kept) as archive, policy(transaction()) as address:
        url = archive.removeprefix("http://")
        with ServedCarts(tmp_path, "-p", "0", ARCHIVE_INTERFACE_URL=url, VOLUME_PATH=str(tmp_path / "volume")) as cartd:
            machine.succeed(
                prepared("pacifica") / "pacifica-cli",
                *("download", "--transaction-id", "1234", "--destination", target),
                DOWNLOAD_URL=cartd.base,
                DOWNLOAD_POLICY_URL=address,
            )

    for number, (subdir, name) in NAMES.items():
        assert (target / "data" / subdir / name).read_bytes() == FILES[number]
    assert (tmp_path / "volume" / "creamery.sqlite3").is_file()


DOWNLOAD = """
import json, sys
from pacifica.downloader import Downloader
downloader = Downloader(cart_api_url=sys.argv[1])
downloader.transactioninfo(sys.argv[2], json.loads(sys.argv[3]), filename="mine", timeout=20)
"""


def test_the_downloader_as_a_library_and_what_it_says_where_a_file_is_not_what_it_should_be(
    cartd: ServedCarts, tmp_path: Path
) -> None:
    machine, python = Machine(tmp_path), prepared("pacifica") / "python"
    target = tmp_path / "target"

    machine.succeed(python, "-c", DOWNLOAD, cartd.base, target, json.dumps(transaction()))
    wrong = machine.run(python, "-c", DOWNLOAD, cartd.base, target, json.dumps(transaction(hash_2="0" * 40)))

    assert (target / "mine" / "random.bin").read_bytes() == FILES["2"]
    assert wrong.code == 1
    assert "random.bin" in wrong.output
    assert "AssertionError" in wrong.output


def test_the_documented_lines_do_what_they_say(tmp_path: Path) -> None:
    archive, shared = tmp_path / "archive", tmp_path / "shared"
    for folder in (archive, shared):
        folder.mkdir()
    for name in ("foo.txt", "bar.csv", "baz.ini"):
        (archive / name).write_text(f"this is {name}\n")
    (shared / "foo.json").write_text(LIST)
    lines = DOCUMENTED.replace("/tmp/", f"{shared}/")

    ran = subprocess.run(
        ["unshare", "--net", "bash", "-c", lines],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PROGRAM": str(Path(sys.executable).parent / "pacifica-cartd"),
            "CREAMERY_CARTS_ARCHIVES": str(archive),
            "CREAMERY_LIMITS_RESERVE_BYTES": "0",
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '{"message":"Cart Processing has begun"}' in ran.stdout
    assert '{"message":"Cart Deleted Successfully"}' in ran.stdout
    unpacked = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "my_cart").rglob("*") if path.is_file())
    assert unpacked == ["my_cart/1/2/3/bar.csv", "my_cart/1/2/3/foo.txt", "my_cart/2/3/4/baz.ini"]
    assert (tmp_path / "my_cart/2/3/4/baz.ini").read_text() == "this is baz.ini\n"
