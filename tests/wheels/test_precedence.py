"""A built wheel never goes before a published one where both fit, as pip and uv order them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import Tag, compatible_tags, cpython_tags, generic_tags, mac_platforms, parse_tag

from creamery.wheels.precedence import stands_in_for

LINUX = "manylinux_2_17_x86_64"


@pytest.mark.parametrize(
    ("built", "published"),
    [
        ("py3-none-any", "py3-none-any"),
        ("py3-none-any", "py2.py3-none-any"),
        ("py311-none-any", "py3-none-any"),
        ("cp311-none-any", "py3-none-any"),
        (f"cp311-cp311-{LINUX}", "py3-none-any"),  # goes before what fits everywhere
        (f"cp311-cp311-{LINUX}", f"cp311-cp311-{LINUX}"),
        ("cp311-cp311-manylinux_2_34_x86_64", f"cp311-cp311-{LINUX}"),
        (f"cp311-cp311-{LINUX}", "cp311-cp311-manylinux2014_x86_64"),
        (f"cp311-cp311-{LINUX}", "cp311-cp311-linux_x86_64"),  # before or after: that depends on the client
        (f"cp311-cp311-{LINUX}", f"cp38-abi3-{LINUX}"),
        (f"cp39-abi3-{LINUX}", f"cp38-abi3-{LINUX}"),
        (f"cp39-abi3-{LINUX}", f"cp39-abi3-{LINUX}"),
        (f"cp311-abi3-{LINUX}", f"cp311-none-{LINUX}"),
        (f"cp311-none-{LINUX}", f"cp39-abi3-{LINUX}"),
        (f"cp313-cp313t-{LINUX}", f"py3-none-{LINUX}"),
        ("cp311-cp311-macosx_11_0_arm64", "cp311-cp311-macosx_11_0_universal2"),
        ("cp311-cp311-macosx_11_0_x86_64", "cp311-cp311-macosx_10_9_universal2"),
        ("cp311-cp311-musllinux_1_2_x86_64", "cp311-cp311-musllinux_1_1_x86_64"),
        ("cp311-cp311-win_amd64", "cp311-cp311-win_amd64"),
        (f"pp310-pypy310_pp73-{LINUX}", "py3-none-any"),
        (f"cp311-cp311-{LINUX}", f"odd-none-{LINUX}"),  # nobody knows
    ],
)
def test_a_built_wheel_stands_in_for_what_it_goes_before_or_beside(built: str, published: str) -> None:
    assert stands_in_for(parse_tag(built), parse_tag(published))


@pytest.mark.parametrize(
    ("built", "published"),
    [
        ("py3-none-any", "py2-none-any"),
        ("py3-none-any", f"cp311-cp311-{LINUX}"),  # fits where that does not, and goes behind it where it does
        ("py3-none-any", f"py3-none-{LINUX}"),
        (f"cp311-cp311-{LINUX}", f"cp312-cp312-{LINUX}"),
        (f"cp311-cp311-{LINUX}", "cp311-cp311-manylinux_2_17_aarch64"),
        (f"cp311-cp311-{LINUX}", "cp311-cp311-musllinux_1_2_x86_64"),
        (f"cp311-cp311-{LINUX}", "cp311-cp311-win_amd64"),
        (f"cp311-cp311-{LINUX}", f"cp312-abi3-{LINUX}"),
        (f"cp311-cp311-{LINUX}", f"pp311-pypy311_pp73-{LINUX}"),
        ("cp311-cp311-manylinux_2_5_x86_64", f"cp311-cp311-{LINUX}"),  # the newer libc goes first
        ("cp311-cp311-manylinux1_x86_64", f"cp311-cp311-{LINUX}"),
        (f"cp38-abi3-{LINUX}", f"cp311-cp311-{LINUX}"),
        (f"cp38-abi3-{LINUX}", f"cp39-abi3-{LINUX}"),
        (f"cp313-cp313t-{LINUX}", f"cp313-cp313-{LINUX}"),
        (f"cp313-cp313t-{LINUX}", f"cp38-abi3-{LINUX}"),
        ("cp311-cp311-macosx_11_0_arm64", "cp311-cp311-macosx_11_0_x86_64"),
        ("cp311-cp311-macosx_10_9_universal2", "cp311-cp311-macosx_11_0_arm64"),
        ("cp311-cp311-macosx_11_0_universal2", "cp311-cp311-macosx_11_0_arm64"),  # Intel's have nothing else
        ("cp311-cp311-win_amd64", "cp311-cp311-win32"),
    ],
)
def test_a_built_wheel_stands_in_for_nothing_that_always_goes_before_it(built: str, published: str) -> None:
    assert not stands_in_for(parse_tag(built), parse_tag(published))


def glibc(minor: int, architecture: str, *, linux_first: bool) -> list[str]:
    """As packaging lists them; `linux_*` first (26.3) or last (before, and uv)."""
    legacy = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
    names = [
        name
        for each in range(minor, 4, -1)
        for name in (f"manylinux_2_{each}_{architecture}", f"{legacy.get(each, 'none')}_{architecture}")
    ]
    plain = [f"linux_{architecture}"]
    return plain + names if linux_first else names + plain


def musl(minor: int, *, linux_first: bool) -> list[str]:
    names = [f"musllinux_1_{each}_x86_64" for each in range(minor, -1, -1)]
    return ["linux_x86_64", *names] if linux_first else [*names, "linux_x86_64"]


MACHINES: list[list[str]] = [
    *(glibc(minor, "x86_64", linux_first=first) for minor, first in product((5, 12, 17, 36), (True, False))),
    glibc(36, "aarch64", linux_first=True),
    *(musl(minor, linux_first=first) for minor, first in product((1, 2), (True, False))),
    *(list(mac_platforms(version, arch)) for version, arch in [((10, 15), "x86_64"), ((14, 0), "x86_64")]),
    list(mac_platforms((14, 0), "arm64")),
    ["win_amd64"],
    ["win32"],
]
PYTHONS = [(8, "cp38"), (9, "cp39"), (11, "cp311"), (12, "cp312"), (13, "cp313"), (13, "cp313t"), (15, "cp315t")]


def environments() -> Iterator[Mapping[Tag, int]]:
    """What some can use, each tag with its place."""
    for (minor, abi), platforms in product(PYTHONS, MACHINES):
        own = cpython_tags((3, minor), [abi], platforms)
        yield places(chain(own, compatible_tags((3, minor), f"cp3{minor}", platforms)))
    for platforms in MACHINES:
        own = generic_tags("pp310", ["pypy310_pp73"], platforms)
        yield places(chain(own, compatible_tags((3, 10), "pp310", platforms)))


def places(tags: Iterator[Tag]) -> Mapping[Tag, int]:
    found: dict[Tag, int] = {}
    for place, tag in enumerate(tags):
        found.setdefault(tag, place)
    return found


ENVIRONMENTS = list(environments())
USED = [
    word
    for line in (
        "py3-none py2.py3-none py311-none py38-none cp311-none cp312-none cp38-abi3 cp39-abi3 cp311-abi3 cp312-abi3",
        "cp315-abi3t cp311-cp311 cp312-cp312 cp313-cp313 cp313-cp313t cp315-cp315t pp310-pypy310_pp73 pp310-none",
        "cp38.cp39.cp311-abi3 cp39-abi3.abi3t",
    )
    for word in line.split()
]
PLATFORMS = [
    word
    for line in (
        "any manylinux1_x86_64 manylinux_2_5_x86_64 manylinux_2_12_x86_64 manylinux2014_x86_64 manylinux_2_17_x86_64",
        "manylinux_2_17_x86_64.manylinux2014_x86_64 manylinux_2_34_x86_64 manylinux_2_17_aarch64 linux_x86_64",
        "musllinux_1_1_x86_64 musllinux_1_2_x86_64 macosx_10_9_x86_64 macosx_10_9_universal2 macosx_10_9_intel",
        "macosx_11_0_arm64 macosx_11_0_universal2 macosx_12_0_x86_64 win_amd64 win32 freebsd_14_amd64",
        "manylinux_2_5_x86_64.musllinux_1_1_x86_64",
    )
    for word in line.split()
]

wheels = st.builds(
    lambda used, platform: parse_tag(f"{used}-{platform}"), st.sampled_from(USED), st.sampled_from(PLATFORMS)
)


def place_in(environment: Mapping[Tag, int], tags: frozenset[Tag]) -> int | None:
    return min((environment[tag] for tag in tags if tag in environment), default=None)


@settings(max_examples=400, deadline=None)
@given(wheels, st.lists(wheels, min_size=1, max_size=3))
def test_wherever_a_published_wheel_was_the_best_it_stays_the_best(
    built: frozenset[Tag], published: Sequence[frozenset[Tag]]
) -> None:
    if any(stands_in_for(built, each) for each in published):
        return  # it is not listed

    for environment in ENVIRONMENTS:
        best = min((place for each in published if (place := place_in(environment, each)) is not None), default=None)
        ours = place_in(environment, built)
        assert best is None or ours is None or best < ours


def plain_tags() -> list[Tag]:
    """One of each, but for old names of manylinux, which mean what a new one means, and fat files of Intel's alone."""
    platforms = [
        name
        for name in PLATFORMS
        if "." not in name and not name.startswith(("manylinux1", "manylinux20")) and not name.endswith("intel")
    ]
    used = [each for each in USED if "." not in each]
    return [tag for each, platform in product(used, platforms) for tag in parse_tag(f"{each}-{platform}")]


def test_of_two_tags_one_stands_in_for_the_other_just_where_it_goes_first_somewhere() -> None:
    """No less is hidden than must be, and no more."""
    found = {
        tag: {number: each[tag] for number, each in enumerate(ENVIRONMENTS) if tag in each} for tag in plain_tags()
    }

    compared = 0
    for (built, ours), (published, theirs) in product(found.items(), found.items()):
        if together := ours.keys() & theirs.keys():
            goes_first = any(ours[each] <= theirs[each] for each in together)
            assert stands_in_for([built], [published]) == goes_first, (str(built), str(published))
            compared += 1
    assert compared > 3_000
