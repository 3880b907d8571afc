"""Sessions: beginning, ending, cookies; and what a stranger tries with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select, update

from creamery.accounts import SecretFile, first_link, set_disabled, thin_sessions
from creamery.accounts.tables import account_session
from creamery.clock import SECOND, Micros
from creamery.database import bump
from creamery.limits import Limits
from tests.doubles.running import RunningHub
from tests.operations.conftest import BY, PASSWORD, Browser

Browsers = Callable[..., Browser]
DAY = 86_400 * SECOND


def change_sessions(hub: RunningHub, **values: int) -> None:
    """As if time had passed."""

    def work(connection: object) -> None:
        connection.execute(update(account_session).values(**values))  # type: ignore[attr-defined]
        bump(connection, "rights")  # type: ignore[arg-type]

    hub.built.hub.committer.write(work)
    hub.built.hub.accounts._forget_from_thread()


def test_who_signs_in_is_known_by_a_cookie_until_they_sign_out(browser: Browsers) -> None:
    alice = browser()

    opened = alice.sign_in("ALICE")

    assert opened.status_code == 201
    assert opened.json()["user"]["name"] == "alice"
    assert alice.ask("GET", "/me").json() | {"csrf_token": None} == {
        "name": "alice",
        "kind": "user",
        "is_admin": False,
        "groups": [],
        "scopes": None,
        "session": opened.json()["id"],
        "csrf_token": None,
    }
    assert alice.ask("DELETE", f"/sessions/{opened.json()['id']}").status_code == 204
    assert alice.session == ""
    assert alice.ask("GET", "/me").status_code == 401


def test_the_cookies_are_kept_from_scripts_other_sites_and_other_hosts(hub: RunningHub, browser: Browsers) -> None:
    plain = browser().sign_in("alice").headers.get_list("set-cookie")

    assert [line.partition("=")[0] for line in plain] == ["creamery-session", "creamery-device"]
    assert all("; Path=/; " in line and "; HttpOnly; SameSite=Lax" in line and "Secure" not in line for line in plain)
    assert not any("Domain" in line for line in plain)


def test_over_tls_the_cookies_belong_to_this_host_alone(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "data", public_url="https://hub.example", index={"upstreams": []}) as hub:
        link = first_link(hub.built.hub.accounts.secret)
        body = {"link": link, "name": "root", "password": PASSWORD}
        answer = hub.client.post(hub.base + "/api/v1/first", json=body)

        lines = answer.headers.get_list("set-cookie")
        assert [line.partition("=")[0] for line in lines] == ["__Host-creamery-session", "__Host-creamery-device"]
        assert all(line.endswith("; Secure") for line in lines)
        cookie = lines[0].partition(";")[0]
        assert hub.get("/api/v1/me", cookie=cookie).status_code == 200
        assert hub.get("/api/v1/me", cookie=cookie.removeprefix("__Host-")).status_code == 401


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_nobody_learns_from_the_answer_who_is_a_user(browser: Browsers, name: str) -> None:
    answer = browser().sign_in(name, "wrong password")

    assert answer.status_code == 401
    assert answer.json()["detail"] == "The user name, password or token is not right, or no longer."
    assert answer.headers["www-authenticate"] == 'Bearer realm="Creamery"'
    assert "set-cookie" not in answer.headers


def test_a_token_opens_no_session(hub: RunningHub, browser: Browsers) -> None:
    alice = browser()
    alice.sign_in("alice")
    token = alice.ask("POST", "/tokens", name="app", scopes=["admin"]).json()["token"]

    assert browser().sign_in("alice", token).status_code == 401


def test_a_sign_in_begins_a_new_session_whatever_cookie_the_browser_had(browser: Browsers) -> None:
    victim, attacker = browser(), browser()
    attacker.sign_in("bob")
    given = attacker.session
    victim.client.cookies.set("creamery-session", given, domain="127.0.0.1")

    victim.sign_in("alice")

    assert victim.session != given
    assert victim.ask("GET", "/me").json()["name"] == "alice"
    assert attacker.ask("GET", "/me").status_code == 401, "the session that was foisted has ended"


@pytest.mark.parametrize(
    "tampered",
    [
        lambda value: value[:-1],
        lambda value: value + "A",
        lambda value: ("B" if value[0] == "A" else "A") + value[1:],
        lambda value: value.rpartition(".")[0],
        lambda value: "",
        lambda value: "é" * 40,
        lambda value: f"{value}; creamery-session={'A' * 32}",
    ],
)
def test_a_cookie_that_the_hub_did_not_make_is_nobodys(
    hub: RunningHub, browser: Browsers, tampered: Callable[[str], str]
) -> None:
    alice = browser()
    alice.sign_in("alice")
    cookie = f"creamery-session={tampered(alice.session)}".encode()

    with hub.statements() as statements:
        answer = httpx2.get(f"{alice.api}/me", headers=[(b"cookie", cookie)], trust_env=False)

    assert answer.status_code == 401
    assert [text for text in statements if "account_" in text] == [], "and costs no look at the database"


def test_a_session_ends_by_age_and_by_rest(hub: RunningHub, browser: Browsers) -> None:
    alice = browser()
    alice.sign_in("alice")
    now = hub.built.hub.clock.now()

    change_sessions(hub, used=now - 6 * DAY)
    assert alice.ask("GET", "/me").status_code == 200
    change_sessions(hub, used=now - 8 * DAY)
    assert alice.ask("GET", "/me").status_code == 401, "limits.session_idle_seconds"
    change_sessions(hub, used=now, expires=now - 1)
    assert alice.ask("GET", "/me").status_code == 401, "limits.session_seconds"
    assert hub.built.hub.committer.write(lambda c: thin_sessions(c, now, Limits())) == 1


def test_a_use_of_a_session_is_written_down_within_seconds(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "data", index={"upstreams": []}, limits={"uses_seconds": 0.05}) as hub:
        link = first_link(hub.built.hub.accounts.secret)
        browser = Browser(hub)
        browser.ask("POST", "/first", link=link, name="root", password=PASSWORD)
        change_sessions(hub, used=hub.built.hub.clock.now() - DAY)
        before = hub.ask(lambda c: c.execute(select(account_session.c.used)).scalar_one())

        browser.ask("GET", "/me")

        hub.wait_until(lambda: hub.ask(lambda c: c.execute(select(account_session.c.used)).scalar_one()) > before)
        browser.client.close()


def test_beyond_so_many_sessions_the_one_unused_for_longest_ends(tmp_path: Path, hashed: str) -> None:
    with RunningHub(tmp_path / "data", index={"upstreams": []}, limits={"sessions": 2}) as hub:
        link = first_link(hub.built.hub.accounts.secret)
        browsers = [Browser(hub) for _ in range(3)]
        browsers[0].ask("POST", "/first", link=link, name="root", password=PASSWORD)
        for later in browsers[1:]:
            later.sign_in("root")

        assert [one.ask("GET", "/me").status_code for one in browsers] == [401, 200, 200]
        for one in browsers:
            one.client.close()


def test_another_password_ends_all_sessions_but_gives_the_one_that_asked_a_new_one(browser: Browsers) -> None:
    alice, thief = browser(), browser()
    alice.sign_in("alice")
    thief.sign_in("alice")
    before = alice.session

    changed = alice.ask("PUT", "/me/password", current=PASSWORD, new="battery staple")

    assert changed.status_code == 200
    assert alice.session != before
    assert alice.ask("GET", "/me").status_code == 200
    assert thief.ask("GET", "/me").status_code == 401
    assert thief.sign_in("alice").status_code == 401
    assert thief.sign_in("alice", "battery staple").status_code == 201


def test_the_password_is_needed_to_change_it(browser: Browsers) -> None:
    alice = browser()
    alice.sign_in("alice")

    assert alice.ask("PUT", "/me/password", current="wrong password", new="battery staple").status_code == 401
    assert alice.ask("PUT", "/me/password", current=PASSWORD, new="short").status_code == 422
    assert alice.ask("GET", "/me").status_code == 200


def test_who_is_disabled_is_out_and_stays_out_when_enabled_again(hub: RunningHub, browser: Browsers) -> None:
    alice = browser()
    alice.sign_in("alice")

    hub.built.hub.committer.write(lambda c: set_disabled(c, "alice", BY, disabled=True))
    assert alice.ask("GET", "/me").status_code == 401
    assert browser().sign_in("alice").status_code == 401
    hub.built.hub.committer.write(lambda c: set_disabled(c, "alice", BY, disabled=False))

    assert alice.ask("GET", "/me").status_code == 401


def test_one_ends_ones_own_sessions_and_nobody_elses(browser: Browsers) -> None:
    alice, elsewhere, bob = browser(), browser(), browser()
    for one, name in ((alice, "alice"), (elsewhere, "alice"), (bob, "bob")):
        one.sign_in(name)
    numbers = [session["id"] for session in alice.ask("GET", "/sessions").json()["items"]]

    assert [bob.ask("DELETE", f"/sessions/{number}").status_code for number in numbers] == [404, 404]
    assert alice.ask("DELETE", "/sessions").json() == {"ended": 1}
    assert [one.ask("GET", "/me").status_code for one in (alice, elsewhere, bob)] == [200, 401, 200]


def test_replacing_the_secret_ends_no_session_until_the_old_one_is_dropped(hub: RunningHub, browser: Browsers) -> None:
    alice, secret, now = browser(), SecretFile(hub.settings.data), hub.built.hub.clock.now()
    alice.sign_in("alice")

    secret.rotate(now, keep_from=Micros(now - DAY))
    assert alice.ask("GET", "/me").status_code == 200, "what was signed with the old one is still believed"
    assert browser().sign_in("alice").status_code == 201

    secret.rotate(Micros(now + 1), keep_from=Micros(now + 2))
    assert alice.ask("GET", "/me").status_code == 401
