"""A cache never stands in the way: dead, slow, lying, full or half a hub, an installation ends as it would without."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from creamery.accounts import Scope
from creamery.client import Hub, HubError, parse_address
from creamery.client.caches import Offer
from creamery.client.hub_cache import HubCache
from tests.doubles.counted import counted_files, counted_sdist
from tests.doubles.distributions import payload, wheel
from tests.doubles.hosted import host
from tests.doubles.laptops import Laptop, entries_of, packages_of
from tests.doubles.listing import stored_at
from tests.doubles.loopback import Answerer, Exchange, Reply
from tests.doubles.meddler import Meddler
from tests.doubles.misbehaviour import after, close_at, drip, garbage, hang, redirect_to, say, status
from tests.doubles.running import RunningHub
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

SCOPES = [Scope("wheels:push"), Scope("wheels:read"), Scope("index:read")]
FORCED = ("--no-binary", ":all:", "beta")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        started.add_file("beta", "1.0", counted_sdist("beta", is_static=False))
        started.add("plain", "1.0")
        yield started


@pytest.fixture
def hub(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url]}) as started:
        yield started


@pytest.fixture
def full(hub: RunningHub, tmp_path: Path) -> RunningHub:
    """It has a wheel of what is asked for."""
    Laptop(tmp_path / "builder", hub, token_of(hub, "ann", SCOPES)).install("-u", *FORCED)
    assert len(entries_of(hub, "beta")) == 1
    return hub


@pytest.fixture
def meddler(hub: RunningHub) -> Iterator[Meddler]:
    with Meddler(hub.base) as started:
        yield started


@pytest.fixture
def laptop(hub: RunningHub, meddler: Meddler, tmp_path: Path) -> Laptop:
    """It asks through the meddler, and may share."""
    made = Laptop(tmp_path / "laptop", hub, token_of(hub, "ben", SCOPES))
    made.base = meddler.base
    return made


def looked_up(**changes: Any) -> Callable[[Reply], Reply]:
    """The hub's answer to a look, with other things in each hit."""

    def change(reply: Reply) -> Reply:
        told = json.loads(reply.body)
        for found in told["keys"].values():
            found.update(changes)
        return replace(reply, body=json.dumps(told).encode())

    return change


def other_wheel(reply: Reply) -> Reply:
    """Whatever is asked for, these bytes come."""
    return replace(reply, body=wheel("beta", "1.0").content)


