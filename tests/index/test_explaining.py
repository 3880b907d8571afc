"""Explaining a project: what is offered and why not, what is here, what an interpreter would take."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest
from packaging.tags import sys_tags
from sqlalchemy import Connection, update

from creamery.client import Target as PrefetchTarget
from creamery.contract import ProjectName
from creamery.database import announce
from creamery.index.explaining import Explainer, Explanation
from creamery.index.names import Names
from creamery.index.offers import Offers
from creamery.index.tables import DOUBTED, index_file, index_project
from creamery.index.targets import NoTarget, parse_target
from creamery.index.upstream import Upstreams
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

WHEEL = "demo-1.0-py3-none-any.whl"


async def _nobody_is_private(_: ProjectName) -> None:
    """Nothing is claimed or reserved."""


def explain(hub: RunningHub, name: str, target: str | None = None) -> Explanation:
    """As the API asks."""
    built = hub.built.hub
    names = Names(built.database, built.committer, built.generations, built.settings.index.reserved)
    shared = (built.settings, built.egress, built.pools, built.clock, built.telemetry)
    upstreams = Upstreams(*shared, privacy=_nobody_is_private)
    explainer = Explainer(Offers(built.settings.index, names), names, upstreams)
    parsed = None if target is None else parse_target(target)
    found: Explanation = hub.ask(lambda connection: explainer.explain(connection, ProjectName(name), parsed))
    return found


def hub_with(upstream: Upstream, data: Path, **index: Any) -> RunningHub:
    return RunningHub(data, index={"upstreams": [upstream.url], **index})


def change(hub: RunningHub, *statements: Any) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(statement)
        announce(connection, DOUBTED)

    hub.built.hub.committer.write(work)


def test_each_file_has_its_origin_its_hash_and_whether_it_is_here(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")
    hub.download("demo", WHEEL)
    change(hub, update(index_file).where(index_file.c.filename == "demo-1.1-py3-none-any.whl").values(yanked="broken"))

    first, second = explain(hub, "demo").files

    assert (first.filename, first.version, first.kind) == (WHEEL, "1.0", "wheel")
    assert (first.origin, first.cached, first.hash, first.yanked) == (upstream.url, True, "verified", None)
    assert (second.cached, second.hash, second.yanked, second.offered) == (False, "stated", "broken", True)
    assert orjson.loads(orjson.dumps(asdict(explain(hub, "demo"))))["files"][0]["filename"] == WHEEL


def test_an_upstreams_password_is_nowhere_in_it(upstream: Upstream, tmp_path: Path) -> None:
    address = upstream.url.replace("://", "://me:secret@")
    with RunningHub(tmp_path, index={"upstreams": [address]}) as hub:
        hub.page("demo")
        explained = explain(hub, "demo")

    assert explained.asked == (upstream.url,)
    assert "secret" not in repr(explained)


def test_a_hash_that_nobody_named_is_unknown_and_then_pinned(tmp_path: Path) -> None:
    with Upstream(hashes=False) as upstream:
        made = upstream.add("demo", "1.0")
        with hub_with(upstream, tmp_path) as hub:
            hub.page("demo")
            before = explain(hub, "demo").files[0].hash
            hub.download("demo", made.filename)
            after = explain(hub, "demo").files[0].hash

    assert (before, after) == ("unknown", "pinned")


def test_what_is_withheld_says_why(upstream: Upstream, tmp_path: Path) -> None:
    upstream.add("demo", "2.0", "sdist")
    with hub_with(upstream, tmp_path, deny=["demo<1.1", "* kind=sdist"]) as hub:
        hub.page("demo")
        files = {file.filename: file for file in explain(hub, "demo").files}

    assert [file.offered for file in files.values()] == [False, True, False]
    assert "index.deny: demo<1.1" in str(files[WHEEL].reason)
    assert "kind=sdist" in str(files["demo-2.0.tar.gz"].reason)


def test_a_copy_that_its_upstream_has_no_more_says_so(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")
    hub.download("demo", WHEEL)
    upstream.remove("demo")
    hub.get("/simple/demo/")

    first, second = explain(hub, "demo").files

    assert (first.offered, first.reason) == (True, "deleted upstream; the copy that is here is still served")
    assert (second.offered, second.reason) == (False, "it is deleted upstream")


def test_what_shows_a_project_says_of_such_a_copy_that_it_counts_as_yanked(hub: RunningHub, upstream: Upstream) -> None:
    hub.page("demo")
    hub.download("demo", WHEEL)
    upstream.remove("demo", "1.0")
    hub.page("demo")

    files = hub.get("/api/v1/index/projects/demo").json()["files"]

    assert {file["filename"]: file["yanked"] for file in files} == {
        WHEEL: "deleted upstream; the copy that is here is still served",
        "demo-1.1-py3-none-any.whl": None,
    }


def test_uploaded_files_are_from_here_and_nobody_is_asked(hub: RunningHub) -> None:
    hub.page("demo")
    hub.download("demo", WHEEL)
    mine = update(index_file).where(index_file.c.filename == WHEEL).values(origin=None)
    change(hub, mine, update(index_project).where(index_project.c.name == "demo").values(hosted=True))

    explained = explain(hub, "demo")

    assert (explained.hosted, explained.asked) == (True, ())
    assert [(file.origin == "here", file.offered) for file in explained.files] == [(True, True), (False, False)]
    assert "claimed here" in str(explained.files[1].reason)


@pytest.mark.parametrize(
    ("index", "name", "expected"),
    [
        ({}, "unheard", lambda found: found.hidden is None and len(found.asked) == 1),
        (
            {"reserved": ["unh*"]},
            "unheard",
            lambda found: found.reserved == "unh*" and found.hidden and not found.asked,
        ),
        ({"deny": ["unheard"]}, "unheard", lambda found: "index.deny: unheard" in found.hidden and not found.asked),
        ({"allow": ["demo"]}, "unheard", lambda found: "index.allow" in found.hidden and not found.asked),
        ({"upstreams": []}, "unheard", lambda found: found.hidden is None and not found.asked),
    ],
    ids=["nobody's", "reserved", "denied", "not allowed", "no upstream"],
)
def test_a_name_that_was_never_heard_of_says_whom_it_would_be_asked_of(
    upstream: Upstream, tmp_path: Path, index: dict[str, Any], name: str, expected: Callable[[Explanation], bool]
) -> None:
    with hub_with(upstream, tmp_path, **index) as hub:
        found = explain(hub, name)

    assert not found.known
    assert found.files == ()
    assert expected(found)
    assert upstream.count("/simple/") == 0


def test_a_name_whose_owner_is_configured_no_more_says_so(upstream: Upstream, tmp_path: Path) -> None:
    with hub_with(upstream, tmp_path) as hub:
        hub.page("demo")
    with RunningHub(tmp_path, index={"upstreams": ["http://127.0.0.1:9/simple/"]}) as hub:
        explained = explain(hub, "demo")

    assert explained.owner == upstream.url
    assert explained.asked == ()
    assert "is configured no more" in str(explained.unanswerable)


@pytest.mark.parametrize(
    ("target", "fitting"),
    [
        ("python3.12-linux", ["manylinux", "abi3", "any", "sdist"]),
        ("python3.12-linux-aarch64", ["any", "sdist"]),
        ("cp3.12-musl", ["musllinux", "any", "sdist"]),
        ("3.12-macos", ["macos", "any", "sdist"]),
        ("3.12-macos-x86_64", ["any", "sdist"]),
        ("3.12-windows", ["windows", "any", "sdist"]),
        ("3.12-windows-x86_64", ["windows", "any", "sdist"]),
        ("3.7-linux", ["sdist"]),
        ("3.11.7-linux", ["abi3", "any", "sdist"]),
    ],
)
def test_files_fit_by_tags_and_by_the_python_they_need(
    hub: RunningHub, upstream: Upstream, target: str, fitting: list[str]
) -> None:
    tags = {
        "manylinux": "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "abi3": "cp38-abi3-manylinux_2_28_x86_64",
        "musllinux": "cp312-cp312-musllinux_1_1_x86_64",
        "macos": "cp312-cp312-macosx_11_0_arm64",
        "windows": "cp312-cp312-win_amd64",
    }
    made = {kind: upstream.add("many", "1.0", tag=tag).filename for kind, tag in tags.items()}
    made["any"] = upstream.add("many", "1.0", requires_python=">=3.8").filename
    made["sdist"] = upstream.add("many", "1.0", "sdist").filename
    hub.page("many")

    explained = explain(hub, "many", target)

    names = {filename: kind for kind, filename in made.items()}
    assert [names[file.filename] for file in explained.files if file.fits] == fitting
    assert all(file.fits or file.misfit for file in explained.files)
    assert names[str(explained.taken)] == fitting[0]


@pytest.mark.parametrize(
    ("added", "taken"),
    [
        ([("1.0", False), ("2.0", False)], "2.0"),
        ([("1.0", False), ("2.0rc1", False)], "1.0"),
        ([("2.0rc1", False)], "2.0rc1"),
        ([("1.0", False), ("2.0", "broken")], "1.0"),
        ([("2.0", "broken")], None),
        ([("1.0", "broken"), ("2.0rc1", False)], None),
        ([("1.0rc1", False), ("2.0rc1", "broken")], "1.0rc1"),
    ],
)
def test_what_would_be_taken_is_what_pip_takes(
    hub: RunningHub, upstream: Upstream, added: list[tuple[str, bool | str]], taken: str | None
) -> None:
    for version, yanked in added:
        upstream.add("some", version, yanked=yanked)
    hub.page("some")

    assert explain(hub, "some", "3.12-linux").taken == (taken and f"some-{taken}-py3-none-any.whl")


def test_a_python_that_is_too_old_for_a_patch_release_is_told_so(hub: RunningHub, upstream: Upstream) -> None:
    upstream.add("new", "1.0", requires_python=">=3.11.5")
    hub.page("new")

    assert explain(hub, "new", "3.11.4-linux").files[0].misfit == "it needs Python >=3.11.5"
    assert explain(hub, "new", "3.11-linux").files[0].fits


@pytest.mark.parametrize(
    "text", ["", "python3.12", "linux", "python2.7-linux", "3.12-beos", "3.12-linux-vax", "3.12-macos-s390x"]
)
def test_what_names_no_interpreter_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(NoTarget, match=r"python3\.12-linux|is told of here"):
        parse_target(text)


@pytest.mark.skipif(sys.platform != "linux", reason="the tags of this machine are compared")
def test_a_target_takes_what_the_interpreter_here_takes_in_the_same_order() -> None:
    target = parse_target(f"{sys.version_info.major}.{sys.version_info.minor}-linux-{platform.machine()}")

    ours = [target.ranks[tag] for tag in sys_tags() if tag in target.ranks]

    assert len(ours) > 100  # all but those of a glibc that is newer than the one that is meant
    assert ours == sorted(ours)


def test_linux_has_the_glibc_that_a_prefetch_takes_it_to_have() -> None:
    tags = {f"manylinux_2_{minor}_x86_64": f"x-1-cp312-cp312-manylinux_2_{minor}_x86_64.whl" for minor in (28, 29)}

    explained = {tag: parse_target("3.12-linux").rank(name) is not None for tag, name in tags.items()}
    prefetched = {str(tag.platform) for tag in PrefetchTarget("3.12", "linux").tags()}

    assert explained == {tag: tag in prefetched for tag in tags} == dict(zip(tags, (True, False), strict=True))
