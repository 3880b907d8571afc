"""`curd`, with real uv: through our curd-server, through one as Curdling had it, and through a hub."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from creamery.accounts import Scope
from tests.doubles.counted import counted_files, counted_sdist
from tests.doubles.distributions import wheel
from tests.doubles.laptops import CURD, UV, Laptop, entries_of, packages_of
from tests.doubles.loopback import Exchange, Reply
from tests.doubles.misbehaviour import garbage, hang, redirect_to, say, wrong_bytes
from tests.doubles.old_curds import OldCurds
from tests.doubles.running import RunningHub
from tests.doubles.served import ServedFolder
from tests.doubles.uploading import token_of
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed  # a minute of real installations

SCOPES = [Scope("wheels:push"), Scope("wheels:read"), Scope("index:read")]
ALPHA, BETA, PLAIN = (f"{name}-1.0-py3-none-any.whl" for name in ("alpha", "beta", "plain"))
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Two projects that need building, and one with a wheel."""
    with Upstream() as started:
        started.add_file("alpha", "1.0", counted_sdist("alpha", requires=["beta", "plain"]))
        started.add_file("beta", "1.0", counted_sdist("beta", is_static=False))
        started.add("plain", "1.0")
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "served" / "wheels"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def server(folder: Path) -> Iterator[ServedFolder]:
    """Ours, which stands for an old one."""
    with ServedFolder(folder.parent, "-H", "127.0.0.1", "-p", "0", folder) as served:
        yield served


@pytest.fixture
def old() -> Iterator[OldCurds]:
    with OldCurds() as started:
        yield started


