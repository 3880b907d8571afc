"""XML as it comes in (XML 1.0, Namespaces in XML 1.0), and values as they are kept (RFC 4918 section 4.3)."""

from __future__ import annotations

import encodings.aliases
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creamery.hive.dav.xml import BadXml, Element, XmlReader, XmlTooLarge, canonical, escape, read_xml, split_name
from creamery.limits import Limits

LIMITS = Limits()


def root(body: bytes | str, limits: Limits = LIMITS) -> Element:
    element = read_xml(body.encode() if isinstance(body, str) else body, limits)
    assert element is not None
    return element


def told(body: str, path: int = 0) -> str:
    """The canonical form of the first grandchild: where a property stands in `propertyupdate`'s `prop`."""
    return canonical(root(body).children[0].children[path])


def same(one: ET.Element, other: ET.Element) -> bool:
    return (
        one.tag == other.tag
        and one.attrib == other.attrib
        and (one.text or "") == (other.text or "")
        and (one.tail or "") == (other.tail or "")
        and len(one) == len(other)
        and all(map(same, one, other))
    )


@pytest.mark.parametrize(
    "body",
    [
        '<propfind xmlns="DAV:"><prop/></propfind>',
        '<D:propfind xmlns:D="DAV:"><D:prop/></D:propfind>',
        '<?xml version="1.0" encoding="utf-8"?>\n<a:propfind xmlns:a="DAV:"><b:prop xmlns:b="DAV:"/></a:propfind>\n',
        '<!-- hm --><?go now?><propfind xmlns="DAV:"><!-- x --><?y z?><prop/></propfind><!-- end -->',
    ],
)
def test_names_are_the_same_with_any_prefix_and_none(body: str) -> None:
    element = root(body)

    assert element.name == "{DAV:}propfind"
    assert [child.name for child in element.children] == ["{DAV:}prop"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "cp1252", "koi8-r"])
def test_every_encoding_that_expat_knows_is_read(encoding: str) -> None:
    letter = "я" if encoding == "koi8-r" else "é"
    declared = encoding if not encoding.startswith("utf-16-") else "utf-16"
    body = f'<?xml version="1.0" encoding="{declared}"?><a>{letter}</a>'.encode(encoding)

    assert root(body).text == letter


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_may_come_byte_by_byte(encoding: str) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?><a xmlns="x">é<b y="\N{HONEY POT}"/>c</a>'.encode(encoding)
    reader = XmlReader(LIMITS)

    for byte in body:
        reader.feed(bytes([byte]))

    assert reader.close() == root(body)


def test_no_body_is_no_document() -> None:
    assert read_xml(b"", LIMITS) is None


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"hello",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a/>text",
        b"<a>&nbsp;</a>",
        b"<a b='1' b='2'/>",
        b"<a:b/>",
        b"<a b:c='1'/>",
        b"<a xmlns:b=''><b:c/></a>",
        b"<a xmlns:b=''/>",
        b"<a xmlns:b='x' xmlns:c='x' b:d='1' c:d='2'/>",
        b"<a xmlns='a b'/>",
        b"<a>\x00</a>",
        b"<a>\x01</a>",
        b"<a>&#1;</a>",
        b"<a>\xff</a>",
        b"<a>\xef\xbf\xbf</a>",
        b"<a>\xed\xa0\x80</a>",
        b"<?xml version='1.0' encoding='none-such'?><a/>",
        b"<?xml version='1.0' encoding='shift_jis'?><a/>",
        b"<?xml version='1.0' encoding='zlib'?><a/>",
        b'{"propfind": {}}',
    ],
)
def test_what_is_no_xml_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(BadXml, match=r"\w+"):
        read_xml(body, LIMITS)


@pytest.mark.parametrize("encoding", sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values()}))
def test_no_codec_of_python_makes_more_than_bad_xml(encoding: str) -> None:
    body = f"<?xml version='1.0' encoding='{encoding.replace('_', '-')}'?><a>x</a>".encode()

    try:
        element = read_xml(body, LIMITS)
    except BadXml:
        element = None

    assert element is None or element.name


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]>',
        "<!DOCTYPE a [",
        '<!DOCTYPE a [<!ATTLIST a b CDATA "c">]>',
    ],
)
def test_a_doctype_is_refused_before_anything_in_it_is_read(doctype: str) -> None:
    reader = XmlReader(LIMITS)

    with pytest.raises(BadXml, match="DOCTYPE"):
        reader.feed(f"{doctype}<a>&c;</a>".encode())
    with pytest.raises(BadXml):
        reader.feed(b"<a/>")
    with pytest.raises(BadXml):
        reader.close()


def declared(count: int) -> str:
    return "".join(f' xmlns:p{number}="u"' for number in range(count))


