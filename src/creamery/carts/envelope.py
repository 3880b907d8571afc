"""The original's answers: what Pacifica's clients read, errors included."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from creamery import __version__
from creamery.carts.tables import Cart
from creamery.http import BytesResponse, Problem, printable

STATUS = "X-Pacifica-Status"
MESSAGE = "X-Pacifica-Message"


def answer(document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> BytesResponse:
    """JSON as the original sends it."""
    ready = {"content-type": "application/json", "cache-control": "no-store", **(headers or {})}
    return bare(status, ready, orjson.dumps(document))


def bare(status: int, headers: Mapping[str, str], body: bytes = b"") -> BytesResponse:
    """An answer whose headers say it all, or nearly."""
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return BytesResponse(body, lines, status)


def render(problem: Problem) -> BytesResponse:
    """An error in the original's envelope: the same keys, and never a traceback in it."""
    phrase = HTTPStatus(problem.status).phrase
    message = " ".join(text for text in (problem.detail or problem.title, problem.remedy) if text)
    document = {
        "status": f"{problem.status} {phrase}",
        "message": printable(message),
        "traceback": "",
        "version": __version__,
    }
    return answer(document, problem.status, {name.lower(): value for name, value in problem.headers.items()})


def headers_of(cart: Cart) -> dict[str, str]:
    """How far a cart is, in headers: the original's two, and how much of it."""
    headers = {
        STATUS: cart.state,
        MESSAGE: header_text(cart.message),
        "X-Creamery-Files": f"{cart.done_files}/{cart.files}",
        "Cache-Control": "no-store",
    }
    if cart.planned:
        headers["X-Creamery-Bytes"] = f"{cart.done_bytes}/{cart.bytes}"
    return headers


def header_text(text: str) -> str:
    """A message as a header may have it: one line of Latin-1."""
    return printable(text).encode("latin-1", "replace").decode("latin-1")
