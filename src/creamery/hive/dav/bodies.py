"""What the bodies of PROPFIND, PROPPATCH, LOCK, MKCOL and REPORT ask for.

Elements and attributes that are not known are passed over (RFC 4918 section 17); what is left has to make sense.

Standards: RFC 4918 sections 9.1, 9.2, 9.10 and 14; RFC 5689 (MKCOL with a body); RFC 6578 section 6 (sync-collection).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from creamery.hive.dav.xml import BadXml, Element, XmlTooLarge, canonical, read_xml, split_name
from creamery.limits import Limits

_MAX_DIGITS = 18  # int() refuses 5,000 of them, so they are never given to it
_NUMBER = re.compile("[0-9]+", re.ASCII)


class WrongResourceType(ValueError):
    """MKCOL asks for something else than a plain folder (403, `valid-resourcetype`)."""


class UnknownReport(ValueError):
    """A REPORT that is none of ours (403, `supported-report`).

    Attributes:
        name: its name, `{namespace}local`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"There is no report {name!r} here: ask for 'sync-collection', or list with PROPFIND")


@dataclass(frozen=True, slots=True)
class Propfind:
    """Which properties somebody wants to see.

    Attributes:
        kind: those in `names`; all that are cheap (and those in `include`); or which there are.
        names: `{namespace}local`, each once, in the order asked.
        include: the same, for `allprop`.
    """

    kind: Literal["prop", "allprop", "propname"]
    names: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Set:
    """A property gets a value.

    Attributes:
        name: `{namespace}local`.
        xml: the whole element as it is to be kept and given back (`xml.canonical`).
        text: the text that is directly in it, for properties that the hub itself understands.
    """

    name: str
    xml: str
    text: str


@dataclass(frozen=True, slots=True)
class Remove:
    """A property goes; `name` is `{namespace}local`."""

    name: str


@dataclass(frozen=True, slots=True)
class LockInfo:
    """Which lock somebody wants.

    Attributes:
        exclusive: nobody else may have one; else others may share it.
        owner: the whole `owner` element as it is to be given back; empty where there was none.
    """

    exclusive: bool
    owner: str


@dataclass(frozen=True, slots=True)
class SyncCollection:
    """What changed since a token (RFC 6578).

    Attributes:
        token: of the state that is known; empty: tell everything.
        level: 1 for members alone, `infinite` for theirs too.
        limit: the most changes to tell at once; None: no such wish.
        names: the properties wanted of each.
    """

    token: str
    level: Literal["1", "infinite"]
    limit: int | None
    names: tuple[str, ...]


def parse_propfind(body: bytes, limits: Limits) -> Propfind:
    """The body of a PROPFIND; none is `allprop` (RFC 4918 section 9.1).

    Raises:
        BadXml: it is no `propfind`, or not exactly one of prop, allprop and propname stands in it.
        XmlTooLarge: beyond a limit of the XML, or more than `limits.dav_properties` names.
    """
    root = _root(body, limits, "propfind")
    if root is None:
        return Propfind("allprop")
    kinds = [kind for kind in _KINDS if root.child(f"{{DAV:}}{kind}") is not None]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise BadXml(f"A propfind holds one of prop, allprop and propname, and this holds {found}")
    names = _names(_named(root, "prop"), limits)
    include = _names(_named(root, "include"), limits)
    return Propfind(kinds[0], names, include if kinds[0] == "allprop" else ())


_KINDS: tuple[Literal["prop", "allprop", "propname"], ...] = ("prop", "allprop", "propname")


def parse_propertyupdate(body: bytes, limits: Limits) -> tuple[Set | Remove, ...]:
    """The body of a PROPPATCH, in document order: all of it is to be done or nothing (RFC 4918 section 9.2).

    Raises:
        BadXml: it is no `propertyupdate`, sets and removes nothing, or names no property where it does.
        XmlTooLarge: beyond a limit of the XML, more than `limits.dav_properties` changes, or a value too long.
    """
    root = _root(body, limits, "propertyupdate", limits.dav_patch_elements)
    if root is None:
        raise BadXml("A PROPPATCH has a body, a propertyupdate: send one")
    values = _Values(limits)
    changes: list[Set | Remove] = []
    actions = [each for each in root.children if each.name in {"{DAV:}set", "{DAV:}remove"}]
    for action in actions:
        for each in _properties(action):
            _bound(len(changes) + 1, limits)
            changes.append(values.set(each) if action.name == "{DAV:}set" else Remove(each.name))
    if not actions:
        raise BadXml("A propertyupdate holds a set or a remove, and this holds neither")
    return tuple(changes)


def parse_lockinfo(body: bytes, limits: Limits) -> LockInfo | None:
    """The body of a LOCK; None where there is none: a lock is to be renewed (RFC 4918 section 9.10.2).

    Raises:
        BadXml: it is no `lockinfo`, or asks for another lock than an exclusive or shared one for writing.
        XmlTooLarge: beyond a limit of the XML, or the owner is longer than `limits.dav_property_bytes`.
    """
    root = _root(body, limits, "lockinfo")
    if root is None:
        return None
    scope, kind = root.child("{DAV:}lockscope"), root.child("{DAV:}locktype")
    if kind is None or kind.child("{DAV:}write") is None:
        raise BadXml("The locktype of this lockinfo is not 'write', and there is no other")
    exclusive = scope is not None and scope.child("{DAV:}exclusive") is not None
    shared = scope is not None and scope.child("{DAV:}shared") is not None
    if exclusive == shared:
        raise BadXml("The lockscope of a lockinfo is either 'exclusive' or 'shared'")
    owner = root.child("{DAV:}owner")
    return LockInfo(exclusive, "" if owner is None else _Values(limits).keep(owner))


