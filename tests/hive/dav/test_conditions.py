"""The `If` header (RFC 4918 section 10.4), `If-Match` and `If-None-Match` (RFC 9110 section 13.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.hive.dav.conditions import (
    BadIf,
    Condition,
    ConditionList,
    If,
    Preconditions,
    State,
    evaluate,
    parse_if,
    submitted,
)
from creamery.limits import Limits

LIMITS = Limits()

HERE = State('"e1"', frozenset({"urn:uuid:1", "urn:uuid:2"}))
THERE = State('"e2"', frozenset({"urn:uuid:3"}))


def look(tag: str | None) -> State:
    return {None: HERE, "/there": THERE, "http://hub/there": THERE}.get(tag, State())


def holds(header: str) -> bool:
    return evaluate(parse_if(header, LIMITS), look)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("(<urn:a>)", [(None, [Condition(negated=False, token="urn:a")])]),
        ('(["x"])', [(None, [Condition(negated=False, etag='"x"')])]),
        ('([W/"x"])', [(None, [Condition(negated=False, etag='W/"x"')])]),
        (
            '( Not <a:b>not[ "), ]" ] )',
            [(None, [Condition(negated=True, token="a:b"), Condition(negated=True, etag='"), ]"')])],
        ),
        (
            "(<a:b>)\t(NOT<c:d>)",
            [(None, [Condition(negated=False, token="a:b")]), (None, [Condition(negated=True, token="c:d")])],
        ),
        (
            '</x y>(<a:b>)(<c:d>) <http://h/z> ( [""] )',
            [
                ("/x y", [Condition(negated=False, token="a:b")]),
                ("/x y", [Condition(negated=False, token="c:d")]),
                ("http://h/z", [Condition(negated=False, etag='""')]),
            ],
        ),
    ],
)
def test_the_header_is_lists_of_conditions(header: str, expected: list[tuple[str | None, list[Condition]]]) -> None:
    assert parse_if(header, LIMITS) == If(tuple(ConditionList(tag, tuple(found)) for tag, found in expected))


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "(",
        "()",
        "( )",
        ")",
        "(<a:b>",
        "(<a:b>))",
        "(<>)",
        "(< a:b>)",
        "(<a b>)",
        "(a:b)",
        "<a:b>",
        "</x>",
        "</x></y>(<a:b>)",
        "(<a:b>) </x> (<c:d>)",
        "(<a:b>), (<c:d>)",
        "(Not)",
        "(Not Not <a:b>)",
        "(Nott <a:b>)",
        "([x])",
        '(["x)',
        '(["x"y])',
        '([w/"x"])',
        '("x")',
        "(<a:b>) x",
        "(<a\x00b>)",
        '(["\x01"])',
    ],
)
def test_what_is_malformed_lets_nothing_through(header: str) -> None:
    with pytest.raises(BadIf, match="If header"):
        parse_if(header, LIMITS)


def test_the_header_is_bounded_in_bytes_and_lists() -> None:
    limits = Limits(if_bytes=100, if_lists=4)

    assert len(parse_if(f"(<{'a' * 96}>)", limits).lists) == 1
    with pytest.raises(BadIf, match="101 bytes"):
        parse_if(f"(<{'a' * 97}>)", limits)
    assert len(parse_if("(<a:b>)" * 4, limits).lists) == 4
    with pytest.raises(BadIf, match="4 lists"):
        parse_if("(<a:b>)" * 5, limits)


@pytest.mark.parametrize(
    "header",
    [
        "(<urn:uuid:1>)",
        '(<urn:uuid:1> <urn:uuid:2> ["e1"])',
        '([W/"e1"])',
        "(Not <urn:uuid:3>)",
        '(Not ["e2"])',
        "(<urn:uuid:3>) (<urn:uuid:1>)",
        "(Not <DAV:no-lock>)",
        '</there> (<urn:uuid:3> ["e2"])',
        "<http://hub/there> (<urn:uuid:3>)",
        "</nowhere> (Not <urn:uuid:3>)",
        '</nowhere> (Not ["e1"])',
        "</nowhere> (<urn:uuid:1>) </there> (<urn:uuid:3>)",
    ],
)
def test_a_header_holds_when_all_of_one_list_does(header: str) -> None:
    assert holds(header)


@pytest.mark.parametrize(
    "header",
    [
        "(<urn:uuid:3>)",
        '(<urn:uuid:1> ["e2"])',
        '(<urn:uuid:3> ["e1"])',
        "(Not <urn:uuid:1>)",
        '(Not ["e1"])',
        "(<urn:uuid:1> Not <urn:uuid:2>)",
        "(<DAV:no-lock>)",
        "</there> (<urn:uuid:1>)",
        '</nowhere> (["e1"])',
        "</nowhere> (<urn:uuid:1>)",
        "(<urn:uuid:3>) (<DAV:no-lock>)",
        '(["E1"])',
    ],
)
def test_a_header_fails_when_something_of_each_list_does(header: str) -> None:
    assert not holds(header)


def test_no_lock_is_a_token_that_nothing_has() -> None:
    header = parse_if("(<DAV:no-lock>)", LIMITS)

    assert not evaluate(header, lambda _: State(None, frozenset({"DAV:no-lock"})))


def test_each_resource_is_looked_at_once() -> None:
    asked: list[str | None] = []

    def counting(tag: str | None) -> State:
        asked.append(tag)
        return State()

    evaluate(parse_if("</a> (<a:b>) </b> (<a:b>) </a> (<c:d>)", LIMITS), counting)

    assert asked == ["/a", "/b"]


def test_a_token_is_submitted_wherever_it_stands() -> None:
    header = parse_if('</a> (<t:1> ["x"]) (Not <t:2>) </b> (<t:3>)', LIMITS)

    assert submitted(header) == {"t:1", "t:2", "t:3"}
    assert submitted(None) == frozenset()


CONDITIONS = st.builds(
    lambda negated, token, etag: Condition(negated, token, None if token else etag),
    st.booleans(),
    st.none() | st.text("abc:-/()[]", min_size=1, max_size=6),
    st.text("xy ()[],<>", max_size=6).map(lambda opaque: f'"{opaque}"'),
)


def written(each: ConditionList, blank: str) -> str:
    conditions = [
        ("Not " if part.negated else "") + (f"<{part.token}>" if part.token else f"[{part.etag}]")
        for part in each.conditions
    ]
    return (f"<{each.tag}>" if each.tag else "") + f"{blank}({blank}{blank.join(conditions)}{blank})"


@given(st.lists(st.lists(CONDITIONS, min_size=1, max_size=4), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_every_header_is_read_as_it_was_meant(lists: list[list[Condition]], tagged: bool, spaced: bool) -> None:
    meant = If(
        tuple(
            ConditionList(f"/{number}" if tagged else None, tuple(conditions))
            for number, conditions in enumerate(lists)
        )
    )

    assert parse_if("".join(written(each, " " if spaced else "") for each in meant.lists), LIMITS) == meant


@given(st.one_of(st.text(max_size=60), st.text('(<a:b>)[]"W/ Not', max_size=60)))
def test_any_text_is_a_header_or_is_refused(text: str) -> None:
    try:
        header = parse_if(text, LIMITS)
    except BadIf as error:
        header, said = None, str(error)
    else:
        said = "read"

    assert said
    assert header is None or (all(each.conditions for each in header.lists) and evaluate(header, look) in {True, False})


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "etag", "exists", "may"),
    [
        (None, None, '"a"', True, True),
        (None, None, None, False, True),
        ('"a"', None, '"a"', True, True),
        ('"b", "a"', None, '"a"', True, True),
        ('"b"', None, '"a"', True, False),
        ('W/"a"', None, '"a"', True, False),
        ('"a"', None, None, False, False),
        ("*", None, '"a"', True, True),
        ("*", None, None, True, True),
        ("*", None, None, False, False),
        ("garbage", None, '"a"', True, False),
        (None, "*", None, False, True),
        (None, "*", '"a"', True, False),
        (None, "*", None, True, False),
        (None, '"a"', '"a"', True, False),
        (None, 'W/"a"', '"a"', True, False),
        (None, '"b", "c"', '"a"', True, True),
        (None, '"a"', None, False, True),
        (None, '"a"', None, True, True),
        (None, "JoplinIgnore-123", '"a"', True, True),
        (None, "", '"a"', True, True),
        (None, "", None, True, True),
        ('"a"', '"a"', '"a"', True, False),
        ('"a"', '"b"', '"a"', True, True),
    ],
)
def test_preconditions_guard_every_change(
    if_match: str | None, if_none_match: str | None, etag: str | None, exists: bool, may: bool
) -> None:
    assert Preconditions(if_match, if_none_match).check(etag, exists) is may


def test_preconditions_are_taken_from_the_headers() -> None:
    assert Preconditions.of({b"if-match": b'"a"', b"x": b"y"}) == Preconditions('"a"', None)
    assert Preconditions.of({b"if-none-match": b"\xe9"}) == Preconditions(None, "é")
