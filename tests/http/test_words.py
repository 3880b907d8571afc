"""Refusals in words: in the status line, which is all that some clients show, and as text that others show whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from creamery.http.problems import MAX_PHRASE
from tests.doubles.uploads import Takes, form_of, request_of
from tests.doubles.wired import Wired


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    with Wired(Takes(tmp_path_factory.mktemp("words") / "incoming").routes()) as started:
        yield started


def refused(wired: Wired, path: str, body: bytes, accept: str = "*/*") -> tuple[bytes, bytes]:
    """Status line and body."""
    head, _, answer = wired.ask(request_of(body, path=path, more=f"Accept: {accept}\r\n")).partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], answer


def test_a_refusal_stands_in_the_status_line_and_as_text(wired: Wired) -> None:
    line, body = refused(wired, "/in-words", form_of([("content", b"1")]))

    assert line == (
        b"HTTP/1.1 400 The field 'content' has no file name, so it is no file."
        b" Send the file in the field 'content', with its name."
    )
    assert body == (
        b"The field 'content' has no file name, so it is no file.\n"
        b"Send the file in the field 'content', with its name.\n"
    )


def test_elsewhere_the_status_line_says_what_http_says(wired: Wired) -> None:
    line, body = refused(wired, "/upload", form_of([("content", b"1")]))

    assert line == b"HTTP/1.1 400 Bad Request"
    assert body.startswith(b'{"type":')


def test_what_is_no_refusal_keeps_its_status_line(wired: Wired) -> None:
    assert refused(wired, "/in-words", form_of([]))[0] == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("accept", "begins"),
    [
        ("application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7", b"The field"),
        ("text/html", b"The field"),
        ("application/problem+json", b'{"type":'),
    ],
)
def test_programs_get_a_document_only_if_they_name_it(wired: Wired, accept: str, begins: bytes) -> None:
    assert refused(wired, "/in-words", form_of([("content", b"1")]), accept)[1].startswith(begins)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("a\r\nSet-Cookie: b=c", b"HTTP/1.1 400 a??Set-Cookie: b=c"),
        ("Ümläut \0 \x7f", b"HTTP/1.1 400 ?ml?ut ? ?"),
        ("x" * 450, b"HTTP/1.1 400 " + b"x" * (MAX_PHRASE - 3) + b"..."),
        ("x" * MAX_PHRASE, b"HTTP/1.1 400 " + b"x" * MAX_PHRASE),
        ("", b"HTTP/1.1 400 Strange"),
    ],
)
def test_nobody_writes_more_than_words_into_the_status_line(wired: Wired, said: str, line: bytes) -> None:
    assert refused(wired, "/strange", said.encode())[0] == line
