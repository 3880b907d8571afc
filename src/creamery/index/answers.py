"""Answers to page requests, made: what one client was sent, the next who asks in the same way gets as it is.

They hang on a project's entry in the catalogue and live as long as its pages; within `max_age` a page costs a look
into two dictionaries.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from creamery.http import BytesResponse, RawHeaders, is_not_modified
from creamery.index.catalog import Entry

MOST_WAYS = 64
"""Ways of asking for one page that are remembered; clients know about five, for each way in which they see others."""

Asked = tuple[Hashable, ...]
"""Query string, `Accept` and `Accept-Encoding`; then, on another door's page, for whom it is (`Adding`)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A page with its headers, and the same for who has it already.

    Attributes:
        seconds: of `max-age` in the headers; in another second another answer is made.
    """

    etag: str
    seconds: int
    whole: BytesResponse
    not_modified: BytesResponse

    @classmethod
    def make(cls, body: bytes, headers: RawHeaders, content: RawHeaders, etag: str, seconds: int = 0) -> Answer:
        """`content` are the headers of the body, which a 304 goes without."""
        shared = [*headers, (b"etag", etag.encode("ascii"))]
        whole = BytesResponse(body, [*shared, *content])
        return cls(etag, seconds, whole, BytesResponse(b"", shared, status=304))

    def to(self, scope: object) -> BytesResponse:
        """What this client needs of it."""
        return self.not_modified if is_not_modified(scope, self.etag) else self.whole  # type: ignore[arg-type]


def remembered(entry: Entry, asked: Asked, seconds: int) -> Answer | None:
    """The answer that was made for this way of asking, in this second."""
    answer = entry.answers.get(asked)
    return answer if isinstance(answer, Answer) and answer.seconds == seconds else None


def remember(entry: Entry, asked: Asked, answer: Answer) -> None:
    """Keep it for the next who asks so."""
    if len(entry.answers) >= MOST_WAYS:
        entry.answers.clear()
    entry.answers[asked] = answer
