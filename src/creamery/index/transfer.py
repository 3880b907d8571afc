"""How far one file's bytes have come from an upstream, over several connections."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from creamery.blobs import Part
from creamery.clock import Clock
from creamery.egress import Answer, BadAnswer, MinimumRate
from creamery.index.project import KeptFile
from creamery.limits import Limits

OTHER_ALGORITHMS = ("sha512", "sha384", "sha224", "sha1", "md5")  # the strongest first

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)", re.ASCII)


class OtherHash:
    """What an old index names in place of SHA-256: the bytes must match it, though only SHA-256 vouches for them."""

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self.algorithm = next((name for name in OTHER_ALGORITHMS if name in hashes), None)
        self._expected = hashes[self.algorithm].lower() if self.algorithm else ""
        self._running = hashlib.new(self.algorithm, usedforsecurity=False) if self.algorithm else None

    def update(self, data: bytes | memoryview) -> None:
        if self._running is not None:
            self._running.update(data)

    def differs(self) -> bool:
        return self._running is not None and self._running.hexdigest() != self._expected


class Transfer:
    """The state of one transfer.

    Attributes:
        size: how long the file is, where that is known.
        received: how many bytes of it have come, in order.
        other_hash: what an old index names in place of SHA-256.
    """

    def __init__(self, file: KeptFile, limits: Limits, clock: Clock) -> None:
        self.size = file.listed_file.size
        self.other_hash = OtherHash({} if file.expected is not None else file.listed_file.hashes)
        self.received = 0
        self._is_verified_later = file.expected is not None or self.other_hash.algorithm is not None
        self._validator: tuple[str, str] | None = None
        self._skip = 0
        self._limits = limits
        self._clock = clock

    @property
    def _may_be_put_together(self) -> bool:
        """Does something vouch that two parts are of one file: its hash, or a strong validator, asked for by If-Range?

        RFC 9110 section 15.3.7.3.
        """
        return self._is_verified_later or self._validator is not None

    def headers(self) -> dict[str, str]:
        """What to ask the next connection for.

        Where parts may not be put together it is read from the start, and what is here must come again.
        """
        headers = {"Accept-Encoding": "identity"}
        if self.received and self._may_be_put_together:
            headers["Range"] = f"bytes={self.received}-"
            if self._validator is not None:
                headers["If-Range"] = self._validator[1]
        return headers

    def begin(self, answer: Answer) -> bool:
        """Understand what an answer brings; False: nothing, for all bytes are here already.

        Raises:
            BadAnswer: an error, another part than the one asked for, or an encoding that was not.
        """
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswer(answer.url, "sent a compressed file, which was not asked for")
        self._skip = 0
        if answer.status == HTTPStatus.PARTIAL_CONTENT and self.received:
            said = answer.headers.get("Content-Range", "")
            match = _CONTENT_RANGE.fullmatch(said)
            if match is None or int(match[1]) != self.received or not self._may_be_size(match[2]):
                raise BadAnswer(answer.url, f"answered byte {self.received} with {said!r}")
            if self._is_of_another_file(answer):
                raise BadAnswer(answer.url, "answered with a part of another file than at the first time")
            if match[2] != "*":
                self.size = int(match[2])
        elif answer.status == HTTPStatus.OK:
            self._skip = self.received
            length = answer.headers.get("Content-Length", "")
            if self.size is None and length.isascii() and length.isdigit():
                self.size = int(length)
            self._validator = _strong_validator(answer.headers)
        elif answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self._ends_here(answer):
            return False
        else:
            raise BadAnswer(answer.url, f"answered {answer.status}")
        return True

    def _is_of_another_file(self, answer: Answer) -> bool:
        if self._validator is None:
            return False
        name, value = self._validator
        found = answer.headers.get(name)
        return found != value and (found is not None or not self._is_verified_later)

    def _ends_here(self, answer: Answer) -> bool:
        """Where the length was unknown and only the end of the answer is missing (RFC 9110 section 15.5.17)."""
        if self.size is not None or not self._may_be_put_together:
            return False
        return answer.headers.get("Content-Range") == f"bytes */{self.received}"

    def _may_be_size(self, said: str) -> bool:
        return said == "*" or self.size is None or int(said) == self.size

    def took(self, chunk: bytes) -> None:
        """These bytes came next."""
        self.received += len(chunk)
        self.other_hash.update(chunk)

    async def new_bytes(self, answer: Answer, part: Part) -> AsyncIterator[bytes]:
        """The bytes that are not in the part file yet; tell `took` of each piece before the next is asked for.

        An upstream that cannot resume sends all from the start: what is there already must be the same again.

        Raises:
            BadAnswer: it is not.
            TooSlow: less than the minimum rate came over a minute.
        """
        again = hashlib.sha256()
        skip = self._skip
        if skip:
            await part.flush()
        rate = MinimumRate(self._clock, self._limits.upstream_minimum_rate)
        async for piece in answer.chunks():
            chunk = piece
            if skip:
                again.update(chunk[:skip])
                taken = min(skip, len(chunk))
                skip -= taken
                chunk = chunk[taken:]
                if not skip and again.hexdigest() != part.running_digest():
                    raise BadAnswer(answer.url, "sent other bytes than at the first time")
            if chunk:
                yield chunk
            rate.took(answer.url, len(piece))


def _strong_validator(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """The header that tells one file from every other under its address, and its value; None where none does.

    A date does where the answer was made a second later at least: the file may change twice in one (section 8.8.2.2).
    """
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return "ETag", etag
    try:
        changed, made = (parsedate_to_datetime(headers.get(name, "")) for name in ("Last-Modified", "Date"))
        return ("Last-Modified", headers["Last-Modified"]) if (made - changed).total_seconds() >= 1 else None
    except (ValueError, TypeError):  # missing, or no dates; one with a zone and one without
        return None
