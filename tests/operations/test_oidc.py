"""Signing in with OpenID Connect at a real provider: what people, administrators and strangers see of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import structlog
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from creamery.accounts import (
    add_group,
    add_members,
    add_user,
    find_group,
    find_user,
    first_link,
    identities,
    link_identity,
    set_disabled,
)
from creamery.accounts.oidc import SignIn
from creamery.accounts.passwords import TooManyLogins
from creamery.cli import main
from creamery.http import is_local_path
from creamery.journal import since
from tests.doubles.hand_clock import HandClock
from tests.doubles.misbehaviour import refuse
from tests.doubles.provider import CLIENT, FalseProvider, RealProvider
from tests.doubles.running import RunningHub
from tests.operations.conftest import BY

pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")  # Authlib's, of the package

PUBLIC = "http://hub.test"
CALLBACK = f"{PUBLIC}/login/oidc/callback"


class Person:
    """A browser with somebody in front of it."""

    def __init__(self, hub: RunningHub, provider: RealProvider) -> None:
        self.hub = hub
        self.provider = provider
        self.client = httpx2.Client(trust_env=False, verify=False, timeout=30)

    def get(self, address: str) -> httpx2.Response:
        """Go somewhere on the hub."""
        return self.client.get(address.replace(PUBLIC, self.hub.base))

    def begin(self, after: str = "/account") -> str:
        """Where the hub sends the browser."""
        answer = self.client.get(f"{self.hub.base}/login/oidc", params={"next": after})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def sign_in(self, subject: str, after: str = "/account") -> httpx2.Response:
        """The whole way; the answer to coming back. Nobody as `subject` says no."""
        return self.get(self.provider.sign_in(self.begin(after), subject))

    def me(self) -> Any:
        """Whom the hub takes the browser for; None: nobody."""
        answer = self.get(f"{PUBLIC}/api/v1/me")
        return answer.json() if answer.status_code == 200 else None


People = Callable[..., Person]


@pytest.fixture(scope="session")
def provider() -> Iterator[RealProvider]:
    with RealProvider.started() as running:
        yield running


def hub_over(provider: RealProvider, data: Path, **accounts: Any) -> RunningHub:
    """A hub that trusts the provider, with groups of its own: devs, ops and own."""
    provider.register(CALLBACK)
    known = {"oidc_client_id": provider.client_id, "oidc_client_secret": provider.client_secret}
    accounts = {"oidc_issuer": provider.issuer, **known, **accounts}
    limits = {"login_failures": 100, "login_failures_address": 100}  # many here are refused, from one address
    return RunningHub(data, accounts=accounts, public_url=PUBLIC, limits=limits, index={"upstreams": []})


@pytest.fixture(scope="module")
def hub(provider: RealProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """For all tests here: each has subjects and names of its own."""
    with hub_over(provider, tmp_path_factory.mktemp("hub") / "data", oidc_groups_claim="groups") as running:
        for group in ("devs", "ops", "own"):
            running.built.hub.committer.write(partial(add_group, name=group, by=BY))
        yield running


@pytest.fixture
def person(hub: RunningHub, provider: RealProvider) -> Iterator[People]:
    made: list[Person] = []

    def make(of: RunningHub | None = None) -> Person:
        made.append(Person(of or hub, provider))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


def test_whom_the_provider_knows_becomes_a_user_and_is_signed_in(
    hub: RunningHub, provider: RealProvider, person: People
) -> None:
    provider.knows("s-1", preferred_username="Alice", groups=["Devs", "strangers"])
    alice, before = person(), provider.verified

    answer = alice.sign_in("s-1", after="/account?tab=tokens#top")

    assert (answer.status_code, answer.headers["location"]) == (303, "/account?tab=tokens#top")
    assert answer.headers["cache-control"] == "no-store"
    assert alice.me() | {"csrf_token": "", "session": 0} == {
        "name": "Alice",
        "kind": "user",
        "is_admin": False,
        "groups": ["devs"],
        "scopes": None,
        "session": 0,
        "csrf_token": "",
    }
    assert provider.verified == before + 1, "with PKCE"
    user = hub.ask(lambda c: find_user(c, "alice"))
    assert user.password is None
    assert [one.subject for one in hub.ask(lambda c: identities(c, user.id))] == ["s-1"]
    entries = [(entry.action, entry.subject, entry.actor) for entry in hub.ask(lambda c: since(c, 0, 1_000))][-4:]
    assert entries == [
        ("user added", "Alice", "Alice"),
        ("identity linked", "Alice", "Alice"),
        ("member added", "devs", "Alice"),
        ("signed in", "Alice", "Alice"),
    ]


def test_who_comes_again_is_the_same_whatever_they_are_called_by_then(
    hub: RunningHub, provider: RealProvider, person: People
) -> None:
    provider.knows("s-2", preferred_username="bert")
    assert person().sign_in("s-2").status_code == 303
    provider.knows("s-2", preferred_username="alice")

    bert = person()

    assert bert.sign_in("s-2").status_code == 303
    assert bert.me()["name"] == "bert"


def test_a_user_of_that_name_is_not_taken_over_until_an_administrator_links_them(
    hub: RunningHub, provider: RealProvider, person: People
) -> None:
    write, issuer = hub.built.hub.committer.write, provider.issuer
    write(lambda c: add_user(c, "root", None, BY, is_admin=True))
    provider.knows("s-3", preferred_username="ROOT")
    claimant = person()

    refused = claimant.sign_in("s-3")

    assert refused.status_code == 403
    assert "creamery user link ROOT -- s-3" in refused.json()["detail"]
    assert claimant.me() is None
    write(lambda c: link_identity(c, "root", issuer, "s-3", BY))
    assert claimant.sign_in("s-3").status_code == 303
    assert claimant.me()["is_admin"]


def test_groups_follow_the_claim_and_ones_own_stay(hub: RunningHub, provider: RealProvider, person: People) -> None:
    write = hub.built.hub.committer.write
    provider.knows("s-5", preferred_username="carol", groups=["devs", "own"])
    carol = person()
    carol.sign_in("s-5")
    write(lambda c: add_members(c, "own", ["carol"], BY))  # an administrator's word, from now on

    provider.knows("s-5", preferred_username="carol", groups="ops")
    carol.sign_in("s-5")
    assert carol.me()["groups"] == ["ops", "own"]
    assert "carol" not in hub.ask(lambda c: find_group(c, "devs").members)

    serial = hub.ask(lambda c: since(c, 0, 1_000))[-1].serial
    carol.sign_in("s-5")
    changes = [entry.action for entry in hub.ask(lambda c: since(c, serial, 100))]
    assert changes == ["session ended", "signed in"], "no right has changed"

    provider.knows("s-5", preferred_username="carol")
    carol.sign_in("s-5")
    assert carol.me()["groups"] == ["own"]


def test_only_the_groups_members_get_in_where_one_is_named(
    tmp_path: Path, provider: RealProvider, person: People
) -> None:
    provider.knows("s-6", preferred_username="dora", groups=["Staff"])
    provider.knows("s-7", preferred_username="emil", groups=["staff", "others"])
    with hub_over(provider, tmp_path / "data", oidc_groups_claim="groups", oidc_group="staff") as closed:
        assert person(closed).sign_in("s-6").status_code == 403, "the provider's names are compared letter by letter"
        assert person(closed).sign_in("s-7").status_code == 303
        assert closed.ask(lambda c: find_user(c, "dora")) is None


def test_without_registration_only_who_is_linked_gets_in(
    tmp_path: Path, provider: RealProvider, person: People
) -> None:
    provider.knows("s-8", preferred_username="frida")
    with hub_over(provider, tmp_path / "data", oidc_register=False) as closed:
        frida, write = person(closed), closed.built.hub.committer.write
        refused = frida.sign_in("s-8")
        write(lambda c: add_user(c, "fritzi", None, BY))
        write(lambda c: link_identity(c, "fritzi", provider.issuer, "s-8", BY))
        let_in = frida.sign_in("s-8")

        assert (refused.status_code, let_in.status_code) == (403, 303)
        assert "an administrator can link them: creamery user link NAME -- s-8" in refused.json()["detail"]
        assert frida.me()["name"] == "fritzi"


def test_who_is_disabled_stays_out(hub: RunningHub, provider: RealProvider, person: People) -> None:
    provider.knows("s-9", preferred_username="gus")
    gus = person()
    gus.sign_in("s-9")
    hub.built.hub.committer.write(lambda c: set_disabled(c, "gus", BY, disabled=True))

    assert gus.me() is None
    assert gus.sign_in("s-9").status_code == 403


@pytest.mark.parametrize("subject", ["-s-17", "--help", "s 18'$(id)"])
def test_the_line_that_an_administrator_is_told_to_type_links_them(
    tmp_path: Path, provider: RealProvider, person: People, monkeypatch: pytest.MonkeyPatch, subject: str
) -> None:
    """A subject that begins with `-` was taken for an option, and the sentence's full stop for the subject's."""
    monkeypatch.setenv("CREAMERY_ACCOUNTS_OIDC_ISSUER", provider.issuer)
    monkeypatch.setenv("CREAMERY_ACCOUNTS_OIDC_CLIENT_ID", "hub")
    monkeypatch.setenv("CREAMERY_DATA", str(tmp_path))
    provider.knows(subject, preferred_username="no name")
    told = person().sign_in(subject).json()["detail"].partition("can link them: ")[2]
    program, *arguments = shlex.split(told.replace("NAME", "kim"))

    ran = [CliRunner().invoke(main, line) for line in (["db", "upgrade"], ["user", "add", "kim", "--no-password"])]
    ran += [CliRunner().invoke(main, arguments), CliRunner().invoke(main, ["user", "show", "kim", "--json"])]

    assert (program, [one.exit_code for one in ran]) == ("creamery", [0, 0, 0, 0]), ran[2].output
    assert [one["subject"] for one in json.loads(ran[3].output)["identities"]] == [subject]


@pytest.mark.parametrize("name", ["", "gün", "a b", "hub", "x" * 65, "../etc"])
def test_whom_nobody_can_be_called_is_no_user(
    hub: RunningHub, provider: RealProvider, person: People, name: str
) -> None:
    provider.knows("s-10", preferred_username=name)

    refused = person().sign_in("s-10")

    assert refused.status_code == 403
    assert "creamery user link NAME -- s-10" in refused.json()["detail"]


def test_an_address_counts_as_a_name_only_where_the_provider_has_verified_it(
    tmp_path: Path, provider: RealProvider, person: People
) -> None:
    provider.knows("s-11", email="hans@example.org", email_verified=False, preferred_username="hans")
    provider.knows("s-12", email="ida@example.org", email_verified=True)
    with hub_over(provider, tmp_path / "data", oidc_name_claim="email") as named:
        ida = person(named)

        assert person(named).sign_in("s-11").status_code == 403
        assert ida.sign_in("s-12").status_code == 303
        assert ida.me()["name"] == "ida@example.org"


def test_a_refusal_of_the_providers_is_a_page_and_no_traceback(person: People) -> None:
    somebody = person()
    # Some versions of the provider send the state along with a refusal, as they should; others leave it out.
    back = re.sub(r"&state=[^&]*", "", somebody.provider.sign_in(address := somebody.begin(), ""))
    state = parse_qs(urlsplit(address).query)["state"][0]

    answer = somebody.get(f"{back}&state={state}")

    assert answer.status_code == 403
    assert answer.json()["detail"] == "the provider says access_denied."
    assert somebody.get(back).status_code == 400, "without its state it is anybody's"


def test_another_browsers_sign_in_cannot_be_finished_here(provider: RealProvider, person: People) -> None:
    """Login CSRF: the victim would work, without noticing, in the attacker's account."""
    provider.knows("s-13", preferred_username="mallory")
    attacker, victim = person(), person()
    back = provider.sign_in(attacker.begin(), "s-13")

    without_cookie = victim.get(back)
    victim.begin()
    with_its_own = victim.get(back)

    assert (without_cookie.status_code, with_its_own.status_code) == (400, 400)
    assert victim.me() is None
    assert attacker.get(back).status_code == 303, "where it began it goes on"
    assert attacker.get(back).status_code == 400, "once"