def parse_mkcol(body: bytes, limits: Limits) -> tuple[Set, ...]:
    """The properties that a new folder gets at once, without its type (RFC 5689); none where there is no body.

    Raises:
        BadXml: it is no `mkcol` with properties.
        WrongResourceType: no `resourcetype` in it, or another than `collection` alone.
        XmlTooLarge: as for PROPPATCH.
    """
    root = _root(body, limits, "mkcol", limits.dav_patch_elements)
    if root is None:
        return ()
    values = _Values(limits)
    is_collection = False
    sets: list[Set] = []
    for action in _named(root, "set"):
        for each in _properties(action):
            if each.name == "{DAV:}resourcetype":
                is_collection = [kind.name for kind in each.children] == ["{DAV:}collection"]
                if not is_collection:
                    raise WrongResourceType("A folder's resourcetype is 'collection' and nothing else here")
            else:
                _bound(len(sets) + 1, limits)
                sets.append(values.set(each))
    if not is_collection:
        raise WrongResourceType("A mkcol says the resourcetype 'collection', and this says none")
    return tuple(sets)


def parse_report(body: bytes, limits: Limits) -> SyncCollection:
    """The body of a REPORT (RFC 3253 section 3.6, RFC 6578 section 6.1).

    Raises:
        BadXml: no body, or a `sync-collection` without token, level or prop, or with a limit that is no number.
        UnknownReport: another report.
        XmlTooLarge: as for PROPFIND.
    """
    root = read_xml(body, limits)
    if root is None:
        raise BadXml("A REPORT has a body that says which: send one")
    if root.name != "{DAV:}sync-collection":
        raise UnknownReport(root.name)
    token, level = root.child("{DAV:}sync-token"), root.child("{DAV:}sync-level")
    wanted = _named(root, "prop")
    if token is None or level is None or not wanted:
        raise BadXml("A sync-collection holds a sync-token, a sync-level and a prop, and this lacks one")
    depth = _LEVELS.get(level.text.strip())
    if depth is None:
        raise BadXml("A sync-level is '1' or 'infinite'")
    return SyncCollection(token.text.strip(), depth, _limit(root.child("{DAV:}limit")), _names(wanted, limits))


_LEVELS: dict[str, Literal["1", "infinite"]] = {"1": "1", "infinite": "infinite"}


class _Values:
    """Values of one request. Together they have as many bytes as a body may have.

    Or prefixes that are declared once, around thousands of them, would make a gigabyte of a small body.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0

    def set(self, element: Element) -> Set:
        return Set(element.name, self.keep(element), element.text)

    def keep(self, element: Element) -> str:
        xml = canonical(element)
        size = len(xml.encode())
        self._bytes += size
        if size > self._limits.dav_property_bytes:
            local = split_name(element.name)[1]
            raise XmlTooLarge(
                f"The value of {local[:80]!r} has {size} bytes, and {self._limits.dav_property_bytes} is the most"
                " (limits.dav_property_bytes)"
            )
        if self._bytes > self._limits.dav_body_bytes:
            raise XmlTooLarge(
                f"The values together have more than {self._limits.dav_body_bytes} bytes, each with the prefixes that"
                " it uses (limits.dav_body_bytes): set fewer at once"
            )
        return xml


def _root(body: bytes, limits: Limits, local: str, elements: int | None = None) -> Element | None:
    root = read_xml(body, limits, elements)
    if root is not None and root.name != f"{{DAV:}}{local}":
        raise BadXml(f"The XML is {root.name[:80]!r} where '{local}' in the namespace 'DAV:' is expected")
    return root


def _named(element: Element, local: str) -> list[Element]:
    return [child for child in element.children if child.name == f"{{DAV:}}{local}"]


def _properties(action: Element) -> Iterator[Element]:
    wanted = _named(action, "prop")
    if not wanted:
        raise BadXml(f"A {split_name(action.name)[1]} holds a prop, and this holds none")
    for each in wanted:
        yield from each.children


def _names(holders: Iterable[Element], limits: Limits) -> tuple[str, ...]:
    names = dict.fromkeys(child.name for holder in holders for child in holder.children)
    _bound(len(names), limits)
    return tuple(names)


def _bound(count: int, limits: Limits) -> None:
    if count > limits.dav_properties:
        raise XmlTooLarge(f"More than {limits.dav_properties} properties are named (limits.dav_properties)")


def _limit(element: Element | None) -> int | None:
    results = None if element is None else element.child("{DAV:}nresults")
    if results is None:
        return None
    digits = results.text.strip().lstrip("0")
    if not _NUMBER.fullmatch(digits):
        raise BadXml("The nresults of a limit is a number above 0")
    return 10**_MAX_DIGITS if len(digits) > _MAX_DIGITS else int(digits)
