"""`creamery index prefetch` fetches exactly what uv then installs: uv itself is the judge."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import hub_over
from tests.clients.machine import Machine
from tests.clients.programs import Uv
from tests.doubles.desk import Desk
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

CREAMERY = Path(sys.executable).parent / "creamery"

NONE = "py3-none-any"
GLIBC, PLATFORMS = (5, 12, 17, 24, 28, 31, 34, 39), ("win_amd64", "macosx_11_0_arm64", "musllinux_1_2_aarch64")
MACS = ("10_9_universal2", "11_0_arm64", "12_0_arm64", "13_0_universal2", "14_0_arm64")
OLD = "manylinux_2_17_x86_64.manylinux2014_x86_64"
WHEELS: dict[str, tuple[str, ...]] = {
    "everywhere": (*(f"{p}-{p}-{n}" for p in ("cp311", "cp312", "cp313") for n in (OLD, *PLATFORMS)), NONE),
    "stable-abi": (*(f"{tag}_x86_64" for tag in ("cp39-abi3-manylinux_2_28", "cp312-cp312-manylinux_2_17")), NONE),
    "c-libraries": (*(f"cp312-cp312-manylinux_2_{minor}_x86_64" for minor in GLIBC), NONE),
    "old-names": (*(f"cp312-cp312-{name}_x86_64" for name in ("manylinux1", "manylinux2014", "linux")), NONE),
    "many-tags": ("cp312-cp312-manylinux_2_17_x86_64.manylinux_2_34_x86_64", "cp312-cp312-manylinux_2_24_x86_64", NONE),
    "macs": (*(f"cp312-cp312-macosx_{version}" for version in MACS), NONE),
    "rebuilt": (NONE, f"2-{NONE}", f"10-{NONE}"),
    "pure": (NONE, "py2.py3-none-any", "py312-none-any", "cp312-none-any", "py3-none-win_amd64"),
    "musl": (*(f"cp312-cp312-{name}_aarch64" for name in ("musllinux_1_1", "musllinux_1_2", "manylinux_2_17")), NONE),
    "no-abi": ("py3-none-manylinux_2_17_x86_64", "py3-none-macosx_11_0_arm64", "cp312-none-win_amd64", NONE),
}
"""Ten projects of different shapes, and the wheels of each; all have an sdist too."""

FOR = [
    (),
    ("--python", "3.12"),
    ("--python", "3.12", "--platform", "linux"),
    ("--python", "3.12", "--platform", "x86_64-manylinux_2_34"),
    ("--python", "3.13", "--platform", "x86_64-manylinux2014"),
    ("--python", "3.12", "--platform", "windows"),
    ("--python", "3.12", "--platform", "macos"),
    ("--python", "3.12", "--platform", "x86_64-apple-darwin"),
    ("--python", "3.11.4", "--platform", "aarch64-unknown-linux-musl"),
    ("--python", "3.12", "--platform", "aarch64-unknown-linux-musl"),
    ("--python", "3.12", "--platform", "aarch64-unknown-linux-gnu"),
]


def shapes(upstream: Upstream) -> None:
    """Projects whose files are for some, with dependencies for some, and releases that nobody takes unasked."""
    for name, tags in WHEELS.items():
        for tag in tags:
            upstream.add(name, "1.0", tag=tag, requires=["leaf; python_version >= '3.12'", "win; os_name == 'nt'"])
        upstream.add(name, "1.0", "sdist")
        upstream.add(name, "0.9", tag=tags[-1])
    upstream.add("leaf", "1.0", requires=["twig[green]>=1; sys_platform == 'linux'"])
    upstream.add("leaf", "2.0", yanked="broken")
    upstream.add("leaf", "3.0rc1")
    upstream.add("leaf", "4.0", requires_python=">=3.99")
    upstream.add("leaf", "5.0", "sdist")
    upstream.add("twig", "1.0", requires=["paint; extra == 'green'"])
    upstream.add("paint", "1.0")
    upstream.add("win", "1.0", tag="py3-none-win_amd64")


@pytest.fixture(scope="module")
def varied() -> Iterator[Upstream]:
    with Upstream() as upstream:
        shapes(upstream)
        yield upstream


def taken(upstream: Upstream) -> list[str]:
    """Files that were fetched since the upstream last forgot, each as often as it was."""
    return sorted(
        seen.path.rpartition("/")[2] for seen in upstream.requests() if seen.path.endswith((".whl", ".tar.gz"))
    )


def prefetch(machine: Machine, hub: RunningHub, *arguments: str | Path, command: str = "prefetch") -> str:
    """What the command wrote, which must end well."""
    token = Desk(hub, "index:read").token
    return machine.succeed(
        CREAMERY, "index", command, *arguments, folder=None, CREAMERY_HUB=hub.base, CREAMERY_TOKEN=token
    )


def uv_installs(uv: Uv, hub: RunningHub, *arguments: str | Path) -> None:
    """Install into a folder, from nothing, with the names that uv has for the options."""
    named = {"--python": "--python-version", "--platform": "--python-platform"}
    options = ("--no-cache", "--target", uv.machine.home / "target", "--python", sys.executable)
    given = [named.get(str(argument), argument) for argument in arguments]
    uv.succeed("--no-config", "pip", "install", "--default-index", f"{hub.base}/simple/", *options, *given)


@pytest.mark.parametrize("target", FOR, ids=" ".join)
def test_what_is_fetched_is_what_uv_takes_and_nothing_else(
    varied: Upstream, uv: Uv, machine: Machine, tmp_path: Path, target: tuple[str, ...]
) -> None:
    (tmp_path / "other").mkdir()
    varied.forget()
    with hub_over(varied, tmp_path) as hub:
        prefetch(machine, hub, *WHEELS, *target)
    fetched = taken(varied)

    varied.forget()
    with hub_over(varied, tmp_path / "other") as hub:
        uv_installs(uv, hub, "--no-build", *WHEELS, *target)

    assert fetched == taken(varied)
    assert len(fetched) >= len(WHEELS)


@pytest.mark.parametrize("hashed", [False, True])
def test_a_requirements_file_with_hashes_or_without_is_fetched_as_it_installs(
    varied: Upstream, uv: Uv, machine: Machine, tmp_path: Path, hashed: bool
) -> None:
    """A hash of a file that fits less well is the one that counts."""
    (tmp_path / "other").mkdir()
    upstream, listed = varied, machine.home / "requirements.txt"
    with hub_over(varied, tmp_path) as hub:
        pure = next(f["hashes"]["sha256"] for f in hub.page("everywhere")["files"] if "1.0-py3" in f["filename"])
        lines = [f"everywhere==1.0 --hash=sha256:{pure}" if hashed else "everywhere<1", "--only-binary=:all:"]
        listed.write_text("\n".join(lines) + "\n")
        options = ("-r", listed, "--python", "3.11", "--platform", "linux")
        upstream.forget()
        prefetch(machine, hub, *options)
    fetched = taken(upstream)

    upstream.forget()
    with hub_over(upstream, tmp_path / "other") as hub:
        uv_installs(uv, hub, *options)

    assert fetched == taken(upstream)
    assert fetched == (["everywhere-1.0-py3-none-any.whl"] if hashed else ["everywhere-0.9-py3-none-any.whl"])


def test_a_universal_lock_file_is_fetched_for_one_platform(
    varied: Upstream, uv: Uv, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    target = ("--python", "3.12", "--platform", "windows")
    project = machine.project(
        "app", f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = {[*WHEELS]}\n'
    )
    with hub_over(varied, tmp_path) as hub:
        options = ("--default-index", f"{hub.base}/simple/", "--no-cache", "--no-build", "--python", sys.executable)
        lock = machine.home / "pylock.toml"
        exported = ("--format", "pylock.toml", "--no-emit-project", "-o", lock)
        uv.succeed("--no-config", "export", *options, *exported, folder=project)
        varied.forget()
        prefetch(machine, hub, "-r", lock, *target)
    fetched = taken(varied)

    varied.forget()
    with hub_over(varied, tmp_path / "other") as hub:
        uv_installs(uv, hub, "--no-build", *WHEELS, *target)

    assert fetched == taken(varied)


def test_what_was_pinned_installs_without_its_upstream_after_everything_else_was_evicted(
    upstream: Upstream, uv: Uv, machine: Machine, tmp_path: Path
) -> None:
    shapes(upstream)
    with hub_over(upstream, tmp_path, cache={"max_bytes": 0}) as hub:
        prefetch(machine, hub, *WHEELS, command="pin")
        hub.built.hub.blobs.evict()
        upstream.stop()

        uv_installs(uv, hub, "--no-build", *WHEELS)

        packages = {path.name.partition("-")[0] for path in (machine.home / "target").glob("*.dist-info")}
    assert {name.replace("-", "_") for name in WHEELS} <= packages


def test_with_build_a_package_without_wheels_is_fetched_as_it_is_installed(
    upstream: Upstream, uv: Uv, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with hub_over(upstream, tmp_path) as hub:
        said = prefetch(machine, hub, "app", "--build")
        assert hub.is_here("plug_in-0.3.tar.gz")
    fetched = set(taken(upstream))

    upstream.forget()
    with hub_over(upstream, tmp_path / "other") as hub:
        uv_installs(uv, hub, "app")

    assert fetched == set(taken(upstream))
    assert "There are 3 of 3 files" in said


def test_a_closed_hub_is_asked_as_whoever_the_token_is(
    upstream: Upstream, uv: Uv, machine: Machine, tmp_path: Path
) -> None:
    index = {"upstreams": [{"url": upstream.url, "files": ()}], "read": "users"}
    with RunningHub(tmp_path / "data", index=index) as hub:
        said = prefetch(machine, hub, "lib")

    assert "There are 1 of 1 file: 1 fetched" in said
