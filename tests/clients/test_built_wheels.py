"""Two machines with pip and uv alone: what one has built, the other installs; and no lock ever names it by accident."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Scope
from tests.clients.conftest import hub_over
from tests.clients.machine import Environment, Machine
from tests.clients.programs import Client, Pip, Poetry, Uv, client_called, install
from tests.doubles.building import build_of, put_entry
from tests.doubles.distributions import Distribution
from tests.doubles.native import native_sdist
from tests.doubles.running import JSON, RunningHub
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

SOURCE = native_sdist("native", "1.0")
ASKING = 'pip/26.3 {"installer":{"name":"pip","version":"26.3"}}'
MACHINE = platform.machine()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """One project, which has compiled code and no wheel."""
    with Upstream() as started:
        started.add_file("native", "1.0", SOURCE)
        yield started


@pytest.fixture
def builder(tmp_path: Path) -> Pip:
    """The machine that builds."""
    (tmp_path / "builder").mkdir()
    made = client_called("pip", Machine(tmp_path / "builder"))
    assert isinstance(made, Pip)
    return made


@pytest.fixture
def hub(upstream: Upstream, builder: Pip, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that has the wheel, as the builder has pushed it."""
    with hub_over(upstream, tmp_path) as started:
        build_and_push(builder, started)
        yield started


def build_and_push(builder: Pip, hub: RunningHub) -> None:
    folder = builder.machine.home / "dist"
    builder.succeed("wheel", "--no-deps", "--index-url", f"{hub.base}/i/", "--wheel-dir", folder, "native")
    (made,) = folder.glob("*.whl")
    assert made.name.endswith(f"linux_{MACHINE}.whl")
    token = token_of(hub, "builder", [Scope("wheels:push")])[1]
    creamery = Path(sys.executable).parent / "creamery"
    said = builder.machine.succeed(creamery, "wheels", "push", made, CREAMERY_HUB=hub.base, CREAMERY_TOKEN=token)
    assert said.strip().endswith(f"Pushed {made.name}.")
    hub.wait_until(lambda: listed(hub) != [])


def listed(hub: RunningHub) -> list[str]:
    page = hub.get("/w/i/native/", accept=JSON, user_agent=ASKING).json()
    return [file["filename"] for file in page["files"] if file["filename"].endswith(".whl")]


def without_a_compiler(client: Client) -> Path:
    """From here on whoever compiles on this machine fails."""
    folder = client.machine.home / "bin"
    folder.mkdir()
    (folder / "gcc").write_text("#!/bin/sh\necho this machine has no compiler >&2\nexit 1\n")
    (folder / "gcc").chmod(0o755)
    variables = client.machine.variables

    def with_ours_first(**more: str) -> dict[str, str]:
        found = variables(**more)
        return {**found, "PATH": f"{folder}{os.pathsep}{found['PATH']}"}

    client.machine.variables = with_ours_first  # type: ignore[method-assign]
    return folder


@pytest.mark.parametrize("name", ["pip", "pip-2023", "pip-debian", "uv", "uv-first"])
def test_what_one_machine_has_built_the_other_installs_without_a_compiler(
    name: str, hub: RunningHub, machine: Machine
) -> None:
    client = client_called(name, machine)
    without_a_compiler(client)

    failed, _ = client.try_install(f"{hub.base}/i/", "native")
    environment = install(client, f"{hub.base}/w/i/", "native")

    assert failed.code != 0
    assert environment.installed() == {"native": "1.0"}
    assert (environment.packages / "native" / "answer.so").is_file()


def test_uv_locks_and_syncs_what_the_project_has_published(hub: RunningHub, uv: Uv) -> None:
    asked, pins = uv.machine.home / "asked.in", uv.machine.home / "pins.txt"
    asked.write_text("native\n")
    folder = uv.machine.project(
        "locked",
        '[project]\nname = "trial"\nversion = "0.1"\nrequires-python = ">=3.11"\ndependencies = ["native"]\n'
        f'[[tool.uv.index]]\nurl = "{hub.base}/w/i/"\ndefault = true\n',
    )

    uv.succeed("lock", folder=folder)
    uv.succeed("sync", folder=folder)
    index = ("--default-index", f"{hub.base}/w/i/")
    uv.succeed("--no-config", "pip", "compile", *index, "--generate-hashes", "--output-file", pins, asked)
    uv.machine.forget()
    install(uv, f"{hub.base}/w/i/", "native")
    uv.succeed("lock", "--upgrade", folder=folder)

    lock = (folder / "uv.lock").read_text()
    assert ".whl" not in lock
    assert SOURCE.filename in lock
    assert Environment(folder / ".venv").installed() == {"native": "1.0"}
    assert pins.read_text().count("--hash") == 1
    assert SOURCE.sha256 in pins.read_text()


def test_what_is_pinned_by_its_hash_is_built(hub: RunningHub, uv: Uv, tmp_path: Path) -> None:
    pins = uv.machine.home / "pins.txt"
    pins.write_text(f"native==1.0 --hash=sha256:{SOURCE.sha256}\n")
    assert install(uv, f"{hub.base}/w/i/", "--require-hashes", "-r", str(pins)).installed() == {"native": "1.0"}

    without_a_compiler(uv)
    refused, _ = uv.try_install(f"{hub.base}/w/i/", "--require-hashes", "-r", str(pins))
    assert refused.code != 0


