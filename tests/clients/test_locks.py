"""What clients write down, pins and lock files, installs later: with the upstream gone, and at another address."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import INSTALLED, hub_over
from tests.clients.machine import Environment
from tests.clients.programs import Pip, Poetry, Uv, install
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed


def test_pins_with_hashes_install_with_the_upstream_gone(pip: Pip, upstream: Upstream, tmp_path: Path) -> None:
    made = upstream.add("lib", "1.5")
    pins = pip.machine.home / "requirements.txt"
    pins.write_text(f"lib==1.5 --hash=sha256:{made.sha256}\n")
    wrong = pip.machine.home / "wrong.txt"
    wrong.write_text(f"lib==1.5 --hash=sha256:{'0' * 64}\n")

    with hub_over(upstream, tmp_path) as hub:
        install(pip, f"{hub.base}/i/", "--require-hashes", "-r", str(pins))
        upstream.stop()
        environment = install(pip, f"{hub.base}/i/", "--require-hashes", "-r", str(pins))
        refused, _ = pip.try_install(f"{hub.base}/i/", "--require-hashes", "-r", str(wrong))

    assert environment.installed() == {"lib": "1.5"}
    assert refused.code != 0


def test_pip_downloads_what_can_be_installed_offline(pip: Pip, upstream: Upstream, tmp_path: Path) -> None:
    folder = pip.machine.home / "files"

    with hub_over(upstream, tmp_path) as hub:
        pip.succeed("download", "--dest", folder, "--index-url", f"{hub.base}/i/", "app")
    environment = pip.machine.environment()
    pip.succeed("install", "--no-index", "--find-links", folder, "app", environment=environment)

    assert environment.installed() == INSTALLED


def test_pins_of_uv_install_with_pip(uv: Uv, upstream: Upstream, tmp_path: Path) -> None:
    asked = uv.machine.home / "asked.in"
    asked.write_text("app\n")
    pins = uv.machine.home / "pins.txt"

    with hub_over(upstream, tmp_path) as hub:
        index = ("--default-index", f"{hub.base}/i/")
        uv.succeed("--no-config", "pip", "compile", *index, "--generate-hashes", "--output-file", pins, asked)
        environment = install(uv, f"{hub.base}/i/", "--require-hashes", "-r", str(pins))

    assert environment.installed() == INSTALLED
    assert "127.0.0.1" not in "".join(line for line in pins.read_text().splitlines() if not line.startswith("#"))


def uv_project(uv: Uv, index: str) -> Path:
    """A project of uv's with the hub in PyPI's place."""
    return uv.machine.project(
        "uv-project",
        '[project]\nname = "trial"\nversion = "0.1"\nrequires-python = ">=3.11"\ndependencies = ["app"]\n'
        f'[[tool.uv.index]]\nurl = "{index}"\ndefault = true\n',
    )


def synced(folder: Path) -> dict[str, str]:
    """What uv installed into the project's own environment."""
    return Environment(folder / ".venv").installed()


def test_a_lock_file_of_uv_installs_with_the_upstream_gone(uv: Uv, upstream: Upstream, tmp_path: Path) -> None:
    with hub_over(upstream, tmp_path) as hub:
        folder = uv_project(uv, f"{hub.base}/i/")
        uv.succeed("sync", folder=folder)
        upstream.stop()
        uv.machine.forget()
        uv.succeed("venv", "--clear", folder=folder)

        uv.succeed("sync", "--frozen", folder=folder)

    assert synced(folder) == INSTALLED


def test_uv_resolves_a_project_again_with_the_upstream_gone(uv: Uv, upstream: Upstream, tmp_path: Path) -> None:
    """For every platform: what only another one needs must be listed, though its bytes never came."""
    with hub_over(upstream, tmp_path) as hub:
        folder = uv_project(uv, f"{hub.base}/i/")
        uv.succeed("sync", folder=folder)
        upstream.stop()
        uv.machine.forget()
        uv.succeed("venv", "--clear", folder=folder)
        (folder / "uv.lock").unlink()
        uv.succeed("sync", folder=folder)

    assert synced(folder) == INSTALLED
    assert "windows-only" in (folder / "uv.lock").read_text()


def test_a_lock_file_of_uv_follows_the_hub_to_another_address(uv: Uv, upstream: Upstream, tmp_path: Path) -> None:
    """uv writes whole addresses, whatever the page has; it puts in the new ones, and keeps versions and hashes."""
    with hub_over(upstream, tmp_path) as hub:
        before = hub.base
        folder = uv_project(uv, f"{hub.base}/i/")
        uv.succeed("sync", folder=folder)
        upstream.stop()
    locked = (folder / "uv.lock").read_text()

    with hub_over(upstream, tmp_path) as hub:
        uv_project(uv, f"{hub.base}/i/")
        uv.machine.forget()
        uv.succeed("venv", "--clear", folder=folder)
        uv.succeed("sync", folder=folder)

    assert synced(folder) == INSTALLED
    assert (folder / "uv.lock").read_text() == locked.replace(before, hub.base)


def test_a_lock_file_of_poetry_installs_with_the_upstream_gone(
    poetry: Poetry, upstream: Upstream, tmp_path: Path
) -> None:
    with hub_over(upstream, tmp_path) as hub:
        folder = poetry.project(f"{hub.base}/i/", "app")
        poetry.succeed("lock", folder=folder, environment=poetry.machine.environment())
        hub.download("app", "app-1.1-py3-none-any.whl")
        hub.download("lib", "lib-1.5-py3-none-any.whl")
        hub.download("plug-in", "plug_in-0.3.tar.gz")
        upstream.stop()
        poetry.machine.forget()
        environment = poetry.machine.environment()

        poetry.succeed("install", folder=folder, environment=environment)

    assert environment.installed() == INSTALLED
    for made in ("app-1.1-py3-none-any.whl", "lib-1.5-py3-none-any.whl", "plug_in-0.3.tar.gz"):
        assert made in (folder / "poetry.lock").read_text()
