"""An upload's form as it arrives: the file's bytes go straight into a part file, the other fields into memory.

Nothing is spooled: the file is hashed and written while the rest of the form is on its way. Whatever goes wrong, the
part is aborted, and nothing of the upload is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.requests import Request

from creamery.blobs import Part, TooLong
from creamery.http.conditionals import header_of
from creamery.http.multipart import BETWEEN_BYTES, FormEvent, FormReader, PartBegins, PartEnds, broken
from creamery.http.problems import Problem
from creamery.limits import Limits

Begin = Callable[[str, int | None], Part]
"""Makes the part for a file: its name, and the most bytes that it can have, where the client said how much it sends."""

MAX_FILENAME = 255  # bytes; no file system and no index takes more

_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]|^\.{1,2}$|^$")


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that is whole and hashed, and not kept yet: it goes with the last reference to its part.

    Attributes:
        filename: one segment, as the client named it.
        part: finished.
    """

    filename: str
    part: Part


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent.

    Attributes:
        fields: all values of each field, in their order.
        file: None where the form has none.
    """

    fields: Mapping[str, tuple[str, ...]]
    file: ReceivedFile | None

    def one(self, name: str) -> str | None:
        """The one value of a field; None where it is not there.

        Raises:
            Problem: 400, there are several.
        """
        values = self.fields.get(name, ())
        if len(values) > 1:
            raise Problem(400, "Repeated field", f"The field {name!r} is sent {len(values)} times; it has one value.")
        return values[0] if values else None


async def receive_form(
    request: Request, *, file_field: str, begin: Begin, limits: Limits, wanted: Collection[str] | None = None
) -> Form:
    """Read a request's form to its end.

    Args:
        file_field: the one field that is a file.
        begin: called when the file's first byte is near; what it raises is the answer.
        wanted: the fields to remember; others are read and counted all the same. None: all.

    Raises:
        Problem: 400, 413, 415: what is wrong with the form, and what to do. 408: the client kept silent or dripped.
        ClientDisconnect: it has gone.
        NoSpace, NotDurable, ReadOnly: the disk cannot take the file.
    """
    announced = _announced(request, limits)
    reader = FormReader(header_of(request.scope, b"content-type") or "", limits)
    receiver = _Receiver(file_field, begin, limits, announced, wanted)
    try:
        async for piece in request.stream():
            for event in reader.feed(piece):
                if receiver.file is not None and isinstance(event, bytes):
                    await receiver.file.write(event)
                else:
                    receiver.take(event)
        reader.end()
        return await receiver.finish()
    except TooLong as error:  # the part has aborted itself
        raise _file_too_large(error.limit) from error
    except BaseException as error:
        receiver.abort(error)
        raise


async def receive_file(request: Request, filename: str, *, begin: Begin, limits: Limits) -> Part:
    """Read a request's body, which is a file and nothing else, to its end; the part is finished.

    Args:
        filename: what it is for.
        begin: as for a form.

    Raises:
        Problem, ClientDisconnect, NoSpace, NotDurable, ReadOnly: as a form.
    """
    part = begin(filename, _announced(request, limits))
    try:
        async for piece in request.stream():
            await part.write(piece)
        await part.finish(None)
    except TooLong as error:  # the part has aborted itself
        raise _file_too_large(error.limit) from error
    except BaseException as error:
        _abort(part, error)
        raise
    return part


async def receive_bytes(request: Request, at_most: int, setting: str) -> bytes:
    """Read a request's body, which is few bytes, to its end.

    Args:
        at_most: so many.
        setting: which one says so.

    Raises:
        Problem: 413, it has more; 408.
        ClientDisconnect: whoever asks has gone.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > at_most:
            raise Problem(
                413,
                "Too large",
                f"The body has more than {at_most} bytes ({setting}).",
                remedy="Ask in several pieces, or have whoever runs the hub raise the limit.",
            )
    return bytes(body)