@pytest.mark.parametrize(
    ("target", "loads"),
    [("linux-gnu", True), ("manylinux_2_36", True), ("manylinux_2_17", True), ("linux-musl", False)],
)
def test_uv_takes_it_for_machines_that_can_load_it_alone(target: str, hub: RunningHub, uv: Uv, *, loads: bool) -> None:
    name = f"{MACHINE}-unknown-{target}" if target.startswith("linux") else f"{MACHINE}-{target}"

    ran, environment = uv.try_install(f"{hub.base}/w/i/", "--python-platform", name, "--only-binary", ":all:", "native")

    assert (ran.code == 0) == loads, ran.output
    assert environment.installed() == ({"native": "1.0"} if loads else {})


@pytest.mark.parametrize(
    ("platform_tag", "loads"), [("manylinux_2_5", True), ("musllinux_1_2", False), ("macosx_11_0", False)]
)
def test_pip_takes_it_for_machines_that_can_load_it_alone(
    platform_tag: str, hub: RunningHub, pip: Pip, *, loads: bool
) -> None:
    folder = pip.machine.home / "files"
    options = ("--only-binary", ":all:", "--no-deps", "--platform", f"{platform_tag}_{MACHINE}", "--dest", folder)

    ran = pip.run("download", "--index-url", f"{hub.base}/w/i/", *options, "native")

    assert (ran.code == 0) == loads, ran.output


def test_a_lock_of_pips_that_names_a_built_wheel_installs_after_all_others_gave_way(
    upstream: Upstream, builder: Pip, tmp_path: Path, machine: Machine
) -> None:
    newest = client_called("pip", machine)
    assert isinstance(newest, Pip)
    lock = machine.home / "pylock.toml"
    with hub_over(upstream, tmp_path, cache={"max_bytes": 0}) as hub:
        build_and_push(builder, hub)
        newest.succeed("lock", "--index-url", f"{hub.base}/w/i/", "--output", lock, "native")
        assert "/w/f/" in lock.read_text()

        for _ in range(3):
            hub.built.hub.blobs.evict()
            hub.built.hub.blobs.sweep()
        without_a_compiler(newest)
        environment = machine.environment()
        newest.succeed("install", "-r", lock, environment=environment)

        assert environment.installed() == {"native": "1.0"}


def test_poetry_sees_what_the_project_has_published(hub: RunningHub, poetry: Poetry) -> None:
    environment = install(poetry, f"{hub.base}/w/i/", "native")

    assert environment.installed() == {"native": "1.0"}
    assert ".whl" not in (poetry.machine.home / "poetry-project" / "poetry.lock").read_text()


def test_creamery_installs_with_uv_and_runs_others_through_the_hub(hub: RunningHub, uv: Uv) -> None:
    machine, creamery = uv.machine, Path(sys.executable).parent / "creamery"
    without_a_compiler(uv)
    one, two = machine.environment(), machine.environment()

    machine.succeed(creamery, "install", "-c", hub.base, "--python", one.python, "native", UV=str(uv.program))
    pip = ("-m", "pip", "--python", two.python, "install", "--no-cache-dir", "native")
    machine.succeed(
        creamery, "run", "-c", hub.base, "--", client_called("pip", machine).program.parent / "python", *pip
    )

    assert one.installed() == two.installed() == {"native": "1.0"}


def test_creamery_installs_through_a_hub_that_lets_users_alone_read(
    upstream: Upstream, builder: Pip, tmp_path: Path, uv: Uv
) -> None:
    creamery = Path(sys.executable).parent / "creamery"
    closed = {"index": {"upstreams": [upstream.url], "read": "users"}, "wheels": {"read": "users"}}
    with RunningHub(tmp_path / "closed", **closed) as hub:
        token = token_of(hub, "alice", [Scope("index:read"), Scope("wheels:read")])[1]
        environment = uv.machine.environment()
        words = ("install", "-c", hub.base, "--python", environment.python, "native")

        refused = uv.machine.run(creamery, *words, UV=str(uv.program))
        said = uv.machine.succeed(creamery, *words, UV=str(uv.program), CREAMERY_TOKEN=token)

        assert refused.code == 1, refused.output
        assert environment.installed() == {"native": "1.0"}
        assert token not in said


def test_a_lock_that_was_enriched_installs_without_a_compiler_and_without_us(
    hub: RunningHub, uv: Uv, tmp_path: Path
) -> None:
    machine, creamery = uv.machine, Path(sys.executable).parent / "creamery"
    asked, lock = machine.home / "asked.in", machine.home / "pylock.toml"
    asked.write_text("native\n")
    index = ("--default-index", f"{hub.base}/i/")
    uv.succeed("--no-config", "pip", "compile", *index, "--format", "pylock.toml", "--output-file", lock, asked)
    plain = lock.read_text()

    nothing = machine.succeed(creamery, "lock", "--enrich", lock, CREAMERY_HUB=hub.base)
    made = next((tmp_path / "builder" / "home" / "dist").glob("*.whl"))
    entry = Distribution(made.name, made.read_bytes(), b"")
    put_entry(hub, entry, token_of(hub, "builder", [Scope("wheels:push")]), build_of(SOURCE.sha256))
    hub.wait_until(lambda: len(hub.get("/w/v1/projects/native").json()["wheels"]) == 2)
    hub.wait_until(
        lambda: all(w["listing"]["state"] == "listed" for w in hub.get("/w/v1/projects/native").json()["wheels"])
    )
    said = machine.succeed(creamery, "lock", "--enrich", lock, CREAMERY_HUB=hub.base)
    without_a_compiler(uv)
    one, two = machine.environment(), machine.environment()
    uv.succeed("--no-config", "pip", "sync", "--preview", "--python", one.python, lock)
    pip = client_called("pip", machine)
    assert isinstance(pip, Pip)
    pip.succeed("install", "-r", lock, environment=two)

    assert "built nothing that this lock file lacks" in nothing
    assert "manylinux" in said
    assert plain.rstrip("\n") in lock.read_text()
    assert one.installed() == two.installed() == {"native": "1.0"}
