"""From what the hook says of a Python to the key of a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from creamery.client.asking import Asked, CannotTell, read_asked
from creamery.client.source import Source
from creamery.contract import Digest, ProjectName

SOURCE = Source(Digest("5" * 64), ProjectName("acme"), "1.0", frozenset({ProjectName("cffi")}), (), is_checkout=False)
LINUX = {
    "implementation": "cpython",
    "version": [3, 11],
    "suffix": ".cpython-311-x86_64-linux-gnu.so",
    "system": "linux",
    "machine": "x86_64",
    "bits": 64,
    "libc": "glibc 2.36",
    "paths": [],
}


def asked(
    source: Source = SOURCE, settings: Any = None, environment: dict[str, str] | None = None, **python: Any
) -> Asked:
    question = {"python": {**LINUX, **python}, "environment": environment or {}, "backend": "setuptools.build_meta"}
    return read_asked(question, source, settings, ())


@pytest.mark.parametrize(
    ("python", "tags", "platform"),
    [
        ({}, ("cp311", "cp311"), ("linux", "x86_64", "glibc 2.36")),
        ({"version": [3, 13], "suffix": ".cpython-313t-x86_64-linux-gnu.so"}, ("cp313", "cp313t"), None),
        ({"suffix": ".cpython-311d-x86_64-linux-gnu.so"}, ("cp311", "cp311d"), None),
        (
            {"version": [3, 8], "suffix": ".cpython-38-aarch64-linux-gnu.so", "machine": "aarch64"},
            ("cp38", "cp38"),
            None,
        ),
        (
            {"implementation": "pypy", "version": [3, 10], "suffix": ".pypy310-pp73-x86_64-linux-gnu.so"},
            ("pp310", "pypy310_pp73"),
            None,
        ),
        ({"bits": 32}, ("cp311", "cp311"), ("linux", "i686", "glibc 2.36")),
        (
            {"system": "win32", "machine": "AMD64", "suffix": ".cp312-win_amd64.pyd", "version": [3, 12], "libc": None},
            ("cp312", "cp312"),
            ("windows", "amd64", None),
        ),
    ],
)
def test_a_python_has_its_tags(
    python: dict[str, Any], tags: tuple[str, str], platform: tuple[str, str, str | None] | None
) -> None:
    build = asked(**python).build

    assert (build.python, build.abi) == tags
    if platform is not None:
        assert (build.system, build.architecture, build.libc) == platform


def test_a_mac_has_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creamery.client.asking.platform.mac_ver", lambda: ("14.5.1", ("", "", ""), "arm64"))

    build = asked(system="darwin", machine="arm64", suffix=".cpython-311-darwin.so", libc=None).build

    assert (build.system, build.architecture, build.libc) == ("macos", "arm64", "macos 14.5")


def test_musl_is_asked_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loader = tmp_path / "ld-musl-x86_64.so.1"
    loader.write_text("#!/bin/sh\necho 'musl libc (x86_64)' >&2\necho 'Version 1.2.4' >&2\nexit 1\n")
    loader.chmod(0o755)
    monkeypatch.setattr("creamery.client.asking.LOADERS", tmp_path)

    assert asked(libc=None, suffix=".cpython-311-x86_64-linux-musl.so").build.libc == "musl 1.2"


@pytest.mark.parametrize(
    "python",
    [
        {"implementation": "graalpy"},
        {"suffix": ".so"},
        {"system": "plan9"},
        {"version": "3.11"},
        {"paths": None},
        {"libc": "uclibc 1"},
    ],
)
def test_what_nobody_can_name_has_no_key(python: dict[str, Any]) -> None:
    with pytest.raises(CannotTell):
        asked(**python)


def test_settings_and_variables_are_in_the_key_as_far_as_they_count() -> None:
    plain = asked()

    assert asked(environment={"CFLAGS": "-g", "HOME": "/x", "LANG": "C"}).key == plain.key
    assert asked(settings={}).key == plain.key
    others = [
        asked(settings={"x": "y"}),
        asked(settings={"x": ["y", "z"]}),
        asked(environment={"CFLAGS": "-O3"}),
        asked(environment={"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_ACME": "2"}),
        asked(environment={"LIBRARY_PATH": "/opt"}),
    ]
    assert len({each.key for each in [plain, *others]}) == 6
    assert not any(each.build.is_neutral for each in others)
    declaring = Source(SOURCE.digest, None, None, frozenset(), ("ACME_FAST",), is_checkout=False)
    assert asked(declaring, environment={"ACME_FAST": "1"}).build.environment == {"ACME_FAST": "1"}


def test_compiled_requirements_that_it_is_bound_to_are_in_the_key(tmp_path: Path) -> None:
    for name, pure in {
        "numpy-2.1.0": "false",
        "cffi-1.17": "false",
        "setuptools-80": "true",
        "ninja-1": "false",
    }.items():
        folder = tmp_path / "site-packages" / f"{name}.dist-info"
        folder.mkdir(parents=True)
        (folder / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\n")

    found = asked(paths=[str(tmp_path / "site-packages")])

    assert found.build.requirements == {"numpy": "2.1.0", "cffi": "1.17"}
    assert set(found.requirements) == {"numpy", "cffi", "setuptools", "ninja"}


@pytest.mark.parametrize(
    ("filename", "fits"),
    [
        ("acme-1.0-py3-none-any.whl", True),
        ("Acme-1.0.0-cp311-cp311-linux_x86_64.whl", True),
        ("acme-1.0-1-cp311-cp311-manylinux_2_36_x86_64.whl", True),
        ("acme-1.0-cp39-abi3-manylinux2014_x86_64.whl", True),
        ("acme-1.0-cp311-cp311-manylinux_2_37_x86_64.whl", False),
        ("acme-1.0-cp311-cp311-musllinux_1_1_x86_64.whl", False),
        ("acme-1.0-cp312-cp312-linux_x86_64.whl", False),
        ("acme-1.0-cp311-cp311-linux_aarch64.whl", False),
        ("acme-1.1-py3-none-any.whl", False),
        ("other-1.0-py3-none-any.whl", False),
        ("acme-1.0.tar.gz", False),
    ],
)
def test_a_wheel_is_what_was_asked_for_or_not(filename: str, fits: bool) -> None:
    assert (asked().why_not(filename) is None) == fits


def test_what_a_wheel_may_be_on_musl() -> None:
    on_musl = asked(libc="musl 1.2", suffix=".cpython-311-x86_64-linux-musl.so")

    assert on_musl.why_not("acme-1.0-cp311-cp311-musllinux_1_2_x86_64.whl") is None
    assert on_musl.why_not("acme-1.0-cp311-cp311-manylinux1_x86_64.whl") is not None
    assert on_musl.why_not("acme-1.0-cp311-cp311-manylinux2014_x86_64.whl") is not None
