"""What the bodies of WebDAV's methods ask for (RFC 4918 sections 9 and 14, RFC 5689, RFC 6578)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from creamery.hive.dav.bodies import (
    LockInfo,
    Propfind,
    Remove,
    Set,
    SyncCollection,
    UnknownReport,
    WrongResourceType,
    parse_lockinfo,
    parse_mkcol,
    parse_propertyupdate,
    parse_propfind,
    parse_report,
)
from creamery.hive.dav.xml import BadXml, XmlTooLarge
from creamery.limits import Limits

LIMITS = Limits()

PARSERS = [parse_propfind, parse_propertyupdate, parse_lockinfo, parse_mkcol, parse_report]
HOLDERS = [
    (parse_propfind, b'<propfind xmlns="DAV:"><prop>%b</prop></propfind>'),
    (parse_propfind, b'<propfind xmlns="DAV:"><allprop/><include>%b</include></propfind>'),
    (parse_propertyupdate, b'<propertyupdate xmlns="DAV:"><set><prop>%b</prop></set></propertyupdate>'),
    (parse_propertyupdate, b'<propertyupdate xmlns="DAV:"><remove><prop>%b</prop></remove></propertyupdate>'),
    (
        parse_mkcol,
        b'<mkcol xmlns="DAV:"><set><prop><resourcetype><collection/></resourcetype>%b</prop></set></mkcol>',
    ),
    (
        parse_report,
        b'<sync-collection xmlns="DAV:"><sync-token/><sync-level>1</sync-level><prop>%b</prop></sync-collection>',
    ),
]

Parser = Callable[[bytes, Limits], Any]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", Propfind("allprop")),
        ('<propfind xmlns="DAV:"><allprop/></propfind>', Propfind("allprop")),
        ('<D:propfind xmlns:D="DAV:"><D:propname/></D:propfind>', Propfind("propname")),
        ('<a:propfind xmlns:a="DAV:"><a:prop/></a:propfind>', Propfind("prop")),
        (
            (
                '<propfind xmlns="DAV:"><prop><getetag/><x xmlns="urn:y"/><z xmlns=""/><getetag>1</getetag></prop>'
                "</propfind>"
            ),
            Propfind("prop", ("{DAV:}getetag", "{urn:y}x", "z")),
        ),
        (
            '<propfind xmlns="DAV:"><allprop/><include><quota-used-bytes/></include></propfind>',
            Propfind("allprop", (), ("{DAV:}quota-used-bytes",)),
        ),
        (
            '<propfind xmlns="DAV:"><prop><getetag/></prop><include><owner/></include></propfind>',
            Propfind("prop", ("{DAV:}getetag",)),
        ),
        (
            '<propfind xmlns="DAV:" xmlns:E="urn:E" E:attribute="x"><E:leave-out/>text<propname/></propfind>',
            Propfind("propname"),
        ),
    ],
)
def test_a_propfind_says_which_properties(body: str, expected: Propfind) -> None:
    assert parse_propfind(body.encode(), LIMITS) == expected


@pytest.mark.parametrize(
    "body",
    [
        '<propfind xmlns="DAV:"/>',
        '<propfind xmlns="DAV:"><include><getetag/></include></propfind>',
        '<propfind xmlns="DAV:"><prop/><allprop/></propfind>',
        '<propfind xmlns="DAV:"><prop xmlns="urn:other"/></propfind>',
        "<propfind><prop/></propfind>",
        '<multistatus xmlns="DAV:"><prop/></multistatus>',
        "<",
    ],
)
def test_a_propfind_that_says_none_or_two_kinds_is_refused(body: str) -> None:
    with pytest.raises(BadXml):
        parse_propfind(body.encode(), LIMITS)


def test_a_propertyupdate_keeps_its_order() -> None:
    body = (
        b'<D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:Z">'
        b'<D:set xml:lang="en"><D:prop><Z:a>1<Z:b/></Z:a><c/></D:prop></D:set>'
        b"<Z:ignored><D:prop><Z:a/></D:prop></Z:ignored>"
        b"<D:remove><D:prop><Z:a/></D:prop></D:remove>"
        b"<D:set><D:prop><Z:a>2</Z:a></D:prop></D:set>"
        b"</D:propertyupdate>"
    )

    assert parse_propertyupdate(body, LIMITS) == (
        Set("{urn:Z}a", '<Z:a xmlns:Z="urn:Z" xml:lang="en">1<Z:b/></Z:a>', "1"),
        Set("c", '<c xml:lang="en"/>', ""),
        Remove("{urn:Z}a"),
        Set("{urn:Z}a", '<Z:a xmlns:Z="urn:Z">2</Z:a>', "2"),
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        '<propertyupdate xmlns="DAV:"/>',
        '<propertyupdate xmlns="DAV:"><set/></propertyupdate>',
        '<propertyupdate xmlns="DAV:"><remove><x/></remove></propertyupdate>',
        '<propertyupdate xmlns="DAV:"><set xmlns=""><prop/></set></propertyupdate>',
        '<propfind xmlns="DAV:"><set><prop/></set></propfind>',
    ],
)
def test_a_propertyupdate_that_changes_nothing_is_refused(body: str) -> None:
    with pytest.raises(BadXml):
        parse_propertyupdate(body.encode(), LIMITS)


@pytest.mark.parametrize(("scope", "exclusive"), [("exclusive", True), ("shared", False)])
def test_a_lockinfo_keeps_its_owner_as_sent(scope: str, exclusive: bool) -> None:
    body = (
        f'<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype>'
        "<D:owner>me &amp; <D:href>http://x/~me</D:href></D:owner></D:lockinfo>"
    )

    assert parse_lockinfo(body.encode(), LIMITS) == LockInfo(
        exclusive, '<D:owner xmlns:D="DAV:">me &amp; <D:href>http://x/~me</D:href></D:owner>'
    )


def test_a_lock_without_a_body_is_to_be_renewed() -> None:
    assert parse_lockinfo(b"", LIMITS) is None


def test_a_lock_needs_no_owner() -> None:
    body = b'<lockinfo xmlns="DAV:"><locktype><write/></locktype><lockscope><shared/></lockscope></lockinfo>'

    assert parse_lockinfo(body, LIMITS) == LockInfo(exclusive=False, owner="")


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<lockscope><exclusive/></lockscope>",
        "<locktype><write/></locktype>",
        "<lockscope><exclusive/></lockscope><locktype><read/></locktype>",
        "<lockscope><mine/></lockscope><locktype><write/></locktype>",
        "<lockscope><exclusive/><shared/></lockscope><locktype><write/></locktype>",
    ],
)
def test_a_lockinfo_for_another_lock_is_refused(inner: str) -> None:
    with pytest.raises(BadXml):
        parse_lockinfo(f'<lockinfo xmlns="DAV:">{inner}</lockinfo>'.encode(), LIMITS)


def test_an_extended_mkcol_says_properties_beside_its_type() -> None:
    body = (
        b'<D:mkcol xmlns:D="DAV:"><D:set><D:prop><D:resourcetype><D:collection/></D:resourcetype>'
        b"<D:displayname>Mine</D:displayname></D:prop></D:set><D:set><D:prop><x>y</x></D:prop></D:set></D:mkcol>"
    )

    assert parse_mkcol(body, LIMITS) == (
        Set("{DAV:}displayname", '<D:displayname xmlns:D="DAV:">Mine</D:displayname>', "Mine"),
        Set("x", "<x>y</x>", "y"),
    )
    assert parse_mkcol(b"", LIMITS) == ()


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<set><prop><displayname>x</displayname></prop></set>",
        "<set><prop><resourcetype/></prop></set>",
        "<set><prop><resourcetype><x/></resourcetype></prop></set>",
        "<set><prop><resourcetype><collection/><x/></resourcetype></prop></set>",
    ],
)
def test_a_mkcol_makes_nothing_but_plain_folders(inner: str) -> None:
    with pytest.raises(WrongResourceType):
        parse_mkcol(f'<mkcol xmlns="DAV:">{inner}</mkcol>'.encode(), LIMITS)


@pytest.mark.parametrize("body", ['<mkcol xmlns="DAV:"><set/></mkcol>', '<propfind xmlns="DAV:"/>', "afafaf"])
def test_a_mkcol_of_another_body_is_refused(body: str) -> None:
    with pytest.raises(BadXml):
        parse_mkcol(body.encode(), LIMITS)


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (
            "<sync-token/><sync-level>1</sync-level><prop><getetag/></prop>",
            SyncCollection("", "1", None, ("{DAV:}getetag",)),
        ),
        (
            (
                "<sync-token> urn:x:1\n</sync-token><sync-level>infinite</sync-level>"
                "<limit><nresults>010</nresults></limit><prop/>"
            ),
            SyncCollection("urn:x:1", "infinite", 10, ()),
        ),
        (
            f"<sync-token/><sync-level>1</sync-level><limit><nresults>{'9' * 5000}</nresults></limit><prop/>",
            SyncCollection("", "1", 10**18, ()),
        ),
        ("<sync-token/><sync-level>1</sync-level><limit/><prop/>", SyncCollection("", "1", None, ())),
    ],
)
def test_a_sync_collection_says_since_when_how_deep_and_how_much(inner: str, expected: SyncCollection) -> None:
    assert parse_report(f'<sync-collection xmlns="DAV:">{inner}</sync-collection>'.encode(), LIMITS) == expected


@pytest.mark.parametrize(
    "inner",
    [
        "<sync-level>1</sync-level><prop/>",
        "<sync-token/><prop/>",
        "<sync-token/><sync-level>1</sync-level>",
        "<sync-token/><sync-level>2</sync-level><prop/>",
        "<sync-token/><sync-level>1</sync-level><limit><nresults>0</nresults></limit><prop/>",
        "<sync-token/><sync-level>1</sync-level><limit><nresults>-1</nresults></limit><prop/>",
        "<sync-token/><sync-level>1</sync-level><limit><nresults>\u0661</nresults></limit><prop/>",
    ],
)
def test_a_sync_collection_that_lacks_something_is_refused(inner: str) -> None:
    with pytest.raises(BadXml):
        parse_report(f'<sync-collection xmlns="DAV:">{inner}</sync-collection>'.encode(), LIMITS)


def test_another_report_is_named() -> None:
    with pytest.raises(UnknownReport, match="principal-match") as unknown:
        parse_report(b'<principal-match xmlns="DAV:"/>', LIMITS)

    assert unknown.value.name == "{DAV:}principal-match"


def test_a_report_without_a_body_is_refused() -> None:
    with pytest.raises(BadXml):
        parse_report(b"", LIMITS)


@pytest.mark.parametrize("parse", PARSERS)
def test_every_body_is_bounded_as_xml(parse: Parser) -> None:
    with pytest.raises(BadXml, match="DOCTYPE"):
        parse(b"<!DOCTYPE x><x/>", LIMITS)
    with pytest.raises(XmlTooLarge):
        parse(b"<x>" * 33, LIMITS)
    with pytest.raises(XmlTooLarge):
        parse(b"<x>" + b" " * 262_144, LIMITS)


@pytest.mark.parametrize(("parse", "holder"), HOLDERS)
def test_properties_are_counted_at_their_limit(parse: Parser, holder: bytes) -> None:
    limits = Limits(dav_properties=20)
    names = [b"<p%d/>" % number for number in range(21)]

    assert parse(holder % b"".join(names[:20]), limits)
    with pytest.raises(XmlTooLarge, match="20 properties"):
        parse(holder % b"".join(names), limits)


@pytest.mark.parametrize(("parse", "holder"), HOLDERS[2:5:2])
def test_a_value_is_measured_at_its_limit(parse: Parser, holder: bytes) -> None:
    limits = Limits(dav_property_bytes=100)
    fits = 100 - len(b'<x xmlns="DAV:"></x>')

    assert len(parse(holder % b"<x>%b</x>" % (b"y" * fits), limits)[-1].xml) == 100
    with pytest.raises(XmlTooLarge, match="101 bytes"):
        parse(holder % b"<x>%b</x>" % (b"y" * (fits + 1)), limits)


def test_an_owner_is_a_value_as_well() -> None:
    body = (
        '<lockinfo xmlns="DAV:"><lockscope><shared/></lockscope><locktype><write/></locktype>'
        f"<owner>{'x' * 65_536}</owner></lockinfo>"
    )

    with pytest.raises(XmlTooLarge):
        parse_lockinfo(body.encode(), LIMITS)


def test_one_declaration_around_many_values_makes_no_mountain_of_them() -> None:
    update = '<D:propertyupdate xmlns:D="DAV:" xmlns:p="{}"><D:set><D:prop>{}</D:prop></D:set></D:propertyupdate>'
    body = update.format("u" * 60_000, "<a>p:</a>" * 100)

    with pytest.raises(XmlTooLarge, match="together"):
        parse_propertyupdate(body.encode(), LIMITS)


def test_a_value_may_have_many_elements_and_no_more() -> None:
    update = '<propertyupdate xmlns="DAV:"><set><prop><x>{}</x></prop></set></propertyupdate>'
    body = update.format("<y/>" * 4_000)

    (change,) = parse_propertyupdate(body.encode(), LIMITS)

    assert isinstance(change, Set)
    assert change.xml.count("<y/>") == 4_000
    assert parse_propertyupdate(update.format("<y/>").encode(), Limits(dav_patch_elements=5))
    with pytest.raises(XmlTooLarge, match="5 elements"):
        parse_propertyupdate(update.format("<y/><y/>").encode(), Limits(dav_patch_elements=5))
