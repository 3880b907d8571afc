"""A form is read the same however it is cut into pieces; what is none is refused with its reason, and never crashes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from creamery.http import Problem
from creamery.http.multipart import BETWEEN_BYTES, FormReader, PartBegins
from creamery.limits import Limits
from tests.doubles.uploads import BOUNDARY, TYPE, Field, form_of, part_of

LIMITS = Limits(form_fields=20, form_header_bytes=300)
Read = list[tuple[str, str | None, bytes]]

PIECES = [b"\r\n--", b"--" + BOUNDARY.encode(), b"\r\n--" + BOUNDARY.encode(), b"\r", b"\n", b"--", b"\r\n", b"\0x"]
VALUES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=8).map(b"".join)
FIELDS = st.lists(st.tuples(st.sampled_from(["a", "content", "ü"]), VALUES), max_size=5)


def read(body: bytes, cuts: list[int], content_type: str = TYPE) -> Read:
    """Names, file names and bytes of all parts of a body that comes in pieces."""
    reader = FormReader(content_type, LIMITS)
    parts: Read = []
    value = bytearray()
    for start, end in pairwise([0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]):
        for event in reader.feed(body[start:end]):
            if isinstance(event, PartBegins):
                parts.append((event.name, event.filename, b""))
                value.clear()
            elif isinstance(event, bytes):
                value += event
            else:
                parts[-1] = (*parts[-1][:2], bytes(value))
    reader.end()
    return parts


def outcome(body: bytes, cuts: list[int], content_type: str = TYPE) -> Read | tuple[int, str]:
    """What comes of it, or the refusal."""
    try:
        return read(body, cuts, content_type)
    except Problem as problem:
        return problem.status, problem.title


def refusal(body: bytes, content_type: str = TYPE) -> str:
    """Title and detail of the refusal, which names a remedy."""
    with pytest.raises(Problem) as caught:
        read(body, [], content_type)
    assert caught.value.remedy
    return f"{caught.value.status} {caught.value.title}: {caught.value.detail}"


@given(fields=FIELDS, cuts=st.lists(st.integers(0, 700), max_size=30), old=st.booleans(), tail=st.binary(max_size=9))
def test_a_form_is_the_same_in_any_pieces(
    fields: list[tuple[str, bytes]], cuts: list[int], *, old: bool, tail: bytes
) -> None:
    body = b"\r\n" * old + form_of(fields) + tail

    assert outcome(body, cuts) == outcome(body, [])


@given(body=VALUES, cuts=st.lists(st.integers(0, 200), max_size=9), content_type=st.sampled_from([TYPE]) | st.text())
@example(b"", [], TYPE)
def test_whatever_comes_is_a_form_or_a_problem(body: bytes, cuts: list[int], content_type: str) -> None:
    begun = b"--" + BOUNDARY.encode() + b"\r\n" + body

    assert outcome(body, cuts, content_type) == outcome(body, [], content_type)
    assert outcome(begun, cuts) == outcome(begun, [])


@given(fields=st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=99)), min_size=1, max_size=5))
def test_what_was_sent_comes_out(fields: list[tuple[str, bytes]]) -> None:
    assert read(form_of(fields), []) == [(name, None, value) for name, value in fields]


@pytest.mark.parametrize(
    ("said", "filename"),
    [
        ('filename="x-1.0.whl"', "x-1.0.whl"),
        ("filename=x-1.0.whl", "x-1.0.whl"),
        ('filename="a b.whl"', "a b.whl"),
        ('filename="x%20y.whl"', "x%20y.whl"),
        ('filename="100%.whl"', "100%.whl"),
        ('filename="a%22b"', 'a"b'),
        (r'filename="a\"b"', 'a"b'),
        ('filename="ü.whl"', "ü.whl"),
        ("filename*=utf-8''%C3%BC%20x.whl", "ü x.whl"),
        ("filename*=ISO-8859-1'de'%FC.whl", "ü.whl"),
        ("filename=\"x.whl\"; filename*=utf-8''y.whl", "x.whl"),
    ],
)
def test_a_file_may_be_named_as_any_client_names_it(said: str, filename: str) -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; {said}\r\n\r\n'

    assert read(head.encode() + b"1\r\n--" + BOUNDARY.encode() + b"--", []) == [("content", filename, b"1")]


@pytest.mark.parametrize(
    "headers",
    [
        'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: binary',
        'content-type: text/plain; charset=utf-8\r\ncontent-disposition: form-data; name="a"',
        'Content-Disposition: form-data; name="a"\r\nContent-Length: 1',
        'Content-Disposition: form-data;\r\n name="a"',
        'Content-Disposition:form-data;name="a"',
    ],
)
def test_a_part_may_say_more_than_its_name(headers: str) -> None:
    assert read(f"--{BOUNDARY}\r\n{headers}\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(), []) == [("a", None, b"1")]


@pytest.mark.parametrize(
    "headers",
    [
        'Content-Disposition: attachment; name="a"',
        "Content-Type: text/plain",
        "Content-Disposition: form-data",
        "no header",
        'Content-Disposition: form-data; name="a"\nX: y',
        'Content-Disposition: form-data; name="a"\r\nContent-Length: 2',
        'Content-Disposition: form-data; name="\udcff"',
        "Content-Disposition: form-data; name=\"a\"; filename*=utf-8''%FF",
        "Content-Disposition: form-data; name=\"a\"; filename*=klingon''x",
    ],
)
def test_a_part_that_is_none_is_refused(headers: str) -> None:
    body = f"--{BOUNDARY}\r\n{headers}\r\n\r\n1\r\n--{BOUNDARY}--\r\n".encode(errors="surrogateescape")

    assert refusal(body).startswith("400 Broken form: ")


def test_a_field_that_is_encoded_is_refused_by_its_name() -> None:
    head = 'Content-Disposition: form-data; name="summary"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n'

    assert "'summary'" in refusal(f"--{BOUNDARY}\r\n{head}--{BOUNDARY}--\r\n".encode())


def test_lines_that_end_with_lf_are_refused_with_what_to_do_instead() -> None:
    """`setup.py register` of Python 2.7."""
    body = form_of([(":action", "submit")]).replace(b"\r\n", b"\n")

    assert "LF alone" in refusal(b"\n" + body)
    assert "LF alone" in refusal(body)


@pytest.mark.parametrize("before", [b"x", b"\r\n\r\n", b"preamble\r\n", b"--other\r\n"])
def test_a_body_begins_with_its_boundary(before: bytes) -> None:
    assert "does not begin with the boundary" in refusal(before + form_of([("a", "b")]))


def test_what_follows_the_form_is_not_looked_at_as_long_as_it_is_short() -> None:
    form = form_of([("a", "b")])

    assert read(form + b"\r\n" + b"x" * BETWEEN_BYTES, [5, 900, 5_000]) == [("a", None, b"b")]
    assert refusal(form + b"x" * (BETWEEN_BYTES + 2 * LIMITS.form_header_bytes)).startswith("413 Too much around")


@pytest.mark.parametrize("missing", [1, 2, 3, 20, 70])
def test_a_form_without_its_end_is_cut_off(missing: int) -> None:
    body = form_of([("a", "b")]).rstrip()

    assert refusal(body[:-missing]).startswith("400 Form cut off")


def test_a_part_has_at_most_eight_lines_of_header() -> None:
    said = 'Content-Disposition: form-data; name="a"' + "\r\nX: y" * 7

    assert read(f"--{BOUNDARY}\r\n{said}\r\n\r\n\r\n--{BOUNDARY}--".encode(), []) == [("a", None, b"")]
    assert refusal(f"--{BOUNDARY}\r\n{said}\r\nX: y\r\n\r\n\r\n--{BOUNDARY}--".encode()).startswith("413 Header")


@pytest.mark.parametrize("length", [1, 70, 0, 71])
def test_a_boundary_has_one_to_seventy_characters(length: int) -> None:
    boundary = "b" * length
    fields: list[Field] = [("a", "1")]

    found = outcome(form_of(fields, boundary), [], f"multipart/form-data; boundary={boundary}")

    assert (found == [("a", None, b"1")]) == (length in {1, 70})


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (f"Multipart/Form-Data; Boundary={BOUNDARY}; charset=utf-8", 200),
        (f'multipart/form-data; charset="UTF-8"; boundary="{BOUNDARY}"', 200),
        ("multipart/form-data", 400),
        (f"{TYPE}; boundary=other", 400),
        (f"multipart/form-data; xboundary={BOUNDARY}", 400),
        ('multipart/form-data; boundary="a\nb"', 400),
        ("multipart/form-data; boundary=ü", 400),
        (f"{TYPE}; charset=utf-16", 400),
        (f"multipart/mixed; boundary={BOUNDARY}", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_a_form_is_known_by_its_content_type(content_type: str, status: int) -> None:
    found = outcome(part_of(("a", "1")) + f"--{BOUNDARY}--".encode(), [], content_type)

    assert (found[0] if isinstance(found, tuple) else 200) == status
