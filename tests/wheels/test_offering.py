"""Which built wheels the plain index lists, and what it says of the others."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest

from creamery.contract import digest_of
from creamery.index import ListedFile
from creamery.wheels.offering import Candidate, as_listed, offer
from tests.wheels.built import LINUX, candidate, sdist, wheel


def listed(published: Sequence[ListedFile], built: Sequence[Candidate]) -> list[str]:
    return [file.filename for file in as_listed(offer(published, built))]


def reason(published: Sequence[ListedFile], built: Candidate) -> str:
    (found,) = offer(published, [built])
    assert not found.listed
    return found.reason


def test_where_the_project_has_an_sdist_alone_everything_shows() -> None:
    names = [
        f"demo-1.0-cp311-cp311-{LINUX}.whl",
        "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
        f"demo-1.0-cp312-cp312-{LINUX}.whl",
        "demo-1.0-py3-none-any.whl",
    ]

    assert listed([sdist()], [candidate(name, number) for number, name in enumerate(names)]) == sorted(names)
    assert listed([sdist()], [candidate(source=sdist().sha256)]) == [names[0]]


def test_a_version_is_the_same_however_it_is_spelt() -> None:
    assert listed([sdist("demo-1.tar.gz")], [candidate()])
    assert listed([sdist("Demo-1.0.0.zip")], [candidate()])


def test_nothing_shows_of_a_version_without_an_sdist() -> None:
    other_versions = [sdist("demo-0.9.tar.gz"), sdist("demo-1.1.tar.gz")]

    assert "no sdist of version 1.0" in reason([], candidate())
    assert "no sdist of version 1.0" in reason(other_versions, candidate())
    assert "no sdist of version 1.0" in reason([wheel("demo-1.0-cp312-cp312-win32.whl")], candidate())


def test_a_wheel_of_another_source_is_not_shown() -> None:
    other = digest_of(b"something else")

    assert "another source" in reason([sdist()], candidate(source=other))
    assert "another source" in reason([sdist(sha256=None)], candidate(source=other))


def test_of_two_sdists_a_wheel_stands_for_the_one_that_it_was_built_from() -> None:
    both = [sdist(yanked="broken"), sdist("demo-1.0.zip")]

    (found,) = offer(both, [candidate(source=both[1].sha256)])
    assert found.sdist == both[1]
    assert as_listed([found])[0].yanked is None


def test_a_name_that_does_not_say_which_libc_is_never_listed() -> None:
    assert "which libc" in reason([sdist()], candidate("demo-1.0-cp311-cp311-linux_x86_64.whl"))
    assert "which libc" in reason([sdist()], candidate(f"demo-1.0-cp311-cp311-{LINUX}.linux_x86_64.whl"))


def test_a_name_without_tags_is_not_listed() -> None:
    assert "no tags" in reason([sdist()], candidate("demo-1.0-odd.whl"))


def test_what_is_not_neutral_is_had_by_its_key_alone() -> None:
    assert "key alone" in reason([sdist()], candidate(is_neutral=False))


@pytest.mark.parametrize("tags", [f"cp311-cp311-{LINUX}", f"cp38-abi3-{LINUX}", "py3-none-any", "py2.py3-none-any"])
def test_a_wheel_of_the_projects_own_hides_a_built_one(tags: str) -> None:
    published = f"demo-1.0-{tags}.whl"

    assert published in reason([wheel(published), sdist()], candidate())
    assert published in reason([sdist(published, yanked="broken"), sdist()], candidate())


def test_a_wheel_for_others_or_of_another_version_hides_nothing() -> None:
    others = [wheel("demo-1.0-cp312-cp312-win32.whl"), wheel("demo-1.1-py3-none-any.whl"), wheel("demo-1.0-bad.whl")]

    assert listed([*others, sdist()], [candidate()]) == [candidate().filename]


def order_of(*built: Candidate, libc: tuple[str, int, int] | None = None) -> list[int]:
    """In which order they go first; the same in whatever order they are told."""
    orders = {tuple(each.candidate.id for each in offer([sdist()], some, libc)) for some in permutations(built)}
    (order,) = orders
    return list(order)


def test_of_one_name_one_is_listed_and_the_others_are_told_which() -> None:
    first, second = offer([sdist()], [candidate(number=2), candidate(number=1)])

    assert first.listed
    assert first.candidate.id == 1
    assert not second.listed
    assert first.candidate.digest[:12] in second.reason


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("my_demo-1.0-py3-none-any.whl", "My.Demo-1.0-py3-none-any.whl"),
        ("my_demo-1.0-py3-none-any.whl", "my_demo-1.0.0-py3-none-any.whl"),
        ("my_demo-1.0-2-py3-none-any.whl", "my_demo-1.0-02-py3-none-any.whl"),
        ("my_demo-1.0-py2.py3-none-any.whl", "my_demo-1.0-py3.py2-none-any.whl"),
    ],
)
def test_a_name_that_is_spelt_otherwise_is_the_same_name(ours: str, theirs: str) -> None:
    """Both were listed, and pip and uv took the hub's wheel instead of the reader's own ring's."""
    for own, other in permutations([ours, theirs]):
        built = [candidate(other, 1, rank=1, ring="main"), candidate(own, 2, rank=0, ring="pr-17")]

        assert listed([sdist("my_demo-1.0.tar.gz")], built) == [own]

    assert (
        len(listed([sdist("my_demo-1.0.tar.gz")], [candidate(ours), candidate("my_demo-1.0-3-py3-none-any.whl")])) == 2
    )