def test_a_sign_in_that_takes_too_long_has_to_begin_again(
    hub: RunningHub, provider: RealProvider, person: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, clock = hub.built.hub.accounts.secret, HandClock()
    monkeypatch.setattr(secret, "_clock", clock)
    monkeypatch.setattr(secret, "_signers", {})
    provider.knows("s-14", preferred_username="jo")
    jo, slow = person(), person()
    backs = provider.sign_in(jo.begin(), "s-14"), provider.sign_in(slow.begin(), "s-14")

    clock.advance(590)
    assert jo.get(backs[0]).status_code == 303
    clock.advance(12)
    assert slow.get(backs[1]).status_code == 400, "limits.sign_in_seconds"


def test_the_cookie_is_the_hubs_alone_and_short_lived(hub: RunningHub) -> None:
    answer = hub.get("/login/oidc")

    (line,) = answer.headers.get_list("set-cookie")
    assert line.startswith("creamery-sign-in=")
    assert line.endswith("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax")
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["redirect_uri"] == [CALLBACK]
    assert asked["scope"] == ["openid profile email"]


def test_a_cookie_that_the_hub_did_not_sign_begins_nothing(provider: RealProvider, person: People) -> None:
    eve = person()
    back = provider.sign_in(eve.begin(), "s-15")
    value = eve.client.cookies["creamery-sign-in"]
    eve.client.cookies.clear()

    answer = eve.client.get(back.replace(PUBLIC, eve.hub.base), headers={"cookie": f"creamery-sign-in={value}x"})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/%5Cevil.example",
        "https:evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "account",
        "",
        "/%09/evil.example",
        "/%0D%0ASet-Cookie:a=b",
        "/%00",
        "/%C3%A9",
        "/a%20b",
        "/" + "a" * 2_000,
        "/&next=//evil.example",
    ],
)
def test_no_sign_in_leads_elsewhere(hub: RunningHub, target: str) -> None:
    answer = hub.get(f"/login/oidc?next={target}")

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers


