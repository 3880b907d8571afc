"""Downloads of carts as people have them: cut and resumed, in eight pieces at once, unpacked by what they have."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.doubles.carting import entry
from tests.doubles.served import Served
from tests.doubles.waiting import eventually

pytestmark = pytest.mark.installed

MIB = 1024 * 1024
FILES = {
    **{f"large {number}": random.Random(number).randbytes(4 * MIB) for number in range(3)},
    **{f"deep/er/{number}.txt": f"{number}\n".encode() * 1_000 for number in range(100)},
    "empty": b"",
    "ümlaut/ñ": b"\xff\x00",
}
CUTS = 6

RESUME = {
    "curl": ["curl", "-sSfL", "-C", "-", "-o", "{out}", "{address}"],
    "wget": ["wget", "-q", "-c", "--tries=1", "-O", "{out}", "{address}"],
    "aria2c": [
        *("aria2c", "-q", "-c", "-x", "8", "-s", "8", "-k", "1M", "--max-tries=1", "--file-allocation=none"),
        *("-d", "{folder}", "-o", "{name}", "{address}"),
    ],
}
UNPACK = {
    "GNU tar": ("tar", ["tar", "-xf", "{out}", "-C", "{folder}"]),
    "bsdtar": ("tar", ["bsdtar", "-xf", "{out}", "-C", "{folder}"]),
    "7z, tar": ("tar", ["7z", "x", "-bd", "-o{folder}", "{out}"]),
    "bsdtar, zip": ("zip", ["bsdtar", "-xf", "{out}", "-C", "{folder}"]),
    "unzip": ("zip", ["unzip", "-q", "{out}", "-d", "{folder}"]),
    "7z, zip": ("zip", ["7z", "x", "-bd", "-o{folder}", "{out}"]),
}


class CuttingWire:
    """Between a client and a hub: the first connections end after so many bytes of the answer, the others are whole.

    Attributes:
        lengths: of those that are still to be cut.
        connections: how many there were.
    """

    def __init__(self, hub: str, lengths: Sequence[int]) -> None:
        host, _, port = hub.removeprefix("http://").partition(":")
        self._hub = (host, int(port))
        self.lengths = list(lengths)
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                most = self.lengths.pop() if self.lengths else None
                threading.Thread(target=self._carry, args=[client, most], daemon=True).start()

    def _carry(self, client: socket.socket, most: int | None) -> None:
        with client, socket.create_connection(self._hub) as hub:
            threading.Thread(target=self._ask, args=[client, hub], daemon=True).start()
            carried = 0
            with suppress(OSError):
                while (most is None or carried < most) and (piece := hub.recv(65_536)):
                    client.sendall(piece if most is None else piece[: most - carried])
                    carried += len(piece)
                client.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _ask(client: socket.socket, hub: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(65_536):
                hub.sendall(piece)
            hub.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("downloads")
    for name, content in FILES.items():
        path = place / "archive" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with Served(place / "var", "", carts_archives=str(place / "archive"), log_requests="false") as served:
        yield served


@pytest.fixture(scope="module")
def cart(hub: Served) -> str:
    """The path of a cart that is ready."""
    uid = str(uuid.uuid4())
    body = json.dumps({"fileids": [entry(name, content=content) for name, content in FILES.items()]})
    assert hub.client.post(f"{hub.base}/{uid}", content=body).status_code == 201
    eventually(lambda: hub.client.head(f"{hub.base}/{uid}").status_code == 204, 30)
    return f"/carts/{uid}"


def run(command: Sequence[str], out: Path, folder: Path, address: str = "") -> subprocess.CompletedProcess[str]:
    words = [word.format(out=out, name=out.name, folder=folder, address=address) for word in command]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("form", ["tar", "zip"])
@pytest.mark.parametrize("client", RESUME)
def test_what_is_cut_anywhere_is_resumed_until_it_is_whole(
    hub: Served, cart: str, tmp_path: Path, client: str, form: str
) -> None:
    whole = hub.get(f"{cart}/bundle.{form}?root=x").content
    chance = random.Random(f"{client} {form}")
    wire = CuttingWire(hub.base, [chance.randrange(1, len(whole) // CUTS) for _ in range(CUTS)])
    out = tmp_path / f"data.{form}"

    ends: list[int] = []
    while (not ends or ends[-1] != 0) and len(ends) <= 2 * CUTS:
        ends.append(run(RESUME[client], out, tmp_path, f"{wire.base}{cart}/bundle.{form}?root=x").returncode)
    wire.close()

    assert ends[-1] == 0
    assert wire.lengths == []
    assert wire.connections > CUTS
    assert out.read_bytes() == whole


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_eight_connections_at_once_bring_one_file(hub: Served, cart: str, tmp_path: Path, form: str) -> None:
    wire = CuttingWire(hub.base, [])
    out = tmp_path / f"data.{form}"
    done = run(RESUME["aria2c"], out, tmp_path, f"{wire.base}{cart}/bundle.{form}?root=x")
    wire.close()

    assert done.returncode == 0, done.stdout + done.stderr
    assert wire.connections >= 8
    assert out.read_bytes() == hub.get(f"{cart}/bundle.{form}?root=x").content


@pytest.mark.parametrize("reader", UNPACK)
def test_what_comes_is_read_by_what_people_have(hub: Served, cart: str, tmp_path: Path, reader: str) -> None:
    form, command = UNPACK[reader]
    out, folder = tmp_path / f"data.{form}", tmp_path / "unpacked"
    folder.mkdir()
    fetched = run(RESUME["curl"], out, folder, f"{hub.base}{cart}/bundle.{form}?root=x")

    unpacked = run(command, out, folder)

    assert fetched.returncode == unpacked.returncode == 0, unpacked.stdout + unpacked.stderr
    files = {
        str(path.relative_to(folder / "x")): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.is_relative_to(folder / "x")
    }
    assert files == FILES
