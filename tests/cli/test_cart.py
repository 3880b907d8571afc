"""`creamery cart`, against a running hub."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its types are a package of their own
from click.testing import CliRunner, Result
from sqlalchemy import Connection, text

from creamery.accounts import By, Scope, add_user, create_token
from creamery.carts import routes, upkeep
from creamery.cli import main
from tests.doubles.carting import carting_hub
from tests.doubles.running import RunningHub

Run = Callable[..., Result]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[RunningHub]:
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "one").write_bytes(b"1" * 100_000)
    (folder / "two").write_bytes(b"2")
    with carting_hub(tmp_path / "data", folder) as hub:
        yield hub


@pytest.fixture
def run(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREAMERY_HUB", hub.base)

    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, ["cart", *arguments], input=stdin)

    return call


def test_a_cart_is_made_waited_for_and_downloaded(run: Run, tmp_path: Path) -> None:
    uid = run("create", "one", "two=deep/2").output.split()[-1]

    waited, got = run("wait", uid), run("get", uid, "-o", "my.tar")

    assert waited.exit_code == got.exit_code == 0, waited.output + got.output
    assert f"{uid}: ready, 2 of 2 files" in waited.output
    with tarfile.open(tmp_path / "my.tar") as tar:
        assert sorted(tar.getnames()) == ["my/deep/2", "my/one"]
    assert [path.name for path in tmp_path.glob(".my.tar*")] == []


def test_what_was_cut_off_goes_on(run: Run, hub: RunningHub, tmp_path: Path) -> None:
    uid = json.loads(run("create", "one", "--json").output.splitlines()[-1])["uid"]
    run("wait", uid)
    whole = hub.get(f"/carts/{uid}/bundle.tar?filename=my.tar")
    part = tmp_path / f".my.tar.{whole.headers['etag'][1:17]}.part"
    part.write_bytes(whole.content[:5_000])
    hub.wait_until(
        lambda: hub.metric("http_sent_bytes_total", door="carts") > len(whole.content)
    )  # counted a bit later
    sent = hub.metric("http_sent_bytes_total", door="carts")

    done = json.loads(run("get", uid, "-o", "my.tar", "--json").output.splitlines()[-1])

    assert done == {"file": "my.tar", "bytes": len(whole.content)}
    assert (tmp_path / "my.tar").read_bytes() == whole.content
    assert hub.metric("http_sent_bytes_total", door="carts") - sent < len(whole.content)


def test_another_shape(run: Run, tmp_path: Path) -> None:
    uid = run("create", "one", "two=deep/2").output.split()[-1]

    got = run("get", uid, "--format", "zip", "--include", "deep/**", "--root", "some", "-o", "x.zip")

    assert got.exit_code == 0, got.output
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.namelist() == ["some/deep/2"]


def test_a_list_from_a_file_or_from_standard_input(run: Run, tmp_path: Path) -> None:
    listed = json.dumps({"fileids": [{"id": "one", "path": "one", "hashtype": "md5", "hashsum": ""}]})
    (tmp_path / "list.json").write_text(listed, encoding="utf-8")

    assert run("create", "-f", "list.json", "--wait").exit_code == 0
    assert run("create", "-f", "-", "--uid", "named", stdin=listed).output.splitlines()[-1] == "named"
    assert run("create", "-f", "-", stdin="{").exit_code == 2
    assert run("create", "-f", "-", stdin="[]").exit_code == 2
    assert run("create").exit_code == 2


def test_what_failed_is_said_and_staged_anew(run: Run, tmp_path: Path) -> None:
    failed = run("create", "one", "late", "--wait", "--uid", "mine")
    (tmp_path / "archive" / "late").write_bytes(b"at last")
    fixed = run("fix", "mine")

    assert failed.exit_code == 1
    assert "late: " in failed.output
    assert fixed.exit_code == 0, fixed.output
    assert "ready, 2 of 2 files" in fixed.output


def test_carts_are_listed_and_deleted(run: Run) -> None:
    run("create", "one", "--uid", "a", "--wait")
    run("create", "two", "--uid", "b", "--wait")

    listed = json.loads(run("list", "--json").output.splitlines()[-1])
    deleted = run("delete", "a", "b")

    assert [cart["uid"] for cart in listed] == ["b", "a"]
    assert deleted.output.splitlines()[-1] == "Deleted: a, b."
    assert run("list").output.splitlines()[-1] == "There are no carts."
    assert run("status", "a").exit_code == 1
    assert "does not exist or has already been deleted" in run("status", "a").output


def test_a_bad_list_is_refused_with_its_entry(run: Run) -> None:
    refused = run("create", "one=../x")

    assert refused.exit_code == 1
    assert "Entry 0" in refused.output


def test_a_hub_that_is_away_is_told_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREAMERY_HUB", "http://127.0.0.1:9")

    assert run("list").exit_code == 3


def test_administrators_alone_purge_old_carts(run: Run, hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        run("create", "one", "--uid", f"cart-{number}", "--wait")
    stranger = run("purge", "--time-ago", "0 days ago", "--yes")
    monkeypatch.setenv("CREAMERY_TOKEN", token_of(hub, "root", is_admin=True))

    kept = run("purge", "--yes")
    asked = CliRunner().invoke(main, ["cart", "purge", "--time-ago", "0 days ago"], input="n\n")
    purged = json.loads(run("purge", "--time-ago", "0 days ago", "--yes", "--json").output.splitlines()[-1])

    assert (stranger.exit_code, kept.exit_code, asked.exit_code) == (1, 0, 1)
    assert kept.output.splitlines()[-1] == "0 carts deleted."
    assert purged == {"deleted": ["cart-0", "cart-1", "cart-2"]}
    assert run("list").output.splitlines()[-1] == "There are no carts."
    assert run("purge", "--time-ago", "60 months ago", "--yes").exit_code == 2
    read = "SELECT actor, subject FROM journal WHERE action = 'purged' ORDER BY subject"
    rows = hub.ask(lambda connection: connection.execute(text(read)).all())
    assert [tuple(row) for row in rows] == [("root (token 1)", f"cart-{number}") for number in range(3)]
    longest = hub.client.delete(f"{hub.base}/carts?unchanged_for={10**18 - 1}", headers=bearer())
    assert longest.json() == {"deleted": []}


def test_whose_right_ends_meanwhile_purges_nothing(run: Run, hub: RunningHub) -> None:
    run("create", "one", "--uid", "mine", "--wait")
    shared = hub.built.hub

    def permit(_: Connection) -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        upkeep.purge(shared.committer, shared.clock.now(), By(shared.clock.now()), permit)

    assert run("status", "mine").exit_code == 0


def test_a_hub_does_not_say_where_on_this_machine_its_bundle_goes(run: Run, hub: RunningHub, tmp_path: Path) -> None:
    run("create", "one", "--uid", "mine", "--wait")
    hub.built.hub.committer.write(lambda connection: connection.execute(text("UPDATE cart SET name = '../up.tar'")))

    assert run("get", "mine").exit_code == 0

    assert (tmp_path / "up.tar").is_file()
    assert not (tmp_path.parent / "up.tar").exists()


def test_more_are_purged_than_one_request_takes(run: Run, hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PURGED_AT_ONCE", 2)
    monkeypatch.setenv("CREAMERY_TOKEN", token_of(hub, "root", is_admin=True))
    for number in range(5):
        run("create", "one", "--uid", f"cart-{number}", "--wait")

    assert run("purge", "--time-ago", "0 days ago", "--yes").output.splitlines()[-1] == "5 carts deleted."


def test_an_administrator_dumps_everybodys_carts(run: Run, hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "PAGE", 2)
    run("create", "one", "two=deep/2", "none", "--uid", "first", "--wait")
    alice = token_of(hub, "alice")
    monkeypatch.setenv("CREAMERY_TOKEN", alice)
    run("create", "two", "--uid", "second", "--wait")
    own = json.loads(run("dump", "--json").output.splitlines()[-1])
    monkeypatch.setenv("CREAMERY_TOKEN", token_of(hub, "root", is_admin=True))

    every = yaml.safe_load(run("dump").output)

    assert [cart["cart_uid"] for cart in own] == ["second"]
    assert [cart["cart_uid"] for cart in every] == ["second", "first"]
    assert every[0] == own[0]
    files = [(file["file_name"], file["bundle_path"], file["status"]) for file in every[1]["files"]]
    assert files == [("one", "one", "staged"), ("two", "deep/2", "staged"), ("none", "none", "error")]
    assert every[1]["files"][2]["error"]


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ['CREAMERY_TOKEN']}"}


def token_of(hub: RunningHub, name: str, *, is_admin: bool = False) -> str:
    by = By(hub.built.hub.clock.now())
    hub.built.hub.committer.write(partial(add_user, name=name, password=None, by=by, is_admin=is_admin))
    scopes = [Scope("carts:use"), Scope("carts:manage")]
    token, _ = hub.built.hub.committer.write(lambda c: create_token(c, name, "a test's", scopes, None, by))
    return token