LIES: dict[str, dict[str, Callable[[Reply], Reply]]] = {
    "other bytes": {"/w/f/": other_wheel},
    "more bytes": {"/w/f/": lambda reply: replace(reply, body=reply.body + b"x" * 1000)},
    "fewer bytes": {"/w/f/": lambda reply: replace(reply, body=reply.body[:-10])},
    "another project": {"/w/v1/lookup": looked_up(filename="gamma-1.0-py3-none-any.whl")},
    "another version": {"/w/v1/lookup": looked_up(filename="beta-2.0-py3-none-any.whl")},
    "another machine": {"/w/v1/lookup": looked_up(filename="beta-1.0-cp311-cp311-win_amd64.whl")},
    "a newer libc": {"/w/v1/lookup": looked_up(filename="beta-1.0-cp311-cp311-manylinux_2_99_x86_64.whl")},
    "a path": {"/w/v1/lookup": looked_up(filename="../beta-1.0-py3-none-any.whl")},
    "no digest": {"/w/v1/lookup": looked_up(sha256="../../../etc/passwd")},
    "no name": {"/w/v1/lookup": looked_up(filename=None)},
    "too large": {"/w/v1/lookup": looked_up(size=10**15)},
    "no size": {"/w/v1/lookup": looked_up(size="many")},
    "no number": {"/w/v1/lookup": looked_up(size=float("inf"))},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_hub_that_lies_about_a_wheel_has_none(lie: str, full: RunningHub, meddler: Meddler, laptop: Laptop) -> None:
    meddler.changes.update(LIES[lie])

    environment, said = laptop.install(*FORCED)

    assert laptop.built() == ["beta"]
    assert packages_of(environment) == ["beta"]
    assert 1 <= said.count("Warning:") <= 2, said
    assert laptop.left() == []


CONTENTS = {
    "no zip": b"no wheel" * 100,
    "another project": wheel("gamma", "1.0").content,
    "another version": wheel("beta", "2.0").content,
    "the half of it": wheel("beta", "1.0", size=4_000).content[:2_000],
    "a broken file": wheel("beta", "1.0", size=4_000).content.replace(payload(4_000, seed="beta-1.0"), bytes(4_000)),
    "no metadata": wheel("beta", "1.0").content.replace(b".dist-info", b".dist_info"),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_bytes_that_are_as_promised_and_no_wheel_of_it_are_none(
    content: str, full: RunningHub, meddler: Meddler, laptop: Laptop
) -> None:
    body = CONTENTS[content]
    meddler.changes["/w/v1/lookup"] = looked_up(sha256=hashlib.sha256(body).hexdigest(), size=len(body))
    meddler.orders["/w/f/"] = say(body, "application/octet-stream")

    environment, said = laptop.install(*FORCED)

    assert laptop.built() == ["beta"]
    assert packages_of(environment) == ["beta"]
    assert "is not taken" in said


KNOWN = {"name": "plain", "project": "plain", "version": "1.0", "filename": "plain-1.0-py3-none-any.whl"}


@pytest.mark.parametrize("wheels", [5, [1], [{}], [{**KNOWN, "seconds": "many"}], [{**KNOWN, "seconds": float("nan")}]])
def test_what_a_hub_says_afterwards_breaks_no_installation(wheels: object, meddler: Meddler, laptop: Laptop) -> None:
    meddler.orders["/w/v1/known"] = say(json.dumps({"wheels": wheels}).encode(), "application/json")
    python = laptop.environment() / "bin" / "python"

    ended = laptop.call("install", "--json", "--python", python, "plain")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout, parse_constant=pytest.fail)["saved_seconds"] == 0
    assert "Traceback" not in ended.stderr


def test_a_hub_that_does_not_say_what_was_built_is_not_guessed_for(meddler: Meddler, laptop: Laptop) -> None:
    """A wrong password, again and again, is 429; then a built wheel was told as "from the index"."""
    meddler.orders["/w/v1/known"] = status(429, b"{}", **{"Retry-After": "30"})
    python = laptop.environment() / "bin" / "python"

    ended = laptop.call("install", "--json", "--python", python, "plain")

    assert json.loads(ended.stdout)["origins_known"] is False
    assert "1 from the index (or built by others)" in ended.stderr


def test_what_a_terminal_would_obey_is_not_shown(full: RunningHub, meddler: Meddler, laptop: Laptop) -> None:
    reason = "\x1b]0;owned\x07 \x1b[2J no compiler"
    meddler.changes["/w/v1/lookup"] = looked_up(state="failed", reason=reason)

    _, said = laptop.install(*FORCED)

    assert "\x1b" not in said
    assert "no compiler" in said


TROUBLES: dict[str, Answerer] = {
    "HTML": say(b"<html>a portal</html>"),
    "garbage": garbage(),
    "elsewhere": redirect_to("http://127.0.0.1:9/w/v1/lookup", 307),
    "a password of another host": status(401, b"{}", **{"WWW-Authenticate": 'Basic realm="other"'}),
    "a broken answer": close_at(0.5),
    "an error": status(500, b"oops"),
    "a full disk": status(507, b'{"title": "Full"}', **{"Content-Type": "application/problem+json"}),
}


LATER = [pytest.param(path, marks=pytest.mark.installed) for path in ("/w/v1/lease", "/w/v1/entries", "/w/f/")]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("path", ["/w/v1/lookup", *LATER])
def test_whatever_goes_wrong_at_the_cache_the_wheel_is_built(
    trouble: str, path: str, full: RunningHub, meddler: Meddler, laptop: Laptop
) -> None:
    meddler.orders[path] = TROUBLES[trouble]
    where = ("-u", *FORCED) if path in {"/w/v1/lease", "/w/v1/entries"} else FORCED
    flags: Any = {"CFLAGS": "-O3"} if path in {"/w/v1/lease", "/w/v1/entries"} else {}  # which the hub has no wheel of

    environment, said = laptop.install(*where, UV_HTTP_RETRIES="0", **flags)

    assert packages_of(environment) == ["beta"]
    assert laptop.built() == ["beta"]
    assert 1 <= said.count("Warning:") <= 2, said
    assert "Traceback" not in said
    assert laptop.variables()["CREAMERY_TOKEN"] not in said


@pytest.mark.parametrize("trouble", ["HTML", "garbage", "a broken answer", "an error", "silence"])
def test_what_is_no_hub_is_passed_over_in_one_line_where_that_is_said(
    trouble: str, meddler: Meddler, laptop: Laptop, upstream: Upstream
) -> None:
    meddler.orders["/"] = hang() if trouble == "silence" else TROUBLES[trouble]

    environment, said = laptop.install("--allow-fallback", "plain", UV_DEFAULT_INDEX=upstream.url)
    python = environment / "bin" / "python"
    refused = laptop.call("install", "--python", python, "beta", UV_DEFAULT_INDEX=upstream.url)

    assert packages_of(environment) == ["plain"]
    assert said.count("Warning:") == 1, said
    assert "It is not asked; what you have configured is." in said
    assert refused.returncode == 3
    assert "--allow-fallback" in refused.stderr


# Names of the hub's own


@pytest.fixture
def elsewhere() -> Iterator[Upstream]:
    """Another index, into which somebody has put packages of the hub's names."""
    with Upstream() as started:
        started.add("acme-tool", "9.0")
        started.add("corp-x", "9.0")
        started.add("wants-corp", "1.0", requires=["corp-x"])
        started.add("plain", "1.0")
        started.add_file("beta", "1.0", counted_sdist("beta"))
        yield started


@pytest.fixture
def knowing(upstream: Upstream, tmp_path: Path) -> Iterator[Laptop]:
    """It has asked a hub once that has names of its own, and cannot reach it now."""
    settings = {"upstreams": [upstream.url], "reserved": ["corp-*"]}
    with RunningHub(tmp_path / "own", index=settings) as hub, Meddler(hub.base) as between:
        token_of(hub, "ann", SCOPES)
        host(hub, "acme-tool", owner="ann")
        made = Laptop(tmp_path / "knowing", hub)
        made.base = between.base
        made.install("plain")
        between.stop()
        yield made


def words(laptop: Laptop, *more: str) -> tuple[Path, list[str | Path]]:
    environment = laptop.environment()
    return environment, ["install", "--allow-fallback", "--python", environment / "bin" / "python", *more]


OWN = ["acme-tool", "Acme.Tool>=1", "corp-x", "wants-corp", "-q corp-x", "-qU corp-x", "--color always corp-x"]


@pytest.mark.parametrize("asked", OWN)
def test_a_name_of_the_hubs_own_never_comes_from_elsewhere(asked: str, knowing: Laptop, elsewhere: Upstream) -> None:
    environment, called = words(knowing, "plain", *asked.split())

    ended = knowing.call(*called, UV_DEFAULT_INDEX=elsewhere.url)

    assert ended.returncode != 0
    assert "acme-tool" in ended.stderr or "corp-" in ended.stderr
    assert packages_of(environment) == []
    assert [seen.path for seen in elsewhere.requests("/packages/") if seen.path.endswith(".whl")] == []


def test_what_else_there_is_comes_unless_it_must_be_built_first(knowing: Laptop, elsewhere: Upstream) -> None:
    environment, called = words(knowing, "--", "plain")  # what is added was taken for requirements
    other, builds = words(knowing, "beta")

    ended = knowing.call(*called, UV_DEFAULT_INDEX=elsewhere.url)
    refused = knowing.call(*builds, UV_DEFAULT_INDEX=elsewhere.url)
    ran = knowing.call("run", "--allow-fallback", "--", "true")

    assert ended.returncode == 0, ended.stderr
    assert packages_of(environment) == ["plain"]
    assert (refused.returncode, packages_of(other), knowing.built()) == (3, [], [])
    assert "nobody can tell" in refused.stderr
    assert ran.returncode == 3
    assert "names of its own" in ran.stderr


def test_what_a_build_needs_is_kept_out_as_well(
    upstream: Upstream, elsewhere: Upstream, knowing: Laptop, tmp_path: Path
) -> None:
    elsewhere.add("newer", "1.0")
    elsewhere.add_file("newer", "2.0", counted_sdist("newer", "2.0", requires=["corp-x"]))
    for requires in ("acme-tool", "corp-x"):
        tree = tmp_path / requires
        tree.mkdir()
        for name, content in counted_files("mine", "1.0").items():
            (tree / name).write_bytes(content.replace(b"requires = []", f"requires = ['{requires}']".encode()))
    by_file = tmp_path / "asked.txt"
    by_file.write_text("--no-binary newer\nnewer\n")
    forgetful = Laptop(tmp_path / "forgetful", None)  # its hub has claimed names alone
    memory = next((knowing.folder / "home").rglob("names/*.json"))
    told = json.loads(memory.read_text())
    own = forgetful.folder / "home" / memory.relative_to(knowing.folder / "home")
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps({**told, "reserved": []}))
    forgetful.base = knowing.base

    for laptop, asked in [
        (knowing, [f"{tmp_path}/corp-x"]),
        (knowing, ["-r", f"{by_file}"]),
        (knowing, ["newer"]),
        (forgetful, [f"{tmp_path}/acme-tool"]),
    ]:
        environment, called = words(laptop, *asked)
        ended = laptop.call(*called, UV_DEFAULT_INDEX=elsewhere.url)
        assert {"corp_x", "mine"}.isdisjoint(packages_of(environment)), ended.stderr
        assert laptop.built() == []
    fetched = [seen.path.rpartition("/")[2] for seen in elsewhere.requests("/packages/")]
    assert {"acme_tool-9.0-py3-none-any.whl", "corp_x-9.0-py3-none-any.whl"}.isdisjoint(fetched)