@settings(max_examples=60)
@given(st.text() | st.text("/\\a.:@?#%\t\r\n ", max_size=12).map("/".__add__))
@example("/\t/evil.example")
@example("/.//evil.example")
def test_a_local_path_stays_on_its_host_however_a_browser_reads_it(text: str) -> None:
    r"""As the URL standard has it: blanks at the ends, and tabs and line breaks anywhere, do not count; `\` is `/`."""
    read = "".join(letter for letter in text if letter not in "\t\r\n").strip("".join(map(chr, range(33))))
    read = read.replace("\\", "/")

    if is_local_path(text):
        assert text.isascii()
        assert read == text
        assert text.startswith("/")
        assert not text.startswith("//")
        joined = httpx2.URL("https://hub.example/login/oidc").join(text)
        assert (joined.scheme, joined.host) == ("https", "hub.example")


def test_nothing_is_there_where_no_provider_is_set(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "data", index={"upstreams": []}) as plain:
        assert [plain.get(f"/login/oidc{path}").status_code for path in ("", "/callback?code=a&state=b")] == [404, 404]


def lying(provider: FalseProvider) -> None:
    provider.claims = {"nonce": "another"}


def endless(provider: FalseProvider) -> None:
    provider.claims = {"exp": 10**400}


def nowhere(provider: FalseProvider) -> None:
    provider.configuration = {"authorization_endpoint": "http://a.example/\u2028"}


