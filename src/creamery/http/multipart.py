"""A form of parts (multipart/form-data, RFC 7578), taken apart as it arrives: what a body says, no word about where to.

The library looks for boundaries and headers; here stands what of it is a form that we take, what each thing that is
wrong is called, and how much there may be. Wherever a body is cut into pieces, the same comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from creamery.http.problems import Problem
from creamery.limits import KIB, Limits

FORM = "multipart/form-data"
MAX_BOUNDARY = 70  # RFC 2046 section 5.1.1
MAX_HEADERS = 8  # of a part; RFC 7578 knows three
BETWEEN_BYTES = 64 * KIB
"""What may stand before, between and after the parts, beside their headers."""

_HOW = "Upload with twine, uv or another tool that sends the form of PyPI's upload API."
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_OPTION = re.compile(r';\s*([a-z*]+)\s*=\s*(?:"([^"\\]*)"|([^\s;"]+))\s*(?=;|$)', re.IGNORECASE)
_EXTENDED = re.compile(r"""(utf-8|iso-8859-1)'[\w-]*'([\w.~!#$&+^`|%-]+)""", re.IGNORECASE | re.ASCII)
_FILENAME_EXTENDED = re.compile(r";\s*filename\*\s*=\s*([^\s;]+)", re.IGNORECASE)
_ENCODINGS = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A part of the form: its bytes come next.

    Attributes:
        name: the field's.
        filename: where it is a file.
    """

    name: str
    filename: str | None


class PartEnds:
    """The part that began last is whole."""


PART_ENDS = PartEnds()

FormEvent = PartBegins | bytes | PartEnds


class FormReader:
    """One form, fed with its pieces.

    Args:
        content_type: the request's.

    Raises:
        Problem: 415, it is no such form; 400, its boundary is none.
    """

    def __init__(self, content_type: str, limits: Limits) -> None:
        self._limits = limits
        self._boundary = _boundary(content_type)
        self._start = b""
        self._has_begun = False
        self._around = 0
        self._parts = 0
        self._parser: PushMultipartParser = PushMultipartParser(
            self._boundary,
            max_header_size=limits.form_header_bytes + 2,  # the end of the line may not have come; counted below
            max_header_count=MAX_HEADERS,
        )

    def feed(self, piece: bytes) -> Iterator[FormEvent]:
        """What these bytes bring; to be read to its end before the next.

        Raises:
            Problem: 400, this is no such form; 413, it has too much of something.
        """
        if not piece:
            return
        if not self._has_begun:
            self._start += piece
            if len(self._start) < len(self._boundary) + len(b"\r\n--\r\n"):
                return
            piece, self._start, self._has_begun = _from_boundary(self._start, self._boundary), b"", True
        self._around += len(piece)
        for event in self._parsed(piece):
            if event is None:
                yield PART_ENDS
            elif isinstance(event, bytes):
                self._around -= len(event)
                yield event
            else:
                yield self._begins(event)
        if self._around > BETWEEN_BYTES + self._limits.form_header_bytes:  # a header may be on its way
            raise Problem(
                413,
                "Too much around the form",
                f"More than {BETWEEN_BYTES} bytes stand before, between or after the form's parts.",
                remedy=_HOW,
            )

    def end(self) -> None:
        """The body has ended.

        Raises:
            Problem: 400, the form has not.
        """
        if not self._has_begun and not (b"--" + self._boundary).startswith(self._start.removeprefix(b"\r\n")):
            _from_boundary(self._start, self._boundary)
        if not self._is_whole():
            raise Problem(
                400,
                "Form cut off",
                "The upload broke off: the form's last boundary did not come.",
                remedy="Nothing was kept. Upload again.",
            )

    def _is_whole(self) -> bool:
        try:
            self._parser.close()
        except MultipartError:
            return False
        return True

    def _parsed(self, piece: bytes) -> Iterator[MultipartSegment | bytes | None]:
        try:
            yield from self._parser.parse(piece)
        except ParserLimitReached as error:
            raise self._header_too_large() from error
        except MultipartError as error:
            raise broken(f"{error.args[0]}") from error

    def _begins(self, segment: MultipartSegment) -> PartBegins:
        self._parts += 1
        if self._parts > self._limits.form_fields:
            raise Problem(
                413,
                "Too many fields",
                f"The form has more than {self._limits.form_fields} fields (limits.form_fields).",
                remedy="Send less metadata, or have whoever runs the hub raise the limit.",
            )
        header_bytes = sum(len(f"{name}: {value}\r\n".encode()) for name, value in segment.headerlist)
        if header_bytes > self._limits.form_header_bytes:
            raise self._header_too_large()
        self._around -= header_bytes + len(self._boundary) + len("\r\n--\r\n\r\n")
        if any("\n" in value or "\r" in value for _, value in segment.headerlist):  # seen, or not, by how it was cut
            raise broken("a line of a part's header ends with CR or LF alone")
        if not segment.name:
            raise broken("a part has no name")
        _refuse_encoded(segment)
        return PartBegins(segment.name, segment.filename if segment.filename is not None else _extended(segment))

    def _header_too_large(self) -> Problem:
        most = self._limits.form_header_bytes
        return Problem(
            413,
            "Header too large",
            f"The header of the form's part {max(self._parts, 1)} has more than {most} bytes"
            f" (limits.form_header_bytes) or {MAX_HEADERS} lines.",
            remedy=_HOW,
        )


def broken(reason: str) -> Problem:
    """The body is no form, for this reason."""
    return Problem(400, "Broken form", f"The form cannot be read: {reason}.", remedy=_HOW)


def _boundary(content_type: str) -> bytes:
    """What separates the parts.

    Raises:
        Problem: 415, 400: see `FormReader`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != FORM:
        said = f"a body of {media_type}" if media_type else "a body without Content-Type"
        raise Problem(415, "No upload form", f"An upload is a form ({FORM}); this is {said}.", remedy=_HOW)
    options = [(name.lower(), quoted or plain) for name, quoted, plain in _OPTION.findall(content_type)]
    boundaries: list[str] = [value for name, value in options if name == "boundary"]
    if len(boundaries) != 1 or not _BOUNDARY.fullmatch(boundaries[0]):
        raise broken(f"its Content-Type names no boundary of 1 to {MAX_BOUNDARY} characters")
    charsets = {value.lower() for name, value in options if name == "charset"}
    if charsets - {"utf-8", "utf8", "us-ascii", "ascii"}:
        raise broken("its text is not in UTF-8, as Content-Type says")
    return boundaries[0].encode("ascii")


def _from_boundary(start: bytes, boundary: bytes) -> bytes:
    """The body from its first boundary on. Nothing but the empty line of old distutils may stand before it.

    Raises:
        Problem: 400, it does not begin so.
    """
    body = start.removeprefix(b"\r\n")
    if body.startswith(b"--" + boundary) and body[len(boundary) + 2 : len(boundary) + 3] != b"\n":
        return body
    if body.lstrip(b"\n").startswith(b"--" + boundary):  # `register` of Python 2
        raise Problem(
            400,
            "Broken form",
            "The form's lines end with LF alone, as `setup.py register` of Python 2 writes it.",
            remedy="Nothing needs to be registered: upload, and the first upload claims the name.",
        )
    raise broken("it does not begin with the boundary that its Content-Type names")


def _refuse_encoded(segment: MultipartSegment) -> None:
    """Nobody sends Content-Transfer-Encoding any more (RFC 7578 section 4.7); what means the bytes as they are, does.

    Raises:
        Problem: 400, the bytes are not what they stand for.
    """
    encoding: str = (segment.header("Content-Transfer-Encoding") or "binary").strip().lower()
    if encoding not in _ENCODINGS:
        raise Problem(
            400,
            "Encoded field",
            f"The field {segment.name!r} is sent with Content-Transfer-Encoding {encoding}.",
            remedy="Send its bytes as they are.",
        )


def _extended(segment: MultipartSegment) -> str | None:
    """`filename*=utf-8''...` (RFC 5987), as some clients send a name that is not ASCII, though RFC 7578 forbids it.

    Raises:
        Problem: 400, it cannot be read.
    """
    said = _FILENAME_EXTENDED.search(segment.header("Content-Disposition") or "")
    if said is None:
        return None
    match = _EXTENDED.fullmatch(said[1])
    if match is not None:
        try:
            return unquote_to_bytes(match[2]).decode(match[1])
        except UnicodeDecodeError:
            pass
    raise broken(f"the file name of the field {segment.name!r} cannot be read")