def test_what_is_pinned_by_hashes_falls_back_by_itself(upstream: Upstream, hub: RunningHub, tmp_path: Path) -> None:
    laptop = Laptop(tmp_path / "far", hub)
    laptop.base = "http://127.0.0.1:9"
    pinned, loose = laptop.folder / "pinned.txt", laptop.folder / "loose.txt"
    pinned.write_text(f"beta==1.0 \\\n    --hash=sha256:{counted_sdist('beta', is_static=False).sha256}\n")
    loose.write_text(pinned.read_text() + "plain==1.0\n")
    python = laptop.environment() / "bin" / "python"

    environment, said = laptop.install("-r", pinned, "--", UV_DEFAULT_INDEX=upstream.url)
    refused = laptop.call("install", "--python", python, "-r", loose, UV_DEFAULT_INDEX=upstream.url)
    taken_back = ("--require-hashes", "--no-require-hashes", "plain")
    unpinned = laptop.call("install", "--python", python, *taken_back, UV_DEFAULT_INDEX=upstream.url)

    assert packages_of(environment) == ["beta"]
    assert said.count("Warning:") == 1
    assert refused.returncode == 3
    assert unpinned.returncode != 0


def test_what_is_pinned_falls_back_from_a_hub_with_names_of_its_own_but_for_these(
    knowing: Laptop, elsewhere: Upstream
) -> None:
    for name, version in (("acme-tool", "9.0"), ("corp-x", "9.0"), ("plain", "1.0")):
        pinned, known = knowing.folder / f"{name}.txt", wheel(name, version)
        pinned.write_text(f"{name}=={version} --hash=sha256:{known.sha256}\n")

        for more in ([], ["--require-hashes"]):
            environment = knowing.environment()
            python = environment / "bin" / "python"
            ended = knowing.call("install", "--python", python, *more, "-r", pinned, UV_DEFAULT_INDEX=elsewhere.url)
            assert packages_of(environment) == (["plain"] if name == "plain" else []), ended.stderr
            assert (ended.returncode == 0) is (name == "plain")


