"""Tokens: one's own, and, for administrators, everybody's."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from creamery.accounts import Scope, ScopeWord, Token, create_token, parse_scope, revoke_token, tokens
from creamery.clock import SECOND, Micros
from creamery.door import Hub
from creamery.operations.access import user_of
from creamery.operations.api.asking import AfterRow, Asker, Desk, Listed, Name, RowNumber, listed, micros_of
from creamery.operations.api.shapes import MadeToken, NewToken, ShownToken
from creamery.operations.api.users import user_named

YEAR = 365 * 86_400 * SECOND


def router(hub: Hub, words: Mapping[str, ScopeWord]) -> APIRouter:
    """`/tokens` and `/users/{name}/tokens`."""
    found = APIRouter(tags=["tokens"])
    desk = Desk(hub)
    most = hub.settings.limits.results
    Limit = Annotated[int, Query(ge=1, le=most)]  # noqa: N806 - a type

    async def made(name: str, new: NewToken, request: Request) -> MadeToken:
        scopes: list[Scope] = [parse_scope(scope, words) for scope in new.scopes]
        text, token = await desk.write(
            request, lambda c, by: create_token(c, name, new.name, scopes, _end(new, by.now), by)
        )
        return MadeToken(**ShownToken.facts(token), token=text)

    def shown(rows: list[Token], limit: int) -> Listed[ShownToken]:
        return listed([ShownToken.of(row) for row in rows], limit, lambda token: str(token.id))

    @found.get("/tokens", summary="List one's own tokens, oldest first")
    async def list_own(asker: Asker, after: AfterRow = 0, limit: Limit = most) -> Listed[ShownToken]:
        rows = await desk.read(partial(tokens, user_id=user_of(asker), after=after, limit=limit + 1))
        return shown(rows, limit)

    @found.post("/tokens", status_code=201, summary="Make a token; it is shown once")
    async def make_own(new: NewToken, asker: Asker, request: Request) -> MadeToken:
        user_of(asker)
        return await made(asker.name, new, request)

    @found.delete("/tokens/{token_id}", status_code=204, summary="Take one's own token back")
    async def revoke_own(token_id: RowNumber, asker: Asker, request: Request) -> None:
        owner = user_of(asker)
        await desk.write(request, lambda c, by: revoke_token(c, token_id, by, of_user=owner))

    @found.get("/users/{name}/tokens", summary="List a user's tokens, oldest first")
    async def list_theirs(name: Name, after: AfterRow = 0, limit: Limit = most) -> Listed[ShownToken]:
        rows = await desk.read(lambda c: tokens(c, user_named(c, name).id, after=after, limit=limit + 1))
        return shown(rows, limit)

    @found.post("/users/{name}/tokens", status_code=201, summary="Make a token for a user; it is shown once")
    async def make_theirs(name: Name, new: NewToken, request: Request) -> MadeToken:
        return await made(name, new, request)

    @found.delete("/users/{name}/tokens/{token_id}", status_code=204, summary="Take a user's token back")
    async def revoke_theirs(name: Name, token_id: RowNumber, request: Request) -> None:
        await desk.write(request, lambda c, by: revoke_token(c, token_id, by, of_user=user_named(c, name).id))

    return found


def _end(new: NewToken, now: Micros) -> Micros | None:
    if "expires" not in new.model_fields_set:
        return Micros(now + YEAR)
    return None if new.expires is None else micros_of(new.expires)
