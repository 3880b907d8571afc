"""Through the hub a client chooses and gets what it would straight from the upstream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import INSTALLED, fill, hub_over
from tests.clients.programs import Client, Pip, Uv, install
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed


def hard_choices(upstream: Upstream) -> None:
    """Projects whose newest release is not for everybody."""
    upstream.add("only-sdist", "1.0", "sdist")
    upstream.add("withdrawn", "1.0")
    upstream.add("withdrawn", "1.1", yanked="broken")
    upstream.add("for-later", "1.0", requires_python=">=3.8")
    upstream.add("for-later", "2.0", requires_python=">=3.99")
    upstream.add("Mixed_Case.Name", "1.0+local.1")
    upstream.add("early", "1.0")
    upstream.add("early", "2.0rc1")


HARD = ("only-sdist", "withdrawn", "for-later", "mixed.case-NAME", "early")
CHOSEN = {"only-sdist": "1.0", "withdrawn": "1.0", "for-later": "1.0", "mixed-case-name": "1.0+local.1", "early": "1.0"}


def test_a_client_leaves_what_is_yanked_early_or_for_another_python(
    client: Client, upstream: Upstream, tmp_path: Path
) -> None:
    hard_choices(upstream)

    with hub_over(upstream, tmp_path) as hub:
        environment = install(client, f"{hub.base}/i/", *HARD)

    assert environment.installed() == CHOSEN


@pytest.mark.parametrize("client", ["pip", "uv"], indirect=True)
def test_a_yanked_release_installs_for_those_who_name_it(client: Client, upstream: Upstream, tmp_path: Path) -> None:
    hard_choices(upstream)

    with hub_over(upstream, tmp_path) as hub:
        environment = install(client, f"{hub.base}/i/", "withdrawn==1.1")

    assert environment.installed() == {"withdrawn": "1.1"}


POOR: dict[str, dict[str, Any]] = {
    "html": {"json": False, "etag": False, "metadata": False, "absolute_links": False},
    "no hashes": {"json": False, "hashes": False, "sizes": False, "metadata": False, "etag": False},
    "no metadata": {"metadata": False, "last_modified": False, "compressed": False, "api_version": "1.0"},
    "second host": {"second_host": True},
}


@pytest.fixture
def poor_upstream(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    """An index that offers less than PyPI."""
    made = Upstream(**POOR[request.param])
    with made as started:
        fill(started)
        yield started


@pytest.mark.parametrize(
    ("client", "poor_upstream"),
    [*(("uv", poor) for poor in POOR), ("pip-2023", "html"), ("pip", "no hashes"), ("poetry", "no metadata")],
    indirect=True,
)
def test_a_poor_upstream_is_good_enough_and_then_not_needed(
    client: Client, poor_upstream: Upstream, tmp_path: Path
) -> None:
    files = [poor_upstream.files_host] if poor_upstream.files_host != poor_upstream.host else []
    with hub_over(poor_upstream, tmp_path, files=files) as hub:
        first = install(client, f"{hub.base}/i/", "app")
        poor_upstream.stop()
        again = install(client, f"{hub.base}/i/", "app")

    assert first.installed() == INSTALLED
    assert again.installed() == INSTALLED


def test_fast_deps_of_pip_reads_a_wheel_by_ranges(pip: Pip, tmp_path: Path) -> None:
    with Upstream(metadata=False) as upstream:
        fill(upstream)
        upstream.add("large", "1.0", requires=["lib"], size=3_000_000)
        with hub_over(upstream, tmp_path) as hub:
            environment = pip.machine.environment()
            options = ("--use-feature=fast-deps", "--index-url", f"{hub.base}/i/")
            pip.succeed("install", *options, "large", environment=environment)

        path = upstream.path_of("large-1.0-py3-none-any.whl")
        whole = [seen for seen in upstream.requests(path, "GET") if "range" not in seen.headers]

    assert environment.installed() == {"large": "1.0", "lib": "2.0"}
    assert len(whole) == 1


def test_a_client_chooses_what_is_here_while_nobody_can_fetch_the_newest(
    client: Client, upstream: Upstream, tmp_path: Path
) -> None:
    with hub_over(upstream, tmp_path) as hub:
        install(client, f"{hub.base}/i/", "lib")
        upstream.add("lib", "3.0")
        hub.page("lib")
        upstream.stop()

        environment = install(client, f"{hub.base}/i/", "lib")

    assert environment.installed() == {"lib": "2.0"}


@pytest.mark.parametrize("client", ["pip", "uv"], indirect=True)
def test_what_was_never_fetched_fails_at_once_and_says_why(client: Client, upstream: Upstream, tmp_path: Path) -> None:
    with hub_over(upstream, tmp_path) as hub:
        install(client, f"{hub.base}/i/", "lib==1.0")
        upstream.stop()

        ran, environment = client.try_install(f"{hub.base}/i/", "lib==2.0")

    assert ran.code != 0
    assert "lib==2.0" in ran.output
    assert environment.installed() == {}


def test_dependencies_are_resolved_without_downloading_wheels(uv: Uv, upstream: Upstream, tmp_path: Path) -> None:
    with hub_over(upstream, tmp_path) as hub:
        asked = uv.machine.home / "asked.in"
        asked.write_text("app\n")
        options = ("--default-index", f"{hub.base}/i/", "--generate-hashes", "--no-header")
        written = uv.succeed("--no-config", "pip", "compile", *options, asked)

    assert "app==1.1" in written
    assert "lib==1.5" in written
    assert [seen.path for seen in upstream.requests() if seen.path.endswith(".whl")] == []
