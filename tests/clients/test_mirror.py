"""bandersnatch mirrors what the hub knows: whole, then what has changed; and what it has made installs."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from creamery.accounts import Scope
from creamery.contract import ProjectName
from creamery.database import announce
from creamery.index.releases import delete
from creamery.index.tables import DOUBTED, find_project
from tests.clients.conftest import INSTALLED
from tests.clients.machine import Machine
from tests.clients.prepare import prepared
from tests.clients.programs import Pip
from tests.doubles.distributions import sdist, wheel
from tests.doubles.running import RunningHub
from tests.doubles.uploading import BY, PASSCODE, token_of, upload
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed


class Mirror:
    """bandersnatch, and the folder that it fills."""

    def __init__(self, machine: Machine, hub: RunningHub, more: str = "") -> None:
        self._machine = machine
        self._program = prepared("bandersnatch") / "bandersnatch"
        self.folder = machine.home / "mirror"
        self._settings = machine.home / "bandersnatch.conf"
        self._settings.write_text(
            f"[mirror]\ndirectory = {self.folder}\nallow-non-https = true\njson = true\n"
            + (more or f"master = {hub.base}\n")
        )

    def run(self) -> str:
        """Bring the mirror up to date; what it wrote, which tells of no trouble."""
        output = self._machine.succeed(self._program, "-c", self._settings, "mirror")
        assert not re.search("ERROR|WARNING|Traceback", output), output
        return output

    def try_to_run(self) -> str:
        """What it writes, whatever its end."""
        return self._machine.run(self._program, "-c", self._settings, "mirror").output

    @property
    def files(self) -> set[str]:
        """The names of what lies under `packages/`."""
        return {path.name for path in (self.folder / "web" / "packages").rglob("*") if path.is_file()}

    def listed(self, project: str) -> set[str]:
        """What a project's page has links to."""
        page = (self.folder / "web" / "simple" / project / "index.html").read_text()
        return set(re.findall(r">([^<]+)</a>", page))

    @property
    def serial(self) -> int:
        return int((self.folder / "status").read_text())


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub over the upstream of these tests, that takes uploads; it has been asked for all that an install needs."""
    data = tmp_path / "data"
    data.mkdir()
    with RunningHub(data, index={"upstreams": [upstream.url], "passcode": PASSCODE}) as started:
        for project in ("app", "lib", "plug-in"):
            started.page(project)
        yield started


@pytest.fixture
def mirror(machine: Machine, hub: RunningHub) -> Mirror:
    """A mirror that has nothing yet."""
    return Mirror(machine, hub)


def known_files(hub: RunningHub) -> set[str]:
    """All that the hub lists, and the METADATA beside it."""
    names = [each["name"] for each in hub.get("/simple/?format=application/vnd.pypi.simple.v1+json").json()["projects"]]
    lines = [file for name in names for file in hub.page(name)["files"]]
    return {file["filename"] for file in lines} | {
        f"{file['filename']}.metadata" for file in lines if file["core-metadata"]
    }


def test_a_mirror_of_the_hub_has_all_that_the_hub_knows(hub: RunningHub, mirror: Mirror) -> None:
    for made in (wheel("ours", "1.0"), sdist("ours", "1.0")):
        assert upload(hub, made).status_code == 200

    mirror.run()

    assert mirror.files == known_files(hub)
    assert {"ours-1.0-py3-none-any.whl", "ours-1.0.tar.gz", "lib-2.0-py3-none-any.whl"} <= mirror.files


def test_a_mirror_follows_what_is_added_and_what_is_deleted_and_asks_for_no_more(
    hub: RunningHub, mirror: Mirror, upstream: Upstream
) -> None:
    def take_back(connection: Connection) -> None:
        known = find_project(connection, ProjectName("ours"))
        assert known is not None
        delete(connection, known, "1.0", "a mistake", BY)
        announce(connection, DOUBTED)

    assert upload(hub, wheel("ours", "1.0")).status_code == 200
    mirror.run()
    first = mirror.serial

    added = upstream.add("lib", "2.1").filename
    hub.page("lib")
    assert upload(hub, wheel("ours", "1.1")).status_code == 200
    output = mirror.run()
    second = mirror.serial

    assert "2 packages to sync" in output
    assert added in mirror.files
    assert mirror.listed("ours") == {"ours-1.0-py3-none-any.whl", "ours-1.1-py3-none-any.whl"}

    hub.built.hub.committer.write(take_back)
    output = mirror.run()

    assert "1 packages to sync" in output
    assert mirror.listed("ours") == {"ours-1.1-py3-none-any.whl"}
    assert first < second < mirror.serial
    assert "0 packages to sync" in mirror.run()


def test_a_mirror_follows_the_rules_of_a_hub_that_starts_with_others(
    machine: Machine, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url]}) as hub:
        for project in ("app", "lib"):
            hub.page(project)
        Mirror(machine, hub).run()

    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url], "deny": ["lib<2"]}) as hub:
        mirror = Mirror(machine, hub)
        output = mirror.run()

        assert "1 packages to sync" in output
        assert mirror.listed("lib") == {"lib-2.0-py3-none-any.whl"}
        assert "0 packages to sync" in mirror.run()


def test_a_mirror_never_takes_half_a_page_for_the_whole(hub: RunningHub, mirror: Mirror, upstream: Upstream) -> None:
    """While its upstream is away the hub lists what is here; the mirror waits, and has all of it afterwards."""
    upstream.stop()
    assert "Stale serial" in mirror.try_to_run()
    upstream.start()
    hub.wait_until(lambda: "x-pypi-last-serial" in hub.get("/simple/app/").headers, 30)

    mirror.run()

    assert mirror.files == known_files(hub)


def test_what_a_mirror_has_installs(hub: RunningHub, mirror: Mirror, pip: Pip) -> None:
    mirror.run()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Nobody reads it."""

    handler = partial(Quiet, directory=str(mirror.folder / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        index = f"http://127.0.0.1:{server.server_address[1]}/simple/"
        _, environment = pip.try_install(index, "app")
        server.shutdown()

    assert environment.installed() == INSTALLED


def test_a_hub_that_is_not_for_everybody_is_mirrored_with_a_token(
    machine: Machine, upstream: Upstream, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with RunningHub(data, index={"upstreams": [upstream.url], "read": "users"}) as hub:
        user, token = token_of(hub, "mirror", [Scope("index:read")])
        assert hub.client.get(f"{hub.base}/simple/lib/", auth=(user, token)).status_code == 200
        address = hub.base.replace("://", f"://{user}:{token}@")
        more = f"master = {address}\ndownload-mirror = {address}\ndownload-mirror-no-fallback = true\n"

        mirror = Mirror(machine, hub, more)
        mirror.run()

    assert mirror.listed("lib") == {f"lib-{version}-py3-none-any.whl" for version in ("1.0", "1.5", "2.0")}
    assert mirror.listed("lib") <= mirror.files