class _Receiver:
    """What has come of one form.

    Attributes:
        file: where the bytes that come next go, if they are the file's.
    """

    def __init__(
        self, file_field: str, begin: Begin, limits: Limits, announced: int | None, wanted: Collection[str] | None
    ) -> None:
        self.file: Part | None = None
        self._file_field = file_field
        self._begin = begin
        self._limits = limits
        self._announced = announced
        self._wanted = wanted
        self._filename = ""
        self._part: Part | None = None
        self._fields: dict[str, list[str]] = {}
        self._name = ""
        self._value = bytearray()
        self._all_bytes = 0

    def take(self, event: FormEvent) -> None:
        """A part of the form begins or ends, or a field goes on."""
        if isinstance(event, bytes):
            self._add(event)
        elif isinstance(event, PartEnds):
            if self.file is None:
                self._end_field()
            self.file = None
        else:
            self._begin_part(event)

    async def finish(self) -> Form:
        """Everything has come."""
        fields = MappingProxyType({name: tuple(values) for name, values in self._fields.items()})
        if self._part is None:
            return Form(fields, None)
        await self._part.finish(None)
        return Form(fields, ReceivedFile(self._filename, self._part))

    def abort(self, error: BaseException) -> None:
        """Nothing more will come of it."""
        if self._part is not None:
            _abort(self._part, error)

    def _begin_part(self, event: PartBegins) -> None:
        self._name, self._value = event.name, bytearray()
        if event.name != self._file_field:
            self._count(len(event.name))
            return
        if event.filename is None:
            raise Problem(
                400,
                "No file",
                f"The field {event.name!r} has no file name, so it is no file.",
                remedy=f"Send the file in the field {event.name!r}, with its name.",
            )
        if self._part is not None:
            raise Problem(
                400,
                "Several files",
                f"The field {event.name!r} is sent more than once.",
                remedy="Upload each file with a request of its own.",
            )
        self._filename = _checked(event.filename)
        self.file = self._part = self._begin(self._filename, self._announced)

    def _add(self, data: bytes) -> None:
        self._value += data
        if len(self._value) > self._limits.form_field_bytes:
            raise _too_much(
                "Field too large",
                f"The field {self._name!r} has more than {self._limits.form_field_bytes} bytes"
                " (limits.form_field_bytes).",
            )
        self._count(len(data))

    def _count(self, count: int) -> None:
        self._all_bytes += count
        if self._all_bytes > self._limits.form_bytes:
            raise _too_much(
                "Form too large",
                f"The fields beside the file have more than {self._limits.form_bytes} bytes (limits.form_bytes).",
            )

    def _end_field(self) -> None:
        if self._wanted is not None and self._name not in self._wanted:
            return
        try:
            value = self._value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise broken(f"the field {self._name!r} is no UTF-8") from error
        self._fields.setdefault(self._name, []).append(value)


def _abort(part: Part, error: BaseException) -> None:
    part.abort(error if isinstance(error, Exception) else ConnectionError("the upload was cut off"))


def _announced(request: Request, limits: Limits) -> int | None:
    """How many bytes the body has, where the client says so: the most that its file can have.

    Raises:
        Problem: 413, not even the file alone could be so large.
    """
    said = header_of(request.scope, b"content-length")
    if said is None:
        return None
    length = int(said)  # digits alone: the protocol has read it
    if length > limits.file_bytes + limits.form_bytes + limits.form_fields * limits.form_header_bytes + BETWEEN_BYTES:
        raise _file_too_large(limits.file_bytes)
    return length


def _too_much(title: str, detail: str) -> Problem:
    return Problem(413, title, detail, remedy="Send less metadata, or have whoever runs the hub raise the limit.")


def _file_too_large(limit: int) -> Problem:
    return Problem(
        413,
        "File too large",
        f"The file has more than {limit} bytes (limits.file_bytes).",
        remedy="Make it smaller, or have whoever runs the hub raise the limit.",
    )


def _checked(filename: str) -> str:
    """A file's name.

    Raises:
        Problem: 400, it is none, or a path.
    """
    if _NO_NAME.search(filename) or len(filename.encode("utf-8", "surrogatepass")) > MAX_FILENAME:
        raise Problem(
            400,
            "Bad file name",
            f"The file is called {filename!r}.",
            remedy=f"Name it without a path, a line break and the like, in at most {MAX_FILENAME} bytes.",
        )
    return filename
