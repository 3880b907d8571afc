"""The live properties: what each looks like in a listing, for files and for folders, and which `allprop` has.

Standards: RFC 4918 sections 9.1 and 15, RFC 4331 (quota), RFC 6578 (sync-token), RFC 3253 section 3.1.5
(supported-report-set), RFC 3744 section 5 and RFC 5397 (who asks, what he may).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from creamery.hive import etags
from creamery.hive.dav.bodies import Propfind
from creamery.hive.dav.xml import DAV, XML, escape, split_name

REPORTS = (
    "<d:supported-report-set><d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report>"
    "</d:supported-report-set>"
)

_BOUND = {DAV: "d", XML: "xml"}
"""Prefixes that every document of ours knows; the second may have no other."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TIME = "{minutes[%s_second // 60]}{seconds[%s_second %% 60]}"


@dataclass(frozen=True, slots=True)
class Live:
    """A live property.

    Attributes:
        name: its local name, in `DAV:`.
        of_file: its element for a file, a part of an f-string over the names in `multistatus`; empty: there is none.
        of_folder: the same for a folder.
        is_same_for_all: its element is given once for all rows, or not at all.
        is_cheap: `allprop` has it.
    """

    name: str
    of_file: str = ""
    of_folder: str = ""
    is_same_for_all: bool = False
    is_cheap: bool = True

    @property
    def variable(self) -> str:
        """What the element is called in the source, where it is the same for all rows."""
        return self.name.replace("-", "_")


def _of_row(name: str, of_file: str, of_folder: str | None = None) -> Live:
    def within(inner: str) -> str:
        return f"<d:{name}>{inner}</d:{name}>" if inner else ""

    return Live(name, within(of_file), within(of_file if of_folder is None else of_folder))


def _same(name: str, *, of_files: bool, is_cheap: bool = False) -> Live:
    element = f"{{{name.replace('-', '_')}}}"
    return Live(name, element if of_files else "", element, is_same_for_all=True, is_cheap=is_cheap)


LIVE = {
    f"{{{DAV}}}{live.name}": live
    for live in (
        _of_row("creationdate", "{iso_days[created_day]}" + _TIME % ("created", "created") + "Z"),
        _of_row("displayname", "{shown}"),
        _of_row("getcontentlength", "{bytes_}", ""),
        _of_row(
            "getcontenttype",
            '{said_type(media_type) if media_type else type_of(name[name.rfind("."):].lower(), unknown_type)}',
            "",
        ),
        _of_row("getetag", etags.FILE, etags.FOLDER),
        _of_row("getlastmodified", "{http_days[mtime_day]}" + _TIME % ("mtime", "mtime") + " GMT"),
        Live("resourcetype", "<d:resourcetype/>", "<d:resourcetype><d:collection/></d:resourcetype>"),
        _same("supportedlock", of_files=True, is_cheap=True),
        _of_row("lockdiscovery", "{locks(id)}"),
        _same("quota-used-bytes", of_files=False),
        _same("quota-available-bytes", of_files=False),
        _same("sync-token", of_files=False),
        _same("supported-report-set", of_files=False),
        _same("current-user-principal", of_files=True),
        _same("current-user-privilege-set", of_files=True),
        _same("owner", of_files=True),
    )
}
"""By `{DAV:}local`. `allprop` leaves out what RFC 4918 does not define; quota is dear besides (RFC 4331 section 2)."""


def wanted(ask: Propfind) -> tuple[list[str], list[str]]:
    """The live properties to show where they are there, and of all names those whose absence is told (404)."""
    if ask.kind == "prop":
        return [name for name in ask.names if name in LIVE], list(ask.names)
    if ask.kind == "propname":
        return list(LIVE), []
    cheap = [name for name, live in LIVE.items() if live.is_cheap]
    return cheap + [name for name in ask.include if name in LIVE and name not in cheap], list(ask.include)


def is_there(name: str, present: Iterable[str], *, is_folder: bool) -> bool:
    """Does a file or folder have it, where of what is the same for all rows there is what is `present`?"""
    live = LIVE[name]
    if not (live.of_folder if is_folder else live.of_file):
        return False
    return not live.is_same_for_all or live.name in present


def empty(name: str) -> str:
    """A property without its value, in its own namespace."""
    namespace, local = split_name(name)
    if namespace in _BOUND:
        return f"<{_BOUND[namespace]}:{local}/>"
    return f'<x1:{local} xmlns:x1="{escape(namespace)}"/>' if namespace else f"<{local}/>"


def element(local: str, value: object | None) -> str | None:
    """A property of ours with a plain value; None where there is none."""
    return None if value is None else f"<d:{local}>{escape(str(value))}</d:{local}>"


def href_element(local: str, href: str | None) -> str | None:
    """A property whose value is an address."""
    return None if href is None else f"<d:{local}><d:href>{escape(href)}</d:href></d:{local}>"


def privilege_set(privileges: Iterable[str] | None) -> str | None:
    """`current-user-privilege-set` (RFC 3744 section 5.4)."""
    if privileges is None:
        return None
    each = "".join(f"<d:privilege><d:{privilege}/></d:privilege>" for privilege in privileges)
    return f"<d:current-user-privilege-set>{each}</d:current-user-privilege-set>"


def supported_lock(*, is_writable: bool) -> str:
    """Which locks can be had: both, or none where this principal may not write."""
    if not is_writable:
        return "<d:supportedlock/>"
    entries = "".join(
        f"<d:lockentry><d:lockscope><d:{scope}/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>"
        for scope in ("exclusive", "shared")
    )
    return f"<d:supportedlock>{entries}</d:supportedlock>"


def active_lock(token: str, *, is_exclusive: bool, is_infinite: bool, owner: str, seconds: int, root: str) -> str:
    """One lock as `lockdiscovery` tells it (RFC 4918 section 14.1).

    Args:
        token: a URI.
        is_exclusive: or shared.
        is_infinite: or on this resource alone.
        owner: the element as `bodies.LockInfo` has it, or empty.
        seconds: that are left of it.
        root: the href of what was locked, quoted.
    """
    return (
        f"<d:activelock><d:lockscope><d:{'exclusive' if is_exclusive else 'shared'}/></d:lockscope>"
        f"<d:locktype><d:write/></d:locktype><d:depth>{'infinity' if is_infinite else '0'}</d:depth>{owner}"
        f"<d:timeout>Second-{seconds}</d:timeout><d:locktoken><d:href>{escape(token)}</d:href></d:locktoken>"
        f"<d:lockroot><d:href>{escape(root)}</d:href></d:lockroot></d:activelock>"
    )


@lru_cache(1_024)
def said_type(media_type: str) -> str:
    """A media type that a client sent, as it stands in XML."""
    return escape(_NOT_XML.sub("", media_type))
