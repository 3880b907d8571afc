"""Where packages came from: what they say themselves, and what the hub lists."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from creamery.client.origins import fitting, found_there
from creamery.client.serving import KnownWheel

PURE, OF_38 = KnownWheel("acme-1.0-py3-none-any.whl", 1.0), KnownWheel("acme-1.0-cp38-none-any.whl", 2.0)
UV = """\
#!{python}
import sys
asked = sys.argv[1:]
print({{"python": "3.8.20" if "old" in asked else "3.12.1", "pip": "Location: {place}"}}[asked[0]])
"""


@pytest.fixture
def uv(tmp_path: Path) -> str:
    """Answers as uv does where it is asked for a Python, or where packages are."""
    spy = tmp_path / "uv"
    spy.write_text(UV.format(python=sys.executable, place=tmp_path / "place"))
    spy.chmod(spy.stat().st_mode | stat.S_IXUSR)
    return str(spy)


def package(folder: Path, tag: str) -> Path:
    info = folder / "place" / "Acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    return info


@pytest.mark.parametrize(
    ("words", "found"),
    [((), PURE), (("-p", "old"), OF_38), (("--python=old",), OF_38), (("-pold",), OF_38)],
)
def test_a_dry_run_tells_of_wheels_for_its_python_alone(words: tuple[str, ...], found: KnownWheel, uv: str) -> None:
    told = fitting({("acme", "1"): [OF_38, PURE]}, uv, ("--dry-run", *words, "acme"), {})

    assert told == {("acme", "1"): found}


def test_what_was_installed_is_a_listed_wheel_if_it_has_its_tags_and_has_no_address_of_its_own(
    uv: str, tmp_path: Path
) -> None:
    def seen(*wheels: KnownWheel) -> tuple[list[KnownWheel], bool]:
        listed, direct = found_there({("acme", "1"): wheels}, [("acme", "1.0")], uv, ["./acme"], {})
        return list(listed.values()), bool(direct)

    info = package(tmp_path, "py3-none-any")
    before = [seen(OF_38, PURE), seen(OF_38), seen()]
    (info / "direct_url.json").write_text('{"url": "file:///acme", "dir_info": {}}')

    assert before == [([PURE], False), ([], False), ([], False)]
    assert seen(OF_38, PURE) == seen() == ([], True)
