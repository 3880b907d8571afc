"""What fits a Python on a platform, in the order in which uv prefers it (uv itself is asked in tests/clients)."""

from __future__ import annotations

import sys

import pytest

from creamery.client import Target, UnusableInput

OLD = ["manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64"]


def order(target: Target, *tags: str) -> list[str]:
    """Those that fit, the best first."""
    ranks = {str(tag): rank for rank, tag in reversed(list(enumerate(target.tags())))}
    return sorted((tag for tag in tags if tag in ranks), key=ranks.__getitem__)


@pytest.mark.parametrize(
    ("platform", "fitting"),
    [
        ("linux", ["manylinux_2_28_x86_64", *OLD]),
        ("x86_64-manylinux2014", OLD),
        ("x86_64-manylinux_2_34", ["manylinux_2_34_x86_64", "manylinux_2_28_x86_64", *OLD]),
        ("aarch64-unknown-linux-gnu", ["manylinux_2_17_aarch64"]),
        ("aarch64-unknown-linux-musl", ["musllinux_1_2_aarch64", "musllinux_1_1_aarch64"]),
        ("windows", ["win_amd64"]),
        ("i686-pc-windows-msvc", ["win32"]),
        ("aarch64-pc-windows-msvc", ["win_arm64"]),
        ("macos", ["macosx_13_0_arm64", "macosx_11_0_arm64", "macosx_11_0_universal2"]),
        ("x86_64-apple-darwin", ["macosx_11_0_universal2", "macosx_10_9_x86_64"]),
    ],
)
def test_a_platform_takes_what_it_can_run_and_the_newest_first(platform: str, fitting: list[str]) -> None:
    offered = [
        *(f"manylinux_2_{minor}_x86_64" for minor in (17, 28, 34)),
        *("manylinux2014_x86_64", "linux_x86_64", "manylinux_2_17_aarch64", "win_amd64", "win32", "win_arm64"),
        *("musllinux_1_1_aarch64", "musllinux_1_2_aarch64", "musllinux_1_3_aarch64", "macosx_10_9_x86_64"),
        *("macosx_11_0_universal2", "macosx_11_0_arm64", "macosx_13_0_arm64", "macosx_14_0_arm64"),
    ]

    found = order(Target("3.12", platform), *(f"cp312-cp312-{name}" for name in offered))

    assert found == [f"cp312-cp312-{name}" for name in fitting]


def test_a_python_takes_its_own_abi_before_the_stable_one_before_none() -> None:
    tags = ["py3-none-any", "cp310-abi3-win_amd64", "cp312-abi3-win_amd64", "cp312-cp312-win_amd64"]
    foreign = ["cp311-cp311-win_amd64", "cp313-abi3-win_amd64", "py2-none-any", "cp312-cp312t-win_amd64"]

    assert order(Target("3.12.4", "windows"), *tags, *foreign) == tags[::-1]


def test_a_target_that_nobody_names_is_this_python_on_this_machine() -> None:
    here = Target()

    assert here.environment()["python_version"] == f"3.{sys.version_info[1]}"
    assert here.environment()["sys_platform"] == sys.platform
    assert f"cp3{sys.version_info[1]}-none-any" in map(str, here.tags())
    assert here.uv_options() == ["--python", sys.executable, "--no-python-downloads"]


def test_markers_are_those_of_the_target() -> None:
    found = Target("3.13", "windows").environment()

    assert (found["os_name"], found["sys_platform"], found["platform_system"]) == ("nt", "win32", "Windows")
    assert (found["python_version"], found["python_full_version"]) == ("3.13", "3.13.0")
    assert found["platform_machine"] == "AMD64"
    assert Target("3.13.2").environment()["python_full_version"] == "3.13.2"
    assert Target(platform="macos").environment()["platform_machine"] == "arm64"
    assert Target(platform="aarch64-manylinux_2_28").environment()["platform_machine"] == "aarch64"


@pytest.mark.parametrize("python", ["2.7", "3", "3.12t", "3.12rc1", "3.100", "python3.12", "", "³.12"])
def test_what_is_no_python_is_refused(python: str) -> None:
    with pytest.raises(UnusableInput, match=r"is no Python to fetch for\. Write it like 3\.12\."):
        Target(python)


@pytest.mark.parametrize(
    "platform", ["beos", "", "linux ", "x86_64", "x86_64-manylinux_3_1", "Linux", "mips-apple-darwin"]
)
def test_what_is_no_platform_is_refused(platform: str) -> None:
    with pytest.raises(UnusableInput, match="is no platform to fetch for"):
        Target("3.12", platform)