@pytest.mark.parametrize(
    ("body", "beyond"),
    [
        ("<a>" * 5 + "</a>" * 5, "<a>" * 6 + "</a>" * 6),
        (f"<a>{'<b/>' * 9}</a>", f"<a>{'<b/>' * 10}</a>"),
        (f"<a>{'x' * 993}</a>", f"<a>{'x' * 994}</a>"),
        (f"<a{declared(7)}/>", f"<a{declared(8)}/>"),
        (f"<a{declared(7)}><b xmlns='u'/></a>", f"<a{declared(7)}><b xmlns:q='u'/></a>"),
    ],
    ids=["depth", "elements", "bytes", "prefixes", "prefixes further in"],
)
def test_a_document_is_read_at_its_limits_and_not_beyond(body: str, beyond: str) -> None:
    limits = Limits(dav_depth=5, dav_elements=10, dav_body_bytes=1_000, dav_prefixes=8)

    assert root(body, limits).name == "a"
    with pytest.raises(XmlTooLarge, match=r"more than (5|10|8|1000) "):
        read_xml(beyond.encode(), limits)


def test_a_method_may_allow_more_elements() -> None:
    assert len(root(f"<a>{'<b/>' * 999}</a>").children) == 999
    with pytest.raises(XmlTooLarge):
        read_xml(f"<a>{'<b/>' * 1000}</a>".encode(), LIMITS)
    assert read_xml(f"<a>{'<b/>' * 1000}</a>".encode(), LIMITS, 5_000) is not None


def test_a_name_has_a_longest_length_with_its_namespace() -> None:
    assert root(f"<a xmlns='{'u' * 1022}'/>").name == "{" + "u" * 1022 + "}a"
    with pytest.raises(XmlTooLarge, match="1024 bytes"):
        read_xml(f"<a xmlns='{'u' * 1023}'/>".encode(), LIMITS)
    with pytest.raises(XmlTooLarge, match="1024 bytes"):
        read_xml(f"<a><b {'é' * 513}='1'/></a>".encode(), LIMITS)


def test_a_long_text_stays_one() -> None:
    element = root(f"<a>{'é' * 60_000}<![CDATA[<]]><!-- - -->&amp;<b/>z</a>")

    assert element.content == ("é" * 60_000 + "<&", element.children[0], "z")
    assert element.text == "é" * 60_000 + "<&z"


def test_the_language_comes_from_around() -> None:
    element = root('<a xml:lang="en"><b/><c xml:lang="de"><d/></c><e xml:lang=""><f/></e></a>')

    assert [child.lang for child in element.children] == ["en", "de", ""]
    assert [child.children[0].lang for child in element.children[1:]] == ["de", ""]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('<p:x xmlns:p="urn:x"/>', '<p:x xmlns:p="urn:x"/>'),
        ('<x xmlns="urn:x"></x>', '<x xmlns="urn:x"/>'),
        ("<x xmlns=''>a</x>", "<x>a</x>"),
        ("<e:x>e:y<e:z/>z:y</e:x>", '<e:x xmlns:e="urn:e">e:y<e:z/>z:y</e:x>'),
        ("<x xmlns='u'><e:y/></x>", '<x xmlns="u" xmlns:e="urn:e"><e:y/></x>'),
        ("<x xmlns='u' a='f:y'/>", '<x xmlns="u" xmlns:f="urn:f" a="f:y"/>'),
        ("<x xmlns='u' f:b='2' a='1'/>", '<x xmlns="u" xmlns:f="urn:f" a="1" f:b="2"/>'),
        ("<x xmlns='u'><y xmlns=''/></x>", '<x xmlns="u"><y xmlns=""/></x>'),
        ("<e:x><y xmlns='u'/><z xmlns=''/></e:x>", '<e:x xmlns="u" xmlns:e="urn:e"><y/><z xmlns=""/></e:x>'),
        ("<e:x><e:y xmlns:e='v'>e:a</e:y>e:b</e:x>", '<e:x xmlns:e="urn:e"><e:y xmlns:e="v">e:a</e:y>e:b</e:x>'),
        ("<e:x xml:lang='de'/>", '<e:x xmlns:e="urn:e" xml:lang="de"/>'),
        ("<e:x a='&lt;&quot;&#10;&#9;&#13;&amp;'/>", '<e:x xmlns:e="urn:e" a="&lt;&quot;&#10;&#9;&#13;&amp;"/>'),
        ("<e:x>&lt;&gt;&amp;\"'&#13;\r\n\t</e:x>", '<e:x xmlns:e="urn:e">&lt;&gt;&amp;"\'&#13;\n\t</e:x>'),
        ("<e:x><![CDATA[a]]>]]&gt;b<!-- c --><?d e?></e:x>", '<e:x xmlns:e="urn:e">a]]&gt;b</e:x>'),
        ("<e:x>\N{HONEY POT}\U00010000</e:x>", '<e:x xmlns:e="urn:e">\N{HONEY POT}\U00010000</e:x>'),
    ],
)
def test_a_value_is_kept_with_all_that_it_means(written: str, kept: str) -> None:
    assert told(f"<r xmlns:e='urn:e' xmlns:f='urn:f'><prop xmlns='DAV:'>{written}</prop></r>") == kept


