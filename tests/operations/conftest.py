"""A running hub with users, and browsers that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection

from creamery.accounts import By, Passwords, Scope, add_user, create_token
from creamery.accounts.tables import (
    account_group,
    account_identity,
    account_member,
    account_session,
    account_token,
    account_user,
)
from creamery.accounts.throttle import Throttle
from creamery.clock import Micros
from creamery.jobs.tables import job
from creamery.limits import Limits
from tests.doubles.running import RunningHub

PASSWORD = "correct horse"
BY = By(Micros(1_700_000_000_000_000))


class Browser:
    """Keeps cookies, and says where its requests come from, as browsers do."""

    def __init__(self, hub: RunningHub, **headers: str) -> None:
        self.api = hub.base + "/api/v1"
        said = {"Sec-Fetch-Site": "same-origin", **headers}
        self.client = httpx2.Client(timeout=30, headers=said, trust_env=False)

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
        """A request with a JSON body, where one is given."""
        return self.client.request(method, self.api + path, json=body or None, headers=headers)

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx2.Response:
        """POST /sessions."""
        return self.ask("POST", "/sessions", name=name, password=password)

    @property
    def session(self) -> str:
        """What its session's cookie holds; empty: it has none."""
        return self.client.cookies.get("creamery-session") or ""


@pytest.fixture(scope="session")
def hashed() -> str:
    """`PASSWORD`, as it is kept."""
    return Passwords(Limits()).hash(PASSWORD)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub for all tests of a file: starting one takes longer than most of them."""
    with RunningHub(tmp_path_factory.mktemp("hub") / "data", index={"upstreams": []}) as hub:
        yield hub


@pytest.fixture
def hub(running: RunningHub, hashed: str) -> RunningHub:
    """With alice, bob, and root, who is an administrator; nobody else, and nothing that was remembered."""

    def work(connection: Connection) -> None:
        accounts = (account_token, account_session, account_identity, account_member, account_group, account_user)
        for table in (*accounts, job):
            connection.execute(table.delete())
        for name in ("alice", "bob", "root"):
            add_user(connection, name, hashed, BY, is_admin=name == "root")

    hub = running.built.hub
    hub.committer.write(work)
    hub.accounts._authenticator._throttle = Throttle(hub.settings.limits, hub.clock)
    running.client.cookies.clear()
    return running


@pytest.fixture
def browser(hub: RunningHub) -> Iterator[Callable[..., Browser]]:
    """Makes browsers."""
    made: list[Browser] = []

    def make(**headers: str) -> Browser:
        made.append(Browser(hub, **headers))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


@pytest.fixture
def admin(hub: RunningHub) -> Callable[..., httpx2.Response]:
    """Asks the API as root, with a token."""
    text, _ = hub.built.hub.committer.write(lambda c: create_token(c, "root", "a test's", [Scope("admin")], None, BY))

    def ask(method: str, path: str, **body: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {text}"}
        return hub.client.request(method, f"{hub.base}/api/v1{path}", json=body or None, headers=headers)

    return ask