def test_the_readers_own_ring_goes_first_then_a_known_source_then_the_older() -> None:
    source = sdist().sha256
    trusted = candidate(number=1, rank=1, ring="trusted", source=source)
    unknown = candidate(number=2)
    known = candidate(number=3, source=source)
    later = candidate(number=4, source=source)

    assert order_of(trusted, unknown, known, later) == [3, 4, 2, 1]
    assert order_of(candidate(number=2, pushed=7), candidate(number=1, pushed=7)) == [1, 2]


def test_the_newest_libc_that_a_client_has_goes_first() -> None:
    built = [
        candidate(number=1, libc=("glibc", 2, 39)),
        candidate(number=2, libc=("glibc", 2, 31)),
        candidate(number=3, libc=("glibc", 2, 36)),
        candidate(number=4, libc=None),
        candidate(number=5, libc=("musl", 1, 2)),
    ]

    assert order_of(*built, libc=("glibc", 2, 36)) == [3, 2, 4, 5, 1]
    assert order_of(*built, libc=("musl", 1, 1)) == [1, 2, 3, 4, 5]
    assert order_of(*built) == [1, 2, 3, 4, 5]


def test_one_that_is_not_listed_takes_no_name_from_another() -> None:
    first, second = offer([sdist()], [candidate(number=1, is_neutral=False), candidate(number=2)])

    assert [first.listed, second.listed] == [False, True]


def test_a_listed_wheel_says_of_itself_what_its_sdist_says() -> None:
    source = sdist(requires_python=">=3.9", yanked="broken")
    built = candidate("demo-1.0+local.1-py3-none-any.whl", requires_python=">=3.11")
    published = [sdist("demo-1.0+local.1.tar.gz", requires_python=">=3.9", yanked="broken")]

    (file,) = as_listed(offer(published, [built]))
    assert file.url == f"../../f/{built.digest}/demo-1.0%2Blocal.1-py3-none-any.whl"
    assert (file.sha256, file.size, file.metadata_sha256) == (built.digest, built.size, built.metadata_digest)
    assert (file.upload_time, file.requires_python, file.yanked) == (source.upload_time, ">=3.9", "broken")


def test_where_the_sdist_requires_nothing_the_wheel_says_what_it_requires() -> None:
    (file,) = as_listed(offer([sdist()], [candidate(requires_python=">=3.11", metadata_digest=None)]))

    assert file.requires_python == ">=3.11"
    assert not file.has_metadata


def test_no_built_wheels_no_look_at_what_is_published() -> None:
    assert offer(iter([sdist()]), []) == []