def gone(provider: FalseProvider) -> None:
    provider.misbehave["/.well-known/openid-configuration"] = refuse()


@pytest.mark.parametrize("how", [lying, endless, nowhere, gone])
def test_a_provider_that_cannot_be_used_is_a_page_and_a_line_in_the_log(
    tmp_path: Path, how: Callable[[FalseProvider], None]
) -> None:
    with structlog.testing.capture_logs() as logs, FalseProvider() as provider:
        how(provider)
        accounts = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT}
        with RunningHub(tmp_path / "data", accounts=accounts, index={"upstreams": []}) as hub:
            answer = hub.client.get(f"{hub.base}/login/oidc", headers={"accept": "text/html"})
            if answer.status_code == 303:
                back = provider.sign_in(answer.headers["location"])
                answer = hub.client.get(back, headers={"accept": "text/html"})

    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert provider.issuer not in answer.text
    assert "accounts.oidc_refused" in {line["event"] for line in logs}
    assert not any("exc_info" in line for line in logs)


def begun(hub: RunningHub) -> str:
    """The state of a sign-in that the hub's own client has begun."""
    return parse_qs(urlsplit(hub.get("/login/oidc").headers["location"]).query)["state"][0]


def come_back(hub: RunningHub, provider: FalseProvider) -> int:
    """Sign in the whole way; the status of the answer to coming back."""
    back = provider.sign_in(hub.get("/login/oidc").headers["location"])
    return hub.client.get(back).status_code


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[RunningHub, FalseProvider]]:
    """A hub that looks at two wrong codes of an address, then at one in half a minute."""
    with FalseProvider() as provider:
        accounts = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT}
        limits = {"login_failures": 2, "login_failures_address": 2}
        with RunningHub(tmp_path / "data", accounts=accounts, limits=limits, index={"upstreams": []}) as hub:
            yield hub, provider


