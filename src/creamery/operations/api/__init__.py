"""`/api/v1`: users, groups, tokens, sessions, journal and jobs as JSON.

This table says what there is and who may use it; what answers is in the files beside it, imported when it is asked for.

| path | what |
|---|---|
| `/first`, `/registrations` | become the first administrator; become a user, where that is open |
| `/sessions` | sign in with a browser; one's sessions |
| `/me`, `/me/password`, `/tokens` | oneself, and what is one's own |
| `/users`, `/groups` | everybody, for administrators |
| `/journal`, `/jobs` | what happened, what is to be done, for administrators |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from creamery.accounts import ScopeWord
from creamery.door import Hub
from creamery.http import PUBLIC, Needs, Route
from creamery.operations.access import JOBS, JOURNAL, MANAGE, OWN

if TYPE_CHECKING:
    from fastapi import APIRouter

_TABLE: tuple[tuple[tuple[str, ...], str, Needs, str], ...] = (
    (("POST",), "/first", PUBLIC, "Become the first administrator, with the link that `serve` has printed."),
    (("POST",), "/registrations", PUBLIC, "Become a user, where `accounts.registrations_open` lets anyone."),
    (("POST",), "/sessions", PUBLIC, "Sign in with name and password: a session, and its cookie."),
    (("GET", "DELETE"), "/sessions", Needs(OWN, "session"), "One's own sessions; end all but the one that asks."),
    (("DELETE",), "/sessions/{session_id}", Needs(OWN, "session"), "End a session of one's own; sign out."),
    (("GET",), "/me", Needs(OWN, "user"), "Who asks, and the session's `csrf_token`."),
    (("PUT",), "/me/password", Needs(OWN, "user"), "Change one's password; all other sessions end."),
    (("GET", "POST"), "/tokens", Needs(OWN, "token"), "One's own tokens; make one, which is shown once."),
    (("DELETE",), "/tokens/{token_id}", Needs(OWN, "token"), "Take a token of one's own back."),
    (("GET", "POST"), "/users", Needs(MANAGE, "user"), "All users; add one."),
    (("GET", "PATCH", "DELETE"), "/users/{name}", Needs(MANAGE, "user"), "A user; change or remove them."),
    (("GET", "POST"), "/users/{name}/tokens", Needs(MANAGE, "token"), "A user's tokens; make one for them."),
    (("DELETE",), "/users/{name}/tokens/{token_id}", Needs(MANAGE, "token"), "Take a user's token back."),
    (("GET", "DELETE"), "/users/{name}/sessions", Needs(MANAGE, "session"), "A user's sessions; end them all."),
    (("GET", "POST"), "/groups", Needs(MANAGE, "group"), "All groups; add one."),
    (("GET", "DELETE"), "/groups/{name}", Needs(MANAGE, "group"), "A group and its members; remove it."),
    (("PUT", "DELETE"), "/groups/{name}/members/{user}", Needs(MANAGE, "group"), "Put a user in, or take them out."),
    (("GET",), "/journal", Needs(JOURNAL, "journal"), "What happened: the last entries, or all after a serial."),
    (("GET",), "/jobs", Needs(JOBS, "job"), "Jobs of a state or kind, the newest first."),
    (("GET",), "/jobs/{job_id}", Needs(JOBS, "job"), "A job."),
    (("POST",), "/jobs/{job_id}/retry", Needs(JOBS, "job"), "Let a job wait again that has failed or was cancelled."),
    (("POST",), "/jobs/{job_id}/cancel", Needs(JOBS, "job"), "Take a waiting job back."),
    (("POST",), "/jobs/retry", Needs(JOBS, "job"), "Let all wait again that failed; or of a kind, or were cancelled."),
    (("POST",), "/jobs/cancel", Needs(JOBS, "job"), "Take all waiting jobs back, or those of a kind."),
)


def routes(hub: Hub) -> tuple[Route, ...]:
    """The lines of the door's table."""
    declared = tuple(hub.api.route(*line) for line in _TABLE)
    return (*declared, hub.api.document_route())


def loader(hub: Hub, words: Mapping[str, ScopeWord]) -> Callable[[], APIRouter]:
    """What imports the rest, when somebody asks; `words` are the scopes that tokens may have."""

    def load() -> APIRouter:
        from fastapi import APIRouter  # noqa: PLC0415 - 11 MiB

        from creamery.operations.api import groups, jobs, journal, sessions, tokens, users  # noqa: PLC0415 - with FastAPI

        router = APIRouter()
        for part in (sessions, tokens, users, groups, journal, jobs):
            router.include_router(part.router(hub, words))
        return router

    return load
