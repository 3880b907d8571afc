"""FastAPI's application as the hub has it: its errors are ours, and so are its words for them.

Imported by `Api` alone, when somebody asks for `/api/v1` first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp

from creamery.http.problems import PROBLEM_JSON, Problem, printable

MOST_ERRORS = 10


class ProblemDocument(BaseModel):
    """What stands in the way (RFC 9457)."""

    type: str = Field(description="`about:blank`: the title says it.")
    title: str = Field(description="The same for every problem of this kind.")
    status: int = Field(description="HTTP's number.")
    detail: str = Field("", description="What was asked, and what stands in the way.")
    remedy: str = Field("", description="What to do next.")
    instance: str = Field("", description="The request's id, as in the hub's log.")


class _Application(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """Without Starlette's answer to whatever is raised: the hub's application around this one has a better one."""
        return ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)


def application(
    routers: Sequence[APIRouter], prefix: str, version: str, public: Collection[tuple[str, str]]
) -> tuple[FastAPI, set[tuple[str, str]]]:
    """The application of all routers, and the methods and paths that it answers.

    Args:
        routers: of the doors.
        prefix: of all their paths.
        version: Creamery's.
        public: methods and paths that nobody needs to be known for.
    """
    app = _Application(
        title="Creamery",
        version=version,
        description="Accounts, packages, journal and jobs of a hub. Errors are problem documents (RFC 9457).",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={RequestValidationError: _refuse, HTTPException: _pass_on},
        responses={
            "default": {
                "description": "What stands in the way; as a page or as text, where `Accept` likes that better.",
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            }
        },
    )
    for router in routers:
        app.include_router(router, prefix=prefix)
    app.openapi = lambda: _described(app, public)  # type: ignore[method-assign]  # FastAPI's own way to change it
    answered = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    return app, answered


def _described(app: FastAPI, public: Collection[tuple[str, str]]) -> dict[str, Any]:
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = FastAPI.openapi(app)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["ProblemDocument"] = ProblemDocument.model_json_schema()
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token."},
        "password": {"type": "http", "scheme": "basic", "description": "Name and password, or a token as password."},
        "session": {"type": "apiKey", "in": "cookie", "name": "creamery-session", "description": "Of a browser."},
    }
    document["security"] = [{"token": []}, {"password": []}, {"session": []}]
    for method, path in public:
        document["paths"][path][method.lower()]["security"] = []
    return document


def _refuse(_: Request, error: Exception) -> NoReturn:
    """What was sent has not the form that the document describes. What it was is not said again: it may be a secret."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    wrong = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:MOST_ERRORS]]
    raise Problem(
        422,
        "Not understood",
        printable("; ".join(wrong)),
        remedy="The OpenAPI document, openapi.json beside it, says what can be sent.",
    ) from None


def _pass_on(_: Request, error: Exception) -> NoReturn:
    """What FastAPI finds before it looks at the form, such as a body that is no JSON."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    raise Problem(error.status_code, detail=printable(error.detail)) from None
