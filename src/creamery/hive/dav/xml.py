"""XML as WebDAV's clients send it: read while it arrives, within bounds, into a small tree; values written again.

A handler of our own over expat, as no ready one bounds depth and width, and all but the slowest let a DOCTYPE begin.
Prefixes are kept, since a value may hold names with a prefix (`<type>xs:string</type>`) that mean nothing without it.

Standards: XML 1.0, Namespaces in XML 1.0, RFC 4918 section 4.3 (what of a value is kept).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple
from xml.parsers import expat

from creamery.limits import Limits

DAV = "DAV:"
XML = "http://www.w3.org/XML/1998/namespace"
MAX_NAME_BYTES = 1_024
"""The longest name of an element or attribute with its namespace: the first is a key of a table, and asked back."""

_LANG = f"{{{XML}}}lang"
_NO_SCOPE: Mapping[str, str] = MappingProxyType({"": ""})

_MARKUP = re.compile('[&<>"\r\n\t]')
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
_ESCAPES_OF_TEXT = str.maketrans({character: _ESCAPED[character] for character in "&<>\r"})
_ESCAPES_OF_ATTRIBUTES = str.maketrans(_ESCAPED)


class BadXml(ValueError):
    """The body is not what the method takes: no XML, or not the document it should be (400). The text says why."""


class XmlTooLarge(ValueError):
    """The body, or a property in it, is beyond a limit, which the text names (413)."""


class Attribute(NamedTuple):
    """One attribute; `name` is `{namespace}local`, or `local` where it has no prefix."""

    name: str
    value: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Element:
    """One element.

    Attributes:
        name: `{namespace}local`, or `local` where it is in no namespace.
        prefix: that it was written with; empty for none.
        attributes: its own, without namespace declarations.
        content: elements and texts in their order; never two texts in a row, never an empty one.
        scope: the namespaces of all prefixes that are declared here, for itself and from around it.
        lang: the `xml:lang` in force, its own or from around it; empty for none.
    """

    name: str
    prefix: str = ""
    attributes: tuple[Attribute, ...] = ()
    content: tuple[Element | str, ...] = ()
    scope: Mapping[str, str] = field(default_factory=dict)
    lang: str = ""

    @property
    def children(self) -> tuple[Element, ...]:
        """The elements in it."""
        return tuple([part for part in self.content if not isinstance(part, str)])

    @property
    def text(self) -> str:
        """The text that is directly in it."""
        return "".join([part for part in self.content if isinstance(part, str)])

    def child(self, name: str) -> Element | None:
        """The first element of this name in it."""
        return next((part for part in self.content if not isinstance(part, str) and part.name == name), None)


class _Open(NamedTuple):
    """An element whose end has not come."""

    name: str
    prefix: str
    attributes: tuple[Attribute, ...]
    content: list[Element | str]
    scope: Mapping[str, str]
    lang: str


class XmlReader:
    """Reads one document that comes in pieces; hold no more of it than these.

    Any DOCTYPE is refused where it begins, so that there are no entities to expand; processing instructions and
    comments are passed over. All encodings that expat reads are taken, UTF-16 among them.

    Args:
        limits: `dav_body_bytes`, `dav_depth`, `dav_prefixes`.
        elements: how many it may have; None: `limits.dav_elements`.
    """

    def __init__(self, limits: Limits, elements: int | None = None) -> None:
        self._limits = limits
        self._elements_left = self._most_elements = limits.dav_elements if elements is None else elements
        self._received = 0
        self._declared: dict[str, str] = {}
        self._open = [_Open("", "", (), [], _NO_SCOPE, "")]
        parser = expat.ParserCreate(namespace_separator=" ")  # a blank cannot occur in a URI
        parser.namespace_prefixes = True
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser: expat.XMLParserType | None = parser

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            BadXml: what has come cannot become well-formed XML.
            XmlTooLarge: it is beyond a limit. After either the reader takes nothing more.
        """
        self._received += len(piece)
        if self._received > self._limits.dav_body_bytes:
            self._parser = None
            raise XmlTooLarge(f"The XML has more than {self._limits.dav_body_bytes} bytes (limits.dav_body_bytes)")
        self._parse(piece, is_last=False)

    def close(self) -> Element | None:
        """The document's element; None where there was no body at all.

        Raises:
            BadXml: something is missing at its end.
            XmlTooLarge: it is beyond a limit; found so late where expat has waited for the rest of a tag.
        """
        if not self._received:
            self._parser = None
            return None
        self._parse(b"", is_last=True)
        self._parser = None  # it holds our methods and we hold it: nobody should have to look for the circle
        (root,) = self._open[0].content
        assert isinstance(root, Element)  # noqa: S101 - expat takes no text outside the document's element
        return root

    def _parse(self, piece: bytes, *, is_last: bool) -> None:
        parser = self._parser
        if parser is None:
            raise BadXml("The XML has been refused before")
        self._parser = None
        try:
            parser.Parse(piece, is_last)
        except (BadXml, XmlTooLarge):
            raise
        except expat.ExpatError as error:
            raise BadXml(f"The body is not well-formed XML: {error}") from error
        except (
            LookupError,
            ValueError,
        ) as error:  # the codecs': an encoding that is none, or no text's, or of many bytes
            raise BadXml(f"The XML is in an encoding that cannot be read ({error}): send it in UTF-8") from error
        self._parser = parser

    def _doctype(self, *_: object) -> None:
        raise BadXml("The XML has a DOCTYPE, which is never read: send it without")

    def _declare(self, prefix: str | None, namespace: str | None) -> None:
        if prefix != "xml":
            self._declared[prefix or ""] = namespace or ""
            if len(self._declared) > self._limits.dav_prefixes:
                raise self._too_many_prefixes()

    def _start(self, written: str, attributes: list[str]) -> None:
        self._elements_left -= 1
        if self._elements_left < 0:
            raise XmlTooLarge(f"The XML has more than {self._most_elements} elements")
        if len(self._open) > self._limits.dav_depth:
            raise XmlTooLarge(f"The XML is more than {self._limits.dav_depth} elements deep (limits.dav_depth)")
        around = self._open[-1]
        scope, lang = around.scope, around.lang
        if self._declared:
            scope = {**scope, **self._declared}
            self._declared = {}
            if len(scope) > self._limits.dav_prefixes:
                raise self._too_many_prefixes()
        name, prefix = _names(written)
        own: tuple[Attribute, ...] = ()
        if attributes:
            own = tuple(
                [
                    Attribute(*_attribute_names(attributes[place], attributes[place + 1]))
                    for place in range(0, len(attributes), 2)
                ]
            )
            lang = next((attribute.value for attribute in own if attribute.name == _LANG), lang)
        self._open.append(_Open(name, prefix, own, [], scope, lang))

    def _end(self, _: str) -> None:
        done = self._open.pop()
        self._open[-1].content.append(
            Element(done.name, done.prefix, done.attributes, _together(done.content), done.scope, done.lang)
        )

    def _text(self, text: str) -> None:
        self._open[-1].content.append(text)

    def _too_many_prefixes(self) -> XmlTooLarge:
        most = self._limits.dav_prefixes
        return XmlTooLarge(f"The XML has more than {most} prefixes of namespaces at one place (limits.dav_prefixes)")