@pytest.mark.parametrize("looks_pinned", ["what it requires is not", "a comment", "pip's variable"])
def test_what_only_looks_pinned_does_not_fall_back(
    looks_pinned: str, elsewhere: Upstream, hub: RunningHub, tmp_path: Path
) -> None:
    laptop = Laptop(tmp_path / "far", hub)
    laptop.base = "http://127.0.0.1:9"
    asked = laptop.folder / "asked.txt"
    digest = wheel("wants-corp", "1.0", requires=["corp-x"]).sha256
    required = f"wants-corp==1.0 --hash=sha256:{digest}\n"
    asked.write_text(required if looks_pinned == "what it requires is not" else f"plain==1.0 # --hash=sha256:{digest}")
    more: Any = {"PIP_REQUIRE_HASHES": "1"} if looks_pinned == "pip's variable" else {}
    environment = laptop.environment()

    python = environment / "bin" / "python"
    ended = laptop.call("install", "--python", python, "-r", asked, UV_DEFAULT_INDEX=elsewhere.url, **more)

    assert ended.returncode != 0, ended.stderr
    assert packages_of(environment) == []


def test_a_lock_file_falls_back_from_a_hub_with_names_of_its_own(knowing: Laptop, elsewhere: Upstream) -> None:
    known, lock = wheel("plain", "1.0"), knowing.folder / "pylock.toml"
    url = f"{elsewhere.url.partition('/simple')[0]}{stored_at(known.sha256, known.filename)}"
    lock.write_text(
        'lock-version = "1.0"\ncreated-by = "a test"\n[[packages]]\nname = "plain"\nversion = "1.0"\n'
        f'[[packages.wheels]]\nurl = "{url}"\nhashes = {{sha256 = "{known.sha256}"}}\n'
    )

    environment, said = knowing.install("-r", lock)

    assert packages_of(environment) == ["plain"], said