class Machine(Laptop):
    """It calls `curd`; the upstream is what uv asks unless it is told otherwise."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        super().__init__(folder, None)
        self.default = upstream.url

    def curd(self, *words: str | Path, **variables: str) -> tuple[Path, str]:
        """`curd install`, which has to work."""
        return self.install(*words, program=CURD, **{"UV_DEFAULT_INDEX": self.default, **variables})

    def tried(self, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """`curd`, however it ends."""
        return self.call(*words, program=CURD, **{"UV_DEFAULT_INDEX": self.default, **variables})


@pytest.fixture
def one(tmp_path: Path, upstream: Upstream) -> Machine:
    return Machine(tmp_path / "one", upstream)


@pytest.fixture
def two(tmp_path: Path, upstream: Upstream) -> Machine:
    return Machine(tmp_path / "two", upstream)


def warnings(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("Warning:")]


def test_one_machine_builds_and_uploads_and_the_next_needs_neither_builds_nor_the_index(
    one: Machine, two: Machine, server: ServedFolder, folder: Path, upstream: Upstream
) -> None:
    first, said = one.curd("-c", server.base, "-u", "alpha")
    uploaded = sorted(path.name for path in folder.glob("*.whl"))
    upstream.forget()
    second, told = two.curd("-c", f"{server.base}/", "alpha")

    assert sorted(one.built()) == ["alpha", "beta"]
    assert two.built() == []
    assert packages_of(first) == packages_of(second) == ["alpha", "beta", "plain"]
    assert uploaded == [ALPHA, BETA, PLAIN]
    assert [seen.path for seen in upstream.requests() if not seen.path.startswith("/simple/")] == []
    assert "2 built here" in said
    assert "2 of them shared" in said
    assert "1 of the index's uploaded" in said
    assert "3 packages: 3 built by others" in told
    assert warnings(said) == warnings(told) == []
    assert one.left() == two.left() == []


def test_what_curdlings_own_server_says_is_understood(one: Machine, two: Machine, old: OldCurds) -> None:
    one.curd("-c", old.url, "-u", "alpha")
    _, told = two.curd("--curdling-index", old.url, "alpha")

    assert sorted(old.asked("PUT")) == [f"/p/{ALPHA}", f"/p/{BETA}", f"/p/{PLAIN}"]
    assert two.built() == []
    assert warnings(told) == []


def test_what_is_pinned_to_an_sdist_is_had_from_an_old_server(one: Machine, two: Machine, server: ServedFolder) -> None:
    one.curd("-c", server.base, "-u", "beta")
    pins = two.folder / "pins.txt"
    pins.write_text(f"beta==1.0 --hash=sha256:{counted_sdist('beta', is_static=False).sha256}\n")

    environment, _ = two.curd("-c", server.base, "-r", pins)
    two.curd("-c", server.base, "--no-cache", "--no-binary", ":all:", "beta")

    assert packages_of(environment) == ["beta"]
    assert two.built() == []


def test_what_only_the_server_has_is_installed(one: Machine, old: OldCurds) -> None:
    old.add(wheel("private", "2.0", requires=["plain"]))

    environment, _ = one.curd("-c", old.url, "private")

    assert (environment / "bin").exists()
    assert f"/p/{wheel('private', '2.0').filename}" in old.asked()


def test_the_first_that_has_a_version_that_is_asked_for_is_taken(
    one: Machine, old: OldCurds, upstream: Upstream
) -> None:
    old.add(wheel("plain", "0.9"))

    _, any_version = one.curd("-c", old.url, "plain", "-v")
    _, newer = one.curd("-c", old.url, "plain>=1")

    assert "plain==0.9" in any_version
    assert "plain==1.0" in newer


def test_what_does_not_fit_is_built_here(one: Machine, old: OldCurds, upstream: Upstream) -> None:
    old.add(wheel("beta", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64"))
    old.add(wheel("beta", "1.0", tag="cp311-cp311-musllinux_1_2_x86_64"))

    one.curd("-c", old.url, "beta")

    assert one.built() == ["beta"]


def test_settings_of_ones_own_and_repositories_are_no_matter_of_names(
    one: Machine, old: OldCurds, tmp_path: Path
) -> None:
    old.add(wheel("beta", "1.0"))
    for name, content in counted_files("alpha", "1.0").items():
        (tmp_path / name).write_bytes(content)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", *counted_files("alpha", "1.0")), (*who, "commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, env={"PATH": os.environ["PATH"]})

    one.curd("-c", old.url, "-u", "--no-binary", ":all:", "-C", "level=2", "beta")
    one.curd("-c", old.url, "-u", f"alpha @ git+file://{tmp_path}")

    assert sorted(one.built()) == ["alpha", "beta"]
    assert old.asked("PUT") == []


@pytest.mark.parametrize("kind", ["wrong bytes", "another name", "hangs", "garbage", "html", "500", "sends nowhere"])
def test_a_server_that_lies_or_hangs_is_passed_over(one: Machine, old: OldCurds, kind: str) -> None:
    old.add(wheel("beta", "1.0"))
    if kind == "wrong bytes":
        old.misbehave("/p/", wrong_bytes())
    elif kind == "another name":
        old.files[BETA] = wheel("gamma", "1.0").content
        old.digests[BETA] = wheel("gamma", "1.0").sha256
    elif kind == "sends nowhere":  # uv tried again and again, and gave up
        old.misbehave("/p/", redirect_to("http://[nowhere/"))
    elif kind == "500":
        old.misbehave("/p/", say(b"Internal Server Error", code=500))
    elif kind == "html":
        old.misbehave("/api/beta", say(b"<h1>hello</h1>"))
    else:
        old.misbehave("/", hang() if kind == "hangs" else garbage())

    environment, said = one.curd("-c", old.url, "beta")

    assert packages_of(environment) == ["beta"]
    assert one.built() == ["beta"]
    assert len(warnings(said)) == 1, said


def test_a_dead_server_is_said_in_one_line_and_the_next_is_asked(one: Machine, old: OldCurds) -> None:
    old.add(wheel("beta", "1.0"))

    _, said = one.curd("-c", DEAD, "-c", old.url, "beta")
    _, alone = one.curd("-c", DEAD, "-u", "beta", "--no-cache")

    assert [DEAD in line and "It is passed over." in line for line in warnings(said)] == [True]
    assert len(warnings(alone)) == 1
    assert one.built() == ["beta"]
    wrong = one.tried("install", "-c", "constraints.txt", "beta")
    assert wrong.returncode == 2
    assert "is no hub's address" in wrong.stderr


def test_a_refused_upload_is_one_line_and_no_failure(one: Machine, old: OldCurds) -> None:
    old.misbehave("/p/", say(b"Unauthorized Access", code=401))

    environment, said = one.curd("-c", old.url, "-u", "alpha")

    assert packages_of(environment) == ["alpha", "beta", "plain"]
    assert len(warnings(said)) == 1
    assert "401" in said


def test_a_server_that_takes_a_wheel_and_then_is_silent_is_not_waited_for(one: Machine, old: OldCurds) -> None:
    async def only_puts_hang(exchange: Exchange) -> None:
        await (hang() if exchange.request.method == "PUT" else Exchange.send)(exchange)

    old.misbehave("/p/", only_puts_hang)

    environment, said = one.curd("-c", old.url, "-u", "alpha")

    assert packages_of(environment) == ["alpha", "beta", "plain"]
    assert len(warnings(said)) == 1


def test_what_uv_has_built_before_is_said_to_be_missing(one: Machine, old: OldCurds) -> None:
    one.curd("beta")

    _, said = one.curd("-c", old.url, "-u", "beta", "plain")

    assert old.asked("PUT") == [f"/p/{PLAIN}"]
    assert ["beta" in line and "--no-cache" in line for line in warnings(said)] == [True]


def test_a_netrc_file_may_say_who_asks_and_a_proxy_is_not_asked_for_this_machine(one: Machine, old: OldCurds) -> None:
    old.add(wheel("beta", "1.0"))
    old.password = "user:passwd"
    netrc = one.folder / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1\nlogin user\npassword passwd\n")
    netrc.chmod(0o600)

    _, said = one.curd("-c", old.url, "beta", HTTP_PROXY=DEAD, NO_PROXY="localhost", UV_DEFAULT_INDEX=one.default)

    assert one.built() == []
    assert warnings(said) == []


def test_credentials_go_to_the_servers_own_address_alone(one: Machine, two: Machine, old: OldCurds) -> None:
    old.password = "user:passwd"
    known = old.url.replace("//", "//user:passwd@")
    old.add(wheel("beta", "1.0"))
    with OldCurds() as elsewhere:
        elsewhere.add(wheel("beta", "1.0"))
        _, said = one.curd("-c", known, "-u", "alpha")
        old.said_at = elsewhere.url
        two.curd("-c", known, "beta")

        assert [seen.headers.get("authorization") for seen in elsewhere.seen] == [None]
    assert f"/p/{ALPHA}" in old.asked("PUT")
    assert one.built() == ["alpha"]
    assert two.built() == []
    assert "passwd" not in said
    assert one.tried("install", "-c", old.url, "plain").stderr.count("401") == 1


def test_no_password_is_shown_to_what_runs_below(one: Machine, old: OldCurds, upstream: Upstream) -> None:
    old.password = "user:passwd"
    shown, spied, spy = (one.folder / name for name in ("shown.txt", "spied.txt", "spy"))
    spy.write_text(f'#!/bin/sh\n(printf "%s\\n" "$@"; env) >> {spied}\nexec {UV} "$@"\n')
    spy.chmod(0o755)
    index = upstream.url.replace("//", "//me:secret@")
    upstream.misbehave("*", wants_a_password)

    _, said = one.curd(
        *("-c", old.url.replace("//", "//user:passwd@"), "-u", "-i", index, "alpha"),
        UV=str(spy),
        BUILD_DOES="show",
        SHOWN=str(shown),
        CREAMERY_TOKEN="crm_abc",
    )

    everything = shown.read_text() + spied.read_text() + said
    assert spied.read_text().count("\nBUILDS=") >= 4  # find, install, show, compile
    assert [word for word in ("passwd", "secret", "crm_abc") if word in everything] == []
    assert [seen for seen in old.seen if "crm_abc" in seen.headers.get("authorization", "")] == []
    assert sorted(old.asked("PUT")) == [f"/p/{ALPHA}", f"/p/{BETA}", f"/p/{PLAIN}"]


async def wants_a_password(exchange: Exchange) -> None:
    if "authorization" not in exchange.request.headers:
        exchange.reply = Reply(401, {"WWW-Authenticate": "Basic"})
    await exchange.send()


def test_indexes_are_asked_instead_of_the_default_one_in_their_order(
    one: Machine, server: ServedFolder, upstream: Upstream
) -> None:
    with Upstream() as other:
        other.add("plain", "3.0")
        other.add("other", "1.0")
        words = ("-i", other.url, "--index", upstream.url, "-u", "-c", server.base)
        _, said = one.curd(*words, "plain", "other", "beta", UV_DEFAULT_INDEX=f"{DEAD}/simple/")

    assert "plain==3.0" in said
    assert "2 of the index's uploaded" in said


@pytest.mark.parametrize("place", ["option", "file", "nowhere"])
def test_nothing_is_sent_that_was_not_installed(one: Machine, old: OldCurds, place: str, tmp_path: Path) -> None:
    """A stranger's package was sent as the team's: it had the name, where uv asks unless it is told otherwise."""
    ours = wheel("plain", "1.0", requires_python=">=3.8")
    (tmp_path / PLAIN).write_bytes(ours.content)
    (tmp_path / "file").write_text(f"--find-links {tmp_path}\nplain\n")
    (tmp_path / "nowhere").write_text(f"-r {tmp_path}/file\n")  # such a file's indexes uv reads, and nobody here
    words = ("--find-links", tmp_path, "plain") if place == "option" else ("-r", tmp_path / place)

    _, said = one.curd("-c", old.url, "-u", *words)

    assert old.files == ({} if place == "nowhere" else {PLAIN: ours.content})
    assert sum("not what was installed" in line for line in warnings(said)) == (place == "nowhere")


def test_a_hub_is_what_it_is_to_creamery_install(
    tmp_path: Path, one: Machine, two: Machine, old: OldCurds, upstream: Upstream
) -> None:
    old.add(wheel("private", "1.0"))
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url]}) as hub:
        name, password = token_of(hub, "ann", SCOPES)
        one.curd("-c", f"{hub.base}/w/".replace("//", f"//{name}:{password}@", 1), "-u", "alpha", UV_DEFAULT_INDEX=DEAD)
        _, told = two.curd("-c", hub.base, "-c", old.url, "alpha", "private", UV_DEFAULT_INDEX=DEAD)

        assert len(entries_of(hub, "alpha")) == len(entries_of(hub, "beta")) == 1
    assert sorted(one.built()) == ["alpha", "beta"]
    assert two.built() == []
    assert "4 packages: 1 from the index, 3 built by others" in told


def test_a_hubs_token_may_be_in_the_environment(
    tmp_path: Path, one: Machine, two: Machine, old: OldCurds, upstream: Upstream
) -> None:
    old.add(wheel("plain", "1.0"))
    doors = {"index": {"upstreams": [upstream.url], "read": "users"}, "wheels": {"read": "users"}}
    with RunningHub(tmp_path / "data", **doors) as hub:
        token = token_of(hub, "ann", SCOPES)[1]
        one.curd("-c", old.url, "-c", hub.base, "-u", "beta", CREAMERY_TOKEN=token)
        _, told = two.curd("-c", f"{hub.base}/w/", "beta", CREAMERY_TOKEN=token)
        _, without = two.curd("-c", hub.base, "-c", old.url, "plain")

    assert one.built() == ["beta"]
    assert two.built() == []
    assert warnings(told) == []
    assert [f"{hub.base} " in line and "401" in line for line in warnings(without)] == [True]
    assert [seen for seen in old.seen if "authorization" in seen.headers] == []


def test_a_hubs_own_names_are_not_asked_for_behind_it(
    tmp_path: Path, one: Machine, old: OldCurds, upstream: Upstream
) -> None:
    upstream.add("acme-tool", "9.0")
    old.add(wheel("acme-tool", "9.0"))
    with RunningHub(tmp_path / "data", index={"upstreams": [], "reserved": ["acme-*"]}) as hub:
        python = one.environment() / "bin" / "python"
        words = ("install", "--python", python, "-c", hub.base)
        behind = [one.tried(*words, *more, "acme-tool") for more in (("-i", upstream.url), ("-c", old.url))]
        other = one.tried(*words, "-i", upstream.url, "-c", old.url, "plain")

    assert [ended.returncode for ended in behind] == [1, 1]
    assert other.returncode == 0
    assert [seen for seen in upstream.requests() if "acme" in seen.path] == []
    assert [path for path in old.asked() if "acme" in path] == []


def test_a_hub_that_has_gone_is_passed_over_but_for_its_own_names(
    tmp_path: Path, one: Machine, old: OldCurds, upstream: Upstream
) -> None:
    upstream.add("acme-tool", "9.0")
    with RunningHub(tmp_path / "data", index={"upstreams": [upstream.url], "reserved": ["acme-*"]}) as hub:
        base = hub.base
        one.curd("-c", base, "plain")

    environment, said = one.curd("-c", f"{base}/w", "-c", old.url, "plain")
    python = environment / "bin" / "python"
    refused = one.tried("install", "--python", python, "-c", base, "acme-tool")

    assert len(warnings(said)) == 1
    assert refused.returncode != 0
    assert "acme-tool" in refused.stderr
    assert "9.0" not in one.tried("freeze", "--python", python).stdout


def test_force_uninstall_and_freeze_are_uvs(one: Machine, server: ServedFolder) -> None:
    environment, _ = one.curd("plain")
    python = ("--python", environment / "bin" / "python")

    again = one.tried("install", *python, "-fu", "plain")  # uv would take packages from a folder u
    frozen = one.tried("freeze", environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    of_folder = one.tried("freeze", packages)
    gone = one.tried("uninstall", *python, "plain")
    absent = one.tried("uninstall", *python, "plain")
    nowhere = one.tried("freeze", one.folder / "nowhere")
    listed = one.folder / "listed.txt"
    listed.write_text("plain\n")

    assert again.returncode == 0
    assert "1 package: 1 from the index" in again.stderr
    assert frozen.stdout == of_folder.stdout == "plain==1.0\n"
    assert (gone.returncode, absent.returncode) == (0, 0)
    assert nowhere.returncode != 0
    assert "There is no environment or folder of packages at" in nowhere.stderr
    assert one.tried("uninstall", *python, "-r", listed).returncode == 0
    assert one.tried("freeze", environment).stdout == ""


def test_what_is_gone_is_named_and_what_is_unknown_goes_to_uv(one: Machine) -> None:
    gone = one.tried("-l", "DEBUG", "--log-file", "x", "--log-name=y", "-q", "install")
    wrong = one.tried("install", "--no-such-option", "plain")

    assert gone.returncode == 0
    assert [line.split()[1] for line in warnings(gone.stderr)] == ["-l", "--log-file", "--log-name"]
    assert "RUST_LOG" in gone.stderr
    assert wrong.returncode == 2
    assert "--no-such-option" in wrong.stderr
    assert one.tried("install").returncode == 0
    assert one.tried("install", "-c").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_stops_it_finds_nothing_left(one: Machine, server: ServedFolder, number: int) -> None:
    environment = one.environment()
    words = ("install", "--python", environment / "bin" / "python", "-u", "-c", server.base, "beta")
    variables = {"UV_DEFAULT_INDEX": one.default, "BUILD_DOES": "wait:30"}
    with one.start(*words, program=CURD, **variables) as started:
        until = time.monotonic() + 20
        while one.built() != ["beta"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(started.pid, number)
        started.communicate(timeout=20)

    assert started.returncode != 0
    assert packages_of(environment) == []
    assert one.left() == []


def test_ctrl_c_while_it_sends_leaves_the_installation(one: Machine, old: OldCurds) -> None:
    environment = one.environment()
    words = ("install", "--python", environment / "bin" / "python", "-u", "-c", old.url, "plain")

    async def only_puts_hang(exchange: Exchange) -> None:
        await (hang() if exchange.request.method == "PUT" else Exchange.send)(exchange)

    old.misbehave("/p/", only_puts_hang)
    with one.start(*words, program=CURD, UV_DEFAULT_INDEX=one.default) as started:
        until = time.monotonic() + 20
        while not old.asked("PUT"):
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(started.pid, signal.SIGINT)
        _, said = started.communicate(timeout=5)

    assert len(warnings(said)) == 1
    assert one.tried("freeze", environment).stdout == "plain==1.0\n"
    assert one.left() == []


@pytest.mark.parametrize(
    "line",
    [
        "curd install curdling[server]",
        "curd install -c http://user:passwd@localhost:8000",
        "curd install -c http://localhost:8000 -u flask",
    ],
)
def test_the_documented_commands_work_as_they_stand(one: Machine, folder: Path, upstream: Upstream, line: str) -> None:
    upstream.add_file("flask", "3.0", counted_sdist("flask", "3.0"))
    environment = one.environment()
    with ServedFolder(folder.parent, "-H", "127.0.0.1", "-p", "0", folder) as served:
        said = line.replace("localhost:8000", served.base.partition("//")[2]).split()[1:]
        where = {} if "curdling[server]" in said else {"VIRTUAL_ENV": str(environment)}
        ended = one.tried(*said, **where, UV_OFFLINE="1" if not where else "0")

        assert ended.returncode == 0, ended.stderr
        assert (folder / "flask-3.0-py3-none-any.whl").exists() == ("-u" in said)
    assert packages_of(environment) == (["flask"] if "flask" in said else [])