def read_xml(body: bytes, limits: Limits, elements: int | None = None) -> Element | None:
    """The element of a whole document; None where there is no body. Arguments and errors are `XmlReader`'s."""
    reader = XmlReader(limits, elements)
    reader.feed(body)
    return reader.close()


def split_name(name: str) -> tuple[str, str]:
    """`{namespace}local` as its two parts; the namespace is empty where there is none."""
    if not name.startswith("{"):
        return "", name
    namespace, _, local = name[1:].rpartition("}")
    return namespace, local


def escape(text: str) -> str:
    """The text as it stands between tags, and in double quotes."""
    return text.translate(_ESCAPES_OF_ATTRIBUTES) if _MARKUP.search(text) else text


def canonical(element: Element) -> str:
    """The element as text that means the same wherever it is put; written so again, it stays as it is.

    Kept are names with their namespaces, attributes, text, the prefixes that names were written with and those that a
    value names (RFC 4918 section 4.3; litmus' propvalnspace), and the `xml:lang` in force where the element stands.
    Every prefix is declared at the outermost element, in alphabetical order; one that means something else further in
    is declared there again. Comments, processing instructions and the kind of quotes are not kept.
    """
    hoisted: dict[str, str] = {}
    for each in _elements(element):
        for prefix in _prefixes(each):
            hoisted.setdefault(prefix, each.scope.get(prefix, ""))
    lang = next((attribute.value for attribute in element.attributes if attribute.name == _LANG), None)
    attributes = element.attributes
    if lang is None and element.lang:
        attributes = (*attributes, Attribute(_LANG, element.lang, "xml"))
    pieces: list[str] = []
    _write(element, attributes, hoisted, _NO_SCOPE, pieces)
    return "".join(pieces)