def test_wrong_codes_are_slowed_by_address_before_the_provider_is_asked(
    watched: tuple[RunningHub, FalseProvider],
) -> None:
    hub, provider = watched
    state = begun(hub)

    strangers = [hub.get("/login/oidc/callback?code=junk&state=another").status_code for _ in range(4)]
    guesses = [hub.get(f"/login/oidc/callback?code=junk&state={state}") for _ in range(3)]

    assert strangers == [400] * 4
    assert [guess.status_code for guess in guesses] == [403, 403, 429]
    assert 0 < int(guesses[2].headers["retry-after"]) <= 31
    assert len(provider.forms) == 2
    assert come_back(hub, provider) == 429


def test_right_codes_cost_nothing(watched: tuple[RunningHub, FalseProvider]) -> None:
    hub, provider = watched

    assert [come_back(hub, provider) for _ in range(4)] == [303] * 4


def test_wrong_codes_keep_nobody_from_signing_in_with_a_password(watched: tuple[RunningHub, FalseProvider]) -> None:
    hub, provider = watched
    link = first_link(hub.built.hub.accounts.secret)
    root = {"name": "root", "password": "correct horse"}
    assert hub.client.post(f"{hub.base}/api/v1/first", json={"link": link, **root}).status_code == 201
    hub.client.cookies.clear()
    assert come_back(hub, provider) == 303

    state = begun(hub)
    statuses = [hub.get(f"/login/oidc/callback?error=access_denied&state={state}").status_code for _ in range(4)]

    assert statuses == [403, 403, 429, 429]
    hub.client.cookies.clear()
    assert hub.client.post(f"{hub.base}/api/v1/sessions", json=root).status_code == 201


def test_an_address_that_says_a_thing_twice_says_nothing_and_is_in_the_log(
    watched: tuple[RunningHub, FalseProvider],
) -> None:
    hub, provider = watched
    back = provider.sign_in(hub.get("/login/oidc").headers["location"])

    with structlog.testing.capture_logs() as logs:
        twice = hub.client.get(f"{back}&code=another"), hub.client.get(f"{back}&{urlsplit(back).query}")

    assert [answer.status_code for answer in twice] == [400, 400]
    assert [line["kind"] for line in logs if line["event"] == "accounts.oidc_refused"] == ["AttemptOver"] * 2
    assert provider.forms == []
    assert hub.get("/login/oidc?next=/a&next=/b").status_code == 400
    assert hub.client.get(back).status_code == 303, "said once it is right"


def test_who_comes_back_while_too_many_do_is_told_so(
    watched: tuple[RunningHub, FalseProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object) -> None:
        raise TooManyLogins

    monkeypatch.setattr(SignIn, "finish", busy)
    hub, _ = watched

    answer = hub.get(f"/login/oidc/callback?code=a&state={begun(hub)}")

    assert (answer.status_code, answer.json()["detail"]) == (503, "Too many sign-ins wait to be looked at.")


def test_no_code_token_or_secret_gets_into_the_log(
    provider: RealProvider, person: People, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    provider.knows("s-16", preferred_username="a b")
    kai = person()
    back = provider.sign_in(kai.begin(), "s-16")
    asked = parse_qs(urlsplit(back).query)

    with structlog.testing.capture_logs() as logs:
        refused = kai.get(back)

    written = capfd.readouterr()
    everything = repr(logs) + written.out + written.err + caplog.text + refused.text
    secrets = [*asked["code"], *asked["state"], provider.client_secret, kai.client.cookies["creamery-sign-in"]]
    assert refused.status_code == 403
    assert "oidc_refused" in everything
    assert [secret for secret in secrets if secret in everything] == []
