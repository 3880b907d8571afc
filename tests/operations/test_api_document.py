"""`/api/v1` does what its OpenAPI document says, whatever it is asked: requests that schemathesis makes, valid or not.

Each role asks a hub of its own. The run may remove whoever asks, take the token back or lock the account; `Asker` then
makes them anew, so that what follows is asked by somebody all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import schemathesis
from schemathesis.auths import AuthContext
from schemathesis.engine import events, from_schema
from sqlalchemy import update

from creamery.accounts import Scope, add_user, create_token, find_user, set_admin, set_disabled, tokens
from creamery.contract import ProjectName
from creamery.http.api import Api
from creamery.http.send import BytesResponse
from creamery.index.ownership import claim
from creamery.jobs import enqueue
from creamery.jobs.tables import job
from tests.doubles.running import RunningHub
from tests.operations.conftest import BY

Role = Literal["administrator", "user", "nobody"]
Phase = Literal["coverage", "fuzzing", "stateful"]

NAMES: Mapping[Role, str] = {"administrator": "root", "user": "alice"}
ASKED_IN_EARNEST: Mapping[Role, set[int]] = {
    "administrator": {200, 201, 204, 404, 405, 422},
    "user": {200, 204, 403, 405, 422},
    "nobody": {401, 405, 422},
}
"""Statuses of a run in which whoever asks stays who they are."""
OF_ONE_ANSWER = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
}
"""The checks that ask no further questions."""
NEVER_SLOWED = {"login_failures": 10**6, "login_failures_address": 10**6, "registrations_address": 10**6}
"""Else all that comes after some wrong passwords would be 429."""


class Asker:
    """Puts a token into each request; a new one, of a user made new, where the run has done away with it."""

    def __init__(self, hub: RunningHub, name: str, *, is_admin: bool) -> None:
        self._hub, self._name, self._is_admin = hub, name, is_admin
        self._write = hub.built.hub.committer.write
        self._token, self._number = "", 0

    def get(self, case: schemathesis.Case[Any], context: AuthContext) -> str:
        user = self._hub.ask(partial(find_user, name=self._name))
        if user is None:
            user = self._write(partial(add_user, name=self._name, password=None, by=BY, is_admin=self._is_admin))
        if user.disabled:
            self._write(partial(set_disabled, name=self._name, by=BY, disabled=False))
        if user.is_admin != self._is_admin:
            self._write(partial(set_admin, name=self._name, by=BY, is_admin=self._is_admin))
        if self._number not in {token.id for token in self._hub.ask(partial(tokens, user_id=user.id))}:
            self._token, made = self._write(
                lambda c: create_token(c, self._name, "a test's", [Scope("admin")], None, BY)
            )
            self._number = made.id
        return self._token

    def set(self, case: schemathesis.Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@contextmanager
def hub_to_ask(data: Path, database_url: str | None = None) -> Iterator[RunningHub]:
    """With users, jobs in each state, and nothing closed to strangers that can be open."""
    elsewhere = {} if database_url is None else {"database_url": database_url}
    accounts = {"registrations_open": True}
    carts = {"anonymous": "off"}  # the document is that of a hub where one signs in
    with RunningHub(
        data, index={"upstreams": []}, accounts=accounts, carts=carts, limits=NEVER_SLOWED, **elsewhere
    ) as hub:
        write, now = hub.built.hub.committer.write, hub.built.hub.clock.now()
        for name in ("root", "alice"):
            write(partial(add_user, name=name, password=None, by=BY, is_admin=name == "root"))
        write(lambda c: claim(c, ProjectName("0"), BY, holder=None, why="a test"))  # a name that is asked for often
        for state in ("done", "failed", "canceled"):
            number = write(lambda c: enqueue(c, "of no handler", {"name": "numpy"}, now=now))
            values = {"state": state, "finished": now}
            write(lambda c, n=number, v=values: c.execute(update(job).where(job.c.id == n).values(v)))  # type: ignore[misc]
        write(lambda c: enqueue(c, "of no handler", {}, now=now))
        yield hub


def defects(
    hub: RunningHub, role: Role, phases: set[Phase], *, examples: int, checks: set[str] | None = None
) -> tuple[list[str], Counter[int]]:
    """What the document promises and the hub does not keep; and how often it answered with which status."""
    schema = schemathesis.openapi.from_url(f"{hub.base}/api/v1/openapi.json")
    if role != "nobody":
        schema.auth.providers.append(Asker(hub, NAMES[role], is_admin=role == "administrator"))
    configure(schema.config, phases, examples, checks)
    found: dict[tuple[str, str, str], str] = {}
    statuses: Counter[int] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found["", "", repr(event)] = repr(event)
        if not isinstance(event, events.ScenarioFinished | events.FuzzScenarioFinished):
            continue
        recorder = event.recorder
        statuses.update(one.response.status_code for one in recorder.interactions.values() if one.response is not None)
        for check in (check for checks in recorder.checks.values() for check in checks):
            if check.failure_info is not None:
                failure = check.failure_info.failure
                key = (recorder.label, check.name, failure.title)
                found.setdefault(key, f"{key}: {failure.message}\n{check.failure_info.code_sample}")
    return list(found.values()), statuses


def configure(config: Any, phases: set[Phase], examples: int, checks: set[str] | None) -> None:
    """What is asked, and what is looked at."""
    config.continue_on_failure = True
    # Whoever asks has one credential or none. Made-up ones cost the hub a hashed password each, as is meant; what
    # becomes of them is in test_permissions.py.
    config.generation.update(
        max_examples=examples, database="none", with_security_parameters=False, deterministic=checks is not None
    )
    for phase in ("examples", "coverage", "fuzzing", "stateful"):
        getattr(config.phases, phase).enabled = phase in phases
    if checks is not None:
        config.checks.update(included_check_names=sorted(checks))
    # What JSON Schema cannot say is refused as 422 too: the length of a password is a setting, a token's end lies
    # ahead, the words of its scopes are those of the doors.
    config.checks.positive_data_acceptance.expected_statuses.append("422")


def test_some_of_what_can_be_asked_is_answered_as_the_document_says(tmp_path: Path) -> None:
    """The same each time, and without the checks that ask again."""
    with hub_to_ask(tmp_path / "data") as hub:
        found, statuses = defects(hub, "administrator", {"fuzzing"}, examples=2, checks=OF_ONE_ANSWER)

    assert not found, "\n\n".join(found)
    assert statuses.keys() >= {200, 204, 404, 422}


@pytest.mark.installed
@pytest.mark.parametrize(
    ("role", "database_kind", "phases"),
    [
        ("administrator", "sqlite", {"coverage", "fuzzing"}),
        ("administrator", "sqlite", {"stateful"}),
        ("administrator", "postgresql", {"coverage", "fuzzing"}),
        ("administrator", "mariadb", {"coverage", "fuzzing"}),
        ("user", "sqlite", {"coverage", "fuzzing"}),
        ("nobody", "sqlite", {"coverage", "fuzzing"}),
    ],
)
def test_whatever_is_asked_is_answered_as_the_document_says(
    tmp_path: Path, role: Role, phases: set[Phase], database_url: str
) -> None:
    """Every check: at the edges of each parameter, at random, and one after the other on what has been made."""
    with hub_to_ask(tmp_path / "data", database_url) as hub:
        found, statuses = defects(hub, role, phases, examples=3)

    assert not found, "\n\n".join(found)
    assert statuses.keys() >= ASKED_IN_EARNEST[role] or phases == {"stateful"}


@pytest.mark.installed
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((b"application/json", 500, b'{"type": "", "title": "", "status": 500}'), "not_a_server_error"),
        ((b"text/plain", 200, b"hello"), "content_type_conformance"),
        ((b"application/json", 200, b'{"items": {}}'), "response_schema_conformance"),
        ((b"application/json", 404, b'{"detail": "no"}'), "content_type_conformance"),
    ],
)
def test_what_the_document_does_not_say_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[bytes, int, bytes], told: str
) -> None:
    """Else the tests above would prove nothing."""
    kind, status, body = answer

    async def answer_wrongly(*_: Any, **__: Any) -> BytesResponse:
        return BytesResponse(body, ((b"content-type", kind),), status)

    monkeypatch.setattr(Api, "_answer", answer_wrongly)
    with hub_to_ask(tmp_path / "data") as hub:
        found, _ = defects(hub, "administrator", {"fuzzing"}, examples=1, checks=OF_ONE_ANSWER)

    assert any(f"'{told}'" in one for one in found), found
