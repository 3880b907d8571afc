"""Of each package of a lock file the one file that is installed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from creamery.client import Target, UnusableInput
from creamery.client.lockfile import choose, hashes_in

TARGET = Target("3.12", "linux")
WHEELS = ("py3-none-any", "cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-win_amd64")


def digest(name: str) -> str:
    return name.encode().hex().ljust(64, "0")[:64]


def file(name: str) -> dict[str, Any]:
    return {"url": f"https://hub.example/i/multi/{name}", "hashes": {"sha256": digest(name[-40:])}}


def lock(*packages: dict[str, Any], **more: Any) -> str:
    """A lock file, as TOML: JSON's values are TOML's, but for inline tables."""
    lines = [
        'lock-version = "1.0"',
        'created-by = "a test"',
        *(f"{key} = {_toml(value)}" for key, value in more.items()),
    ]
    for package in packages:
        lines += ["[[packages]]", *(f"{key} = {_toml(value)}" for key, value in package.items())]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


MULTI: dict[str, Any] = {
    "name": "multi",
    "version": "1.0",
    "sdist": file("multi-1.0.tar.gz"),
    "wheels": [file(f"multi-1.0-{tag}.whl") for tag in WHEELS],
}


def names(text: str, target: Target = TARGET, **more: Any) -> list[str]:
    return [chosen.filename for chosen in choose(text, target, place="pylock.toml", **more).files]


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        (TARGET, "multi-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"),
        (Target("3.12", "windows"), "multi-1.0-cp312-cp312-win_amd64.whl"),
        (Target("3.13", "linux"), "multi-1.0-py3-none-any.whl"),
    ],
)
def test_the_wheel_that_fits_best_is_chosen(target: Target, chosen: str) -> None:
    found = choose(lock(MULTI), target, place="pylock.toml").files

    assert [(one.project, one.filename, one.sha256) for one in found] == [("multi", chosen, digest(chosen[-40:]))]


def test_a_package_without_a_wheel_that_fits_is_its_sdist() -> None:
    only_windows = {**MULTI, "wheels": MULTI["wheels"][2:]}

    assert names(lock(only_windows)) == ["multi-1.0.tar.gz"]


def test_an_sdist_is_not_taken_unless_it_is_wanted() -> None:
    only_windows = {**MULTI, "wheels": MULTI["wheels"][2:]}
    only_sdist = {"name": "lone", "version": "1.0", "sdist": file("lone-1.0.tar.gz")}

    assert names(lock(MULTI), takes_sdists=False) == ["multi-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"]
    assert names(lock(only_windows), Target("3.12", "windows"), takes_sdists=False)[0].endswith("win_amd64.whl")
    with pytest.raises(UnusableInput, match=r"no wheel .* multi-1.0.tar.gz, lone-1.0.tar.gz") as refused:
        names(lock(only_windows, only_sdist), takes_sdists=False)
    assert "--build" in refused.value.remedy
    assert names(lock(only_windows, only_sdist)) == ["multi-1.0.tar.gz", "lone-1.0.tar.gz"]


def test_an_sdist_whose_hash_is_insisted_on_is_one_too() -> None:
    with pytest.raises(UnusableInput, match=r"multi-1.0.tar.gz"):
        names(lock(MULTI), allowed={digest("multi-1.0.tar.gz")}, takes_sdists=False)


def test_a_package_for_other_platforms_is_left_out_and_one_from_no_index_is_named() -> None:
    other = {"name": "other", "marker": "sys_platform == 'win32'", "sdist": file("other-1.0.tar.gz")}
    local = {"name": "app", "directory": {"path": "."}}

    found = choose(lock(MULTI, other, local), TARGET, place="pylock.toml")

    assert ([one.project for one in found.files], found.elsewhere) == (["multi"], ("app",))


@pytest.mark.parametrize(
    ("insisted", "chosen"),
    [
        (["multi-1.0-py3-none-any.whl"], "multi-1.0-py3-none-any.whl"),
        (["multi-1.0.tar.gz"], "multi-1.0.tar.gz"),
        (["multi-1.0.tar.gz", "multi-1.0-py3-none-any.whl"], "multi-1.0-py3-none-any.whl"),
        (["somebody-elses.whl"], "multi-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"),
    ],
)
def test_a_hash_that_is_insisted_on_counts_more_than_what_fits_best(insisted: list[str], chosen: str) -> None:
    allowed = {digest(name[-40:]) for name in insisted}

    assert names(lock(MULTI), allowed=allowed) == [chosen]


def test_hashes_are_found_in_a_requirements_file() -> None:
    one, two = "A" * 64, "b" * 64

    assert hashes_in(f"x==1 --hash=sha256:{one} \\\n --hash sha256:{two}\ny==1 --hash=sha512:{'c' * 128}") == {
        "a" * 64,
        two,
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not = toml = at all", "is no lock file of PEP 751 that can be read"),
        ('lock-version = "9.0"\ncreated-by = "x"\npackages = []', "is no lock file of PEP 751 that can be read"),
        ("[tool.poetry]", "is no lock file of PEP 751 that can be read"),
        (lock({**MULTI, "requires-python": ">=3.13"}), "has nothing for this Python and platform"),
        (lock({"name": "multi", "version": "1.0", "wheels": MULTI["wheels"][2:]}), "has nothing for this Python"),
    ],
)
def test_what_cannot_be_installed_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UnusableInput, match=sentence):
        choose(text, TARGET, place="pylock.toml")