def _write(
    element: Element,
    attributes: tuple[Attribute, ...],
    needed: Mapping[str, str],
    in_force: Mapping[str, str],
    pieces: list[str],
) -> None:
    """Write `element`, declaring what is `needed` and not `in_force`."""
    tag = _qualified(element.prefix, element.name)
    pieces.append(f"<{tag}")
    declared = {prefix: namespace for prefix, namespace in needed.items() if in_force.get(prefix) != namespace}
    for prefix, namespace in sorted(declared.items()):
        pieces.append(f' xmlns{":" if prefix else ""}{prefix}="{namespace.translate(_ESCAPES_OF_ATTRIBUTES)}"')
    for attribute in sorted(attributes):
        name = _qualified(attribute.prefix, attribute.name)
        pieces.append(f' {name}="{attribute.value.translate(_ESCAPES_OF_ATTRIBUTES)}"')
    if not element.content:
        pieces.append("/>")
        return
    pieces.append(">")
    within = {**in_force, **declared} if declared else in_force
    for part in element.content:
        if isinstance(part, str):
            pieces.append(part.translate(_ESCAPES_OF_TEXT))
        else:
            used = {prefix: part.scope.get(prefix, "") for prefix in _prefixes(part)}
            _write(part, part.attributes, used, within, pieces)
    pieces.append(f"</{tag}>")


def _prefixes(element: Element) -> set[str]:
    """The prefixes that the element itself needs: of its name, its attributes, and in its own text and values.

    A text that holds `p:` by chance has one declaration more; a pattern for names would take quadratic time.
    """
    used = {element.prefix}
    values = [part for part in element.content if isinstance(part, str)]
    for attribute in element.attributes:
        values.append(attribute.value)
        if attribute.prefix:
            used.add(attribute.prefix)
    used.discard("xml")
    for value in values:
        if ":" in value:
            used.update([prefix for prefix in element.scope if prefix and f"{prefix}:" in value])
    return used


def _elements(element: Element) -> Iterator[Element]:
    yield element
    for part in element.content:
        if not isinstance(part, str):
            yield from _elements(part)


def _qualified(prefix: str, name: str) -> str:
    local = split_name(name)[1]
    return f"{prefix}:{local}" if prefix else local


def _names(written: str) -> tuple[str, str]:
    """`{namespace}local` and prefix of what expat says as "namespace local prefix"."""
    if len(written) > MAX_NAME_BYTES // 4 and len(written.encode()) > MAX_NAME_BYTES:
        raise XmlTooLarge(f"The XML has a name that is longer than {MAX_NAME_BYTES} bytes with its namespace")
    if " " not in written:
        return written, ""
    namespace, local, *prefix = written.split(" ")
    return f"{{{namespace}}}{local}", prefix[0] if prefix else ""


def _attribute_names(written: str, value: str) -> tuple[str, str, str]:
    name, prefix = _names(written)
    return name, value, prefix


def _together(content: list[Element | str]) -> tuple[Element | str, ...]:
    """Neighbouring texts as one: expat gives long ones in pieces."""
    if len(content) < 2:  # noqa: PLR2004 - nothing beside it
        return tuple(content)
    joined: list[Element | str] = []
    for is_text, parts in groupby(content, lambda part: isinstance(part, str)):
        if is_text:
            joined.append("".join([part for part in parts if isinstance(part, str)]))
        else:
            joined.extend(parts)
    return tuple(joined)
