"""What is listed is served, and what is served is listed: whatever rules, claims, deletions and upstreams do.

Many times over the rule and the renderer alone, and a few times over a hub with an upstream behind it.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from creamery.contract import Digest, ProjectName
from creamery.database import announce
from creamery.index.names import Names
from creamery.index.offers import Offers
from creamery.index.project import KeptFile, KnownProject, ListedFile, Owner
from creamery.index.simple import render
from creamery.index.tables import DOUBTED, index_file, index_project, index_reserved
from creamery.sections import Index
from tests.doubles.running import JSON, RunningHub
from tests.doubles.upstream import Upstream

NAMES = ("demo", "acme-lib")
VERSIONS = ("1.0", "1.1", "2.0rc1")
ENDINGS = ("-py3-none-any.whl", ".tar.gz", "-py2.7.egg")
RULES = (
    *("demo", "acme-*", "*", "demo<1.1", "*>=2.0a0", "* kind=sdist", "* kind=wheel", "acme-lib==1.0 kind=wheel"),
    *("demo!=1.1", "zzz"),
)
DIGEST = Digest("a" * 64)

rules = st.lists(st.sampled_from(RULES), max_size=2, unique=True)
policies = st.fixed_dictionaries(
    {
        "allow": st.one_of(st.just([]), rules),
        "deny": rules,
        "deleted_upstream": st.sampled_from(["serve", "withhold"]),
        "quarantined_upstream": st.sampled_from(["serve", "withhold"]),
    }
)


@st.composite
def kept_projects(draw: st.DrawFn) -> tuple[KnownProject, list[KeptFile]]:
    hosted = draw(st.booleans())
    owner = Owner(
        ProjectName(draw(st.sampled_from(NAMES))),
        hosted=hosted,
        merged=hosted and draw(st.booleans()),
        upstream="http://upstream/",
        status=draw(st.sampled_from(["active", "archived", "quarantined", "deprecated"])),
    )
    stem = owner.name.replace("-", "_")
    names = draw(st.lists(st.tuples(st.sampled_from([*VERSIONS, "odd"]), st.sampled_from(ENDINGS)), unique=True))
    files = [draw(kept_files(owner, f"{stem}-{version}{ending}")) for version, ending in names]
    versions = draw(st.sampled_from([None, VERSIONS]))
    return KnownProject(1, owner, versions, (), (), None, None, None, draw(st.booleans()), 1, 1, 1), files


@st.composite
def kept_files(draw: st.DrawFn, owner: Owner, filename: str) -> KeptFile:
    yanked = draw(st.sampled_from([None, "", "broken"]))
    return KeptFile(
        id=1,
        owner=owner,
        project_id=1,
        origin=draw(st.sampled_from([None, "http://upstream/"])),
        listed_file=ListedFile(filename, f"http://upstream/{filename}", DIGEST, size=1, yanked=yanked),
        digest=draw(st.sampled_from([None, DIGEST])),
        metadata_digest=draw(st.sampled_from([None, DIGEST])),
        metadata_size=1,
        pinned=False,
        listed=draw(st.booleans()),
        metadata_failed=False,
        born=1,
        deleted=draw(st.sampled_from([None, 5])),
        uploaded_by=None,
    )


def offers_of(policy: dict[str, Any], reserved: str | None) -> Offers:
    names = SimpleNamespace(reserved_by=lambda name: reserved if name == reserved else None)
    return Offers(Index(**policy), cast("Names", names))


@settings(max_examples=500)
@given(kept_projects(), policies, st.sampled_from([None, *NAMES]))
def test_every_form_of_a_page_lists_exactly_the_files_whose_addresses_are_served(
    known: tuple[KnownProject, list[KeptFile]], policy: dict[str, Any], reserved: str | None
) -> None:
    project, files = known
    offers = offers_of(policy, reserved)
    served = [file.filename for file in files if offers.of(file).withheld is None]

    json = render(*offers.listing(project, files), "json", "all").identity
    html = render(*offers.listing(project, files), "html", "all").identity
    here = render(*offers.listing(project, files), "html", "here").identity

    assert re.findall(rb'"filename":"([^"]+)"', json) == [name.encode() for name in served]
    assert re.findall(rb">([^<]+)</a>", html) == [name.encode() for name in served]
    assert set(re.findall(rb">([^<]+)</a>", here)) <= {name.encode() for name in served}
    if offers.why_hidden(project.name, hosted=project.owner.hosted) is not None:
        assert served == []


@settings(max_examples=500)
@given(kept_projects(), policies, st.sampled_from([None, *NAMES]))
def test_nothing_is_served_that_was_deleted_here_or_comes_from_elsewhere_under_a_name_of_ours(
    known: tuple[KnownProject, list[KeptFile]], policy: dict[str, Any], reserved: str | None
) -> None:
    _, files = known
    offers = offers_of(policy, reserved)

    for file in files:
        if offers.of(file).withheld is None:
            assert file.deleted is None
            assert file.origin is None or not file.owner.hosted or file.owner.merged
            assert file.owner.hosted or file.project != reserved
            assert file.listed or file.digest is not None
            assert file.origin is not None or file.digest is not None


@dataclass(frozen=True)
class Story:
    """What happens to one project.

    Attributes:
        fetched: files whose bytes come here.
        ours: of those, the ones that count as uploaded.
        deleted: files that are deleted here.
        gone: versions that its upstream takes away in the end.
    """

    name: str
    files: tuple[tuple[str, str], ...]
    hosted: bool
    merged: bool
    quarantined: bool
    fetched: frozenset[int] = field(default_factory=frozenset)
    ours: frozenset[int] = field(default_factory=frozenset)
    deleted: frozenset[int] = field(default_factory=frozenset)
    gone: frozenset[str] = field(default_factory=frozenset)


some = st.frozensets(st.integers(0, 3), max_size=3)
stories = st.tuples(
    *(
        st.builds(
            Story,
            name=st.just(name),
            files=st.lists(
                st.tuples(st.sampled_from(VERSIONS), st.sampled_from(["wheel", "sdist"])),
                unique=True,
                min_size=1,
                max_size=4,
            ).map(tuple),
            hosted=st.booleans(),
            merged=st.booleans(),
            quarantined=st.booleans(),
            fetched=some,
            ours=some,
            deleted=some,
            gone=st.frozensets(st.sampled_from(VERSIONS), max_size=2),
        )
        for name in NAMES
    )
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(stories, policies, st.sampled_from([None, *NAMES]))
def test_a_hub_lists_exactly_what_it_serves_under_every_address(
    told: tuple[Story, ...], policy: dict[str, Any], reserved: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder, Upstream() as upstream:
        made = {story.name: _begin(story, upstream) for story in told}
        with RunningHub(Path(folder), index={"upstreams": [upstream.url]}) as hub:
            for story in told:
                _happen(story, list(made[story.name]), hub, reserved)
        for story in told:
            _end(story, upstream)
        with RunningHub(Path(folder), index={"upstreams": [upstream.url], **policy}) as hub:
            for story in told:
                _check(story.name, made[story.name], hub)


def _begin(story: Story, upstream: Upstream) -> dict[str, str]:
    """Its files, by name, and their hashes."""
    made = [upstream.add(story.name, version, cast("Any", kind)) for version, kind in story.files]
    return {each.filename: each.sha256 for each in made}


def _happen(story: Story, filenames: list[str], hub: RunningHub, reserved: str | None) -> None:
    hub.page(story.name)
    for number in story.fetched & set(range(len(filenames))):
        hub.download(story.name, filenames[number])

    def change(connection: Connection) -> None:
        if reserved == story.name:
            connection.execute(index_reserved.insert().values(pattern=reserved, created=1))
        mine = index_file.c.project_id.in_(select(index_project.c.id).where(index_project.c.name == story.name))
        if story.hosted:
            values = {"hosted": True, "merged": story.merged, "versions": None}
            connection.execute(update(index_project).where(index_project.c.name == story.name).values(values))
        for number, filename in enumerate(filenames):
            row = update(index_file).where(mine, index_file.c.filename == filename)
            if story.hosted and number in story.ours & story.fetched:
                connection.execute(row.values(origin=None))
            if number in story.deleted:
                connection.execute(row.values(deleted=1, listed=False))
        announce(connection, DOUBTED)

    hub.built.hub.committer.write(change)


def _end(story: Story, upstream: Upstream) -> None:
    if story.quarantined:
        upstream.set_status(story.name, "quarantined", "malware")
    for version in story.gone & {version for version, _ in story.files}:
        if any(file.version == version for file in upstream._projects.get(story.name, SimpleNamespace(files=[])).files):
            upstream.remove(story.name, version)


def _check(name: str, digests: dict[str, str], hub: RunningHub) -> None:
    filenames = list(digests)
    page = hub.get(f"/simple/{name}/", accept=JSON)
    html = hub.get(f"/i/{name}/", accept="text/html")
    assert page.status_code == html.status_code
    lines = {file["filename"]: file for file in page.json()["files"]} if page.status_code == 200 else {}
    assert set(re.findall(r">([^<]+\.(?:whl|gz))</a>", html.text)) == set(lines)

    mirrored = hub.get(f"/pypi/{name}/json")
    assert mirrored.status_code == page.status_code
    releases = mirrored.json().get("releases", {}).values()
    addresses = {file["filename"]: file["url"].removeprefix(hub.base) for files in releases for file in files}
    assert set(addresses) == set(lines)

    for filename in filenames:
        digest = digests[filename]
        packages = hub.get(f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{filename}")
        assert packages.status_code == (200 if filename in lines else 404), (filename, packages.text)
        assert addresses.get(filename) in {None, packages.request.url.raw_path.decode()}
        file = hub.get(f"/i/{name}/{filename}")
        metadata = hub.get(f"/i/{name}/{filename}.metadata")
        assert file.status_code == (200 if filename in lines else 404), (filename, file.text)
        assert metadata.status_code == (200 if lines.get(filename, {}).get("core-metadata") else 404), filename


def test_a_merged_name_keeps_its_page_when_its_upstream_has_it_no_more(hub: RunningHub, upstream: Upstream) -> None:
    """It was 404, and what is ours with it, while the upstream's files went on being served."""
    ours, theirs = hub.files("demo")
    story = Story("demo", (), hosted=True, merged=True, quarantined=False, ours=frozenset({0}), fetched=frozenset({0}))
    _happen(story, [ours], hub, None)
    upstream.remove("demo")

    first, second = hub.files("demo"), hub.files("demo")

    assert first == second == [ours]
    assert hub.get(f"/i/demo/{ours}").status_code == 200
    assert hub.get(f"/i/demo/{theirs}").status_code == 404