def test_what_needs_no_hub_is_installed_without_it(laptop: Laptop) -> None:
    known = wheel("plain", "1.0")
    (laptop.folder / known.filename).write_bytes(known.content)
    laptop.base = "http://127.0.0.1:9"

    environment, said = laptop.install(laptop.folder / known.filename)

    assert packages_of(environment) == ["plain"]
    assert "Warning" not in said


def test_uv_is_not_stopped_half_way_by_a_hub_that_says_nothing_of_its_names(laptop: Laptop, meddler: Meddler) -> None:
    meddler.orders["/w/v1/names"] = TROUBLES["HTML"]
    meddler.orders["/w/i/plain/plain-1.0"] = after(2, meddler.let_through)

    environment, _ = laptop.install("plain")

    assert packages_of(environment) == ["plain"]


def test_a_hub_that_dies_in_between_does_not_break_what_may_fall_back(
    laptop: Laptop, meddler: Meddler, upstream: Upstream
) -> None:
    dying: Answerer = close_at(0.0)

    async def die(exchange: Exchange) -> None:
        meddler.orders["/"] = dying
        await dying(exchange)

    meddler.orders["/w/i/plain/plain-1.0"] = die
    environment, said = laptop.install("--allow-fallback", "plain", UV_DEFAULT_INDEX=upstream.url, UV_HTTP_RETRIES="0")

    assert packages_of(environment) == ["plain"]
    assert "It is not asked" in said


def test_a_hub_that_is_killed_while_something_is_built_costs_the_sharing_alone(
    laptop: Laptop, meddler: Meddler
) -> None:
    environment = laptop.environment()
    words = ("install", "-u", "--python", environment / "bin" / "python", *FORCED)
    with laptop.start(*words, BUILD_DOES="wait:1") as started:
        laptop.wait_until(lambda: laptop.built() == ["beta"])
        meddler.stop()
        _, said = started.communicate(timeout=60)

    assert started.returncode == 0, said
    assert packages_of(environment) == ["beta"]
    assert "was not shared" in said
    assert said.count("Warning:") == 1, said
    assert laptop.left() == []


def test_ctrl_c_while_something_is_shared_ends_it_and_leaves_no_lease(
    laptop: Laptop, meddler: Meddler, hub: RunningHub, tmp_path: Path
) -> None:
    meddler.orders["/w/v1/entries"] = hang()
    environment = laptop.environment()
    words = ("install", "-u", "--python", environment / "bin" / "python", *FORCED)
    with laptop.start(*words) as started:
        laptop.wait_until(lambda: any(seen.path.startswith("/w/v1/entries") for seen in meddler.seen))
        laptop.wait_until(lambda: packages_of(environment) == ["beta"])
        os.killpg(started.pid, signal.SIGINT)
        _, said = started.communicate(timeout=60)

    assert started.returncode == 130
    assert "not everything that was built here is shared" in said
    assert packages_of(environment) == ["beta"]
    assert laptop.left() == []
    (key,) = {seen.path.rpartition("/")[2] for seen in meddler.seen if seen.path.startswith("/w/v1/entries")}
    look = hub.client.post(f"{hub.base}/w/v1/lookup", json={"keys": [key]}).json()
    assert look["keys"][key]["state"] == "miss"


def test_a_wheel_that_hardly_comes_is_built(
    full: RunningHub, meddler: Meddler, laptop: Laptop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer = Offer("beta-1.0-py3-none-any.whl", "0" * 64, 10**6, "")
    monkeypatch.setattr("creamery.client.hub_cache.SLOW_SECONDS", 0.2)

    async def hardly(exchange: Exchange) -> None:
        exchange.reply = Reply(body=b"x" * 10**6)
        await drip(2_000)(exchange)

    meddler.orders["/w/f/"] = hardly

    with pytest.raises(HubError, match="too slowly"):
        HubCache(Hub(parse_address(meddler.base)[0]).at_root()).fetch(offer, tmp_path / "wheel", 10**9)

    assert not (tmp_path / "wheel").exists()


def test_a_home_that_cannot_be_written_to_is_said_and_no_hindrance(laptop: Laptop) -> None:
    (laptop.folder / "home" / ".local").write_text("a file where a folder should be")

    environment, said = laptop.install("plain")

    assert packages_of(environment) == ["plain"]
    assert said.count("cannot be remembered") == 1


def test_a_socket_whose_path_would_be_too_long_is_a_port(full: RunningHub, laptop: Laptop) -> None:
    deep = laptop.folder / "tmp" / ("d" * 120)
    deep.mkdir()

    environment, _ = laptop.install(*FORCED, TMPDIR=str(deep))

    assert packages_of(environment) == ["beta"]
    assert laptop.built() == []
