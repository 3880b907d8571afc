"""Which endpoint answers which path."""

from __future__ import annotations

from typing import cast

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from creamery.http import PUBLIC, Needs, Route, Router, exchange_of
from tests.doubles.wired import Wired


async def nothing(_: Request) -> Response:
    return Response()


def route(path: str, *methods: str) -> Route:
    return Route(methods or ("GET",), path, nothing, PUBLIC)


def test_a_route_that_does_not_declare_its_needs_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="needs"):
        Route(("GET",), "/x", nothing, cast("Needs", None))


@pytest.mark.parametrize("path", ["x", "/{a}{b}", "/{A}", "/{"])
def test_a_path_that_is_none_cannot_be_built(path: str) -> None:
    with pytest.raises(ValueError, match="route"):
        route(path)


def test_two_routes_for_the_same_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="GET"):
        Router({"a": [route("/i/{one}")], "b": [route("/i/{two}", "PUT", "GET")]})


def test_one_segment_and_all_that_are_left_are_not_the_same() -> None:
    Router({"a": [route("/{one}"), route("/{rest*}")]})

    with pytest.raises(ValueError, match="GET"):
        Router({"a": [route("/{rest*}"), route("/{others*}")]})


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("abc", "abc"),
        ("a%2fb", "a/b"),
        ("%2e%2e", ".."),
        ("..", ".."),
        ("%E2%84%AA", "\N{KELVIN SIGN}"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("x" * 5_000, "x" * 5_000),
    ],
)
def test_a_placeholder_is_one_raw_segment_decoded(toy: Wired, raw: str, name: str) -> None:
    assert toy.get(f"/name/{raw}").body.decode() == name


@pytest.mark.parametrize("raw", ["%00", "a%0ab", "%1f", "%7f", "%c2%85", "%ff", "%c0%af", "%", "%2", "%zz"])
def test_a_name_that_nothing_can_have_is_refused(toy: Wired, raw: str) -> None:
    answer = toy.get(f"/name/{raw}")

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("name", "body"), [("known", "at once"), ("other", "after a wait")])
def test_what_is_ready_is_answered_without_the_endpoint(name: str, body: str) -> None:
    async def wait(_: Request) -> Response:
        return Response("after a wait")

    def ready(scope: Scope) -> bool:
        is_known: bool = scope["path_params"] == {"name": "known"}
        return is_known and exchange_of(scope).answer_at_once(200, b"", b"at once")

    with Wired([Route(("GET",), "/things/{name}", wait, PUBLIC, ready=ready)]) as wired:
        assert wired.get(f"/things/{name}").body.decode() == body


@pytest.mark.parametrize("path", ["/", "/nothing", "/name", "/name/", "/name/a/b", "//name/a", "/name//a", "/NAME/a"])
def test_a_path_without_a_route_is_not_found(toy: Wired, path: str) -> None:
    assert toy.get(path).status == 404


def test_other_methods_are_told_which_ones_there_are(toy: Wired) -> None:
    answer = toy.get("/page", "DELETE")

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_options_are_answered(toy: Wired) -> None:
    assert toy.get("/echo", "OPTIONS").headers["allow"] == "OPTIONS, POST, PUT"
    assert toy.get("*", "OPTIONS").status == 204


def test_the_more_literal_route_goes_first(toy: Wired) -> None:
    async def named(request: Request) -> Response:
        return Response(f"{sorted(request.path_params.items())}")

    async def literal(_: Request) -> Response:
        return Response("literal")

    anyone = PUBLIC
    shapes = [
        Route(("GET",), "/i/{project}/{file}", named, anyone),
        Route(("GET",), "/i/{project}/{wheel}.metadata", named, anyone),
        Route(("GET",), "/i/{project}/", literal, anyone),
        Route(("GET",), "/i/@{day}/{file}", named, anyone),
    ]

    with Wired(shapes) as wired:
        assert wired.get("/i/a/b").body == b"[('file', 'b'), ('project', 'a')]"
        assert wired.get("/i/a/b.metadata").body == b"[('project', 'a'), ('wheel', 'b')]"
        assert wired.get("/i/a/").body == b"literal"
        assert wired.get("/i/@x/b").body == b"[('day', 'x'), ('file', 'b')]"
        assert wired.get("/i/a/.metadata").body == b"[('file', '.metadata'), ('project', 'a')]"