@pytest.mark.parametrize(
    ("update", "lang"),
    [
        ('<r xml:lang="en"><prop><x/></prop></r>', ' xml:lang="en"'),
        ('<r><prop xml:lang="en"><x/></prop></r>', ' xml:lang="en"'),
        ('<r xml:lang="de"><prop xml:lang="en"><x/></prop></r>', ' xml:lang="en"'),
        ('<r xml:lang="de"><prop><x xml:lang="en"/></prop></r>', ' xml:lang="en"'),
        ('<r xml:lang="de"><prop><x xml:lang=""/></prop></r>', ' xml:lang=""'),
        ('<r xml:lang="de"><prop xml:lang=""><x/></prop></r>', ""),
        ("<r><prop><x/></prop></r>", ""),
    ],
)
def test_a_value_keeps_the_language_that_stands_around_it(update: str, lang: str) -> None:
    assert told(update) == f"<x{lang}/>"


NAMESPACES = st.sampled_from(["urn:a", "urn:b", "urn:c&d", "http://e/?f='g'", "DAV:"])
TEXTS = st.text(
    st.one_of(st.sampled_from("p:q:r: \n\t<&>\"']"), st.characters(codec="utf-8", exclude_categories=["Cc", "Cn"])),
    max_size=12,
)


@st.composite
def documents(draw: st.DrawFn, bound: frozenset[str] = frozenset(), depth: int = 0) -> str:
    """An element with prefixes that change their meaning, written as a client may write it."""
    new = draw(st.dictionaries(st.sampled_from(["", "p", "q", "r"]), NAMESPACES, max_size=2))
    if "" in new and draw(st.booleans()):
        new[""] = ""
    in_scope = bound | set(new)
    prefix = draw(st.sampled_from(["", *sorted(in_scope - {""})]))
    tag = f"{prefix}:{draw(st.sampled_from('xyz'))}" if prefix else draw(st.sampled_from("xyz"))
    heads = [f'xmlns{":" if name else ""}{name}="{escape(uri)}"' for name, uri in new.items()]
    if draw(st.booleans()):
        heads.append(f'{f"{prefix}:" if prefix else ""}at="{escape(draw(TEXTS))}"')
    if draw(st.booleans()):
        heads.append(f'xml:lang="{draw(st.sampled_from(["en", "", "de"]))}"')
    parts = [escape(draw(TEXTS))]
    for _ in range(draw(st.integers(0, 2)) if depth < 3 else 0):
        parts += [draw(documents(in_scope, depth + 1)), escape(draw(TEXTS))]
    return f"<{' '.join([tag, *heads])}>{''.join(parts)}</{tag}>"


@given(documents())
def test_the_kept_form_means_the_same_and_stays_as_it_is(document: str) -> None:
    kept = canonical(root(document))

    assert same(ET.fromstring(kept), ET.fromstring(document))
    assert canonical(root(kept)) == kept


@given(documents(), st.sampled_from(["en", ""]))
def test_the_kept_form_of_an_inner_element_stays_as_it_is_too(document: str, lang: str) -> None:
    kept = canonical(root(f'<o xmlns="urn:o" xmlns:p="urn:p" xml:lang="{lang}">{document}</o>').children[0])

    assert canonical(root(kept)) == kept


@given(documents(), st.lists(st.integers(1, 40), max_size=8))
def test_pieces_of_any_size_make_the_same_tree(document: str, sizes: list[int]) -> None:
    reader, body = XmlReader(LIMITS), document.encode()

    for size in sizes:
        reader.feed(body[:size])
        body = body[size:]
    reader.feed(body)

    assert reader.close() == root(document)


@given(st.one_of(st.binary(max_size=200), st.text("<>/a:='\"& x!?-[]", max_size=80).map(str.encode)))
def test_any_bytes_are_xml_or_are_refused(body: bytes) -> None:
    try:
        element = read_xml(body, LIMITS)
    except (BadXml, XmlTooLarge) as error:
        element, said = None, str(error)
    else:
        said = "read"

    assert said
    assert element is None or canonical(element)


def test_a_name_has_two_parts() -> None:
    assert split_name("{DAV:}prop") == ("DAV:", "prop")
    assert split_name("{urn:{x}y}prop") == ("urn:{x}y", "prop")
    assert split_name("prop") == ("", "prop")
