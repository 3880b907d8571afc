"""Why a project looks as it does: file by file, where it is from, whether it is offered, and whether it would install.

Nothing is asked upstream for this: it tells what the hub knows, and whom it would ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from sqlalchemy import Connection

from creamery.contract import Digest, ProjectName, version_text
from creamery.index.names import Names
from creamery.index.offers import Offer, Offers
from creamery.index.project import KeptFile, Status
from creamery.index.tables import files_of, find_project
from creamery.index.targets import Target
from creamery.index.upstream import Upstreams
from creamery.policy_rules import Kind, kind_of

HERE = "here"
"""The origin of what was uploaded here."""

HashState = Literal["verified", "stated", "pinned", "unknown"]
"""Of a file's SHA-256.

`verified`: its bytes are here and have it; `stated`: its upstream names it, and it will be checked; `pinned`: its
upstream names none, and that of the bytes that came first counts; `unknown`: nobody has named one yet.
"""


@dataclass(frozen=True, slots=True)
class ExplainedFile:
    """One file.

    Attributes:
        version: as its name has it; None: it cannot be told.
        origin: the upstream's address (never with a password), or `here`.
        offered: does a page list it, and its address serve it?
        reason: why it is withheld; or, of a copy that its upstream has no more, why it is offered all the same.
        cached: are its bytes here?
        yanked: why (perhaps ''); None: it is not.
        fits: could the interpreter that was asked about install it? None: none was asked about.
        misfit: why it could not.
    """

    filename: str
    version: str | None
    kind: Kind
    origin: str
    offered: bool
    reason: str | None
    cached: bool
    yanked: str | None
    sha256: Digest | None
    hash: HashState
    requires_python: str | None
    fits: bool | None
    misfit: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A project.

    Attributes:
        known: has the hub ever heard of it?
        hosted, merged: as `Owner`.
        reserved: the pattern that the name is reserved by.
        hidden: why there is no page of it at all, and nobody is asked for it.
        owner: the upstream that owns the name.
        asked: the upstreams that would be asked for its page now, in order.
        unanswerable: why its owner may not be asked.
        target: the interpreter that was asked about, in full.
        taken: the file that pip would take for that interpreter, where nothing narrows the versions.
        files: in the order in which they came.
    """

    name: ProjectName
    known: bool
    hosted: bool
    merged: bool
    status: Status
    status_reason: str | None
    reserved: str | None
    hidden: str | None
    owner: str | None
    asked: tuple[str, ...]
    unanswerable: str | None
    target: str | None
    taken: str | None
    files: tuple[ExplainedFile, ...]


class Explainer:
    """Explains projects; may be asked from any thread."""

    def __init__(self, offers: Offers, names: Names, upstreams: Upstreams) -> None:
        self._offers = offers
        self._names = names
        self._upstreams = upstreams

    def as_offered(self, files: Iterable[KeptFile]) -> list[KeptFile]:
        """Files as pages show them, those that are withheld among them: what an upstream deleted counts as yanked."""
        return [self._offers.of(file).file for file in files]

    def explain(self, connection: Connection, name: ProjectName, target: Target | None = None) -> Explanation:
        """All about a name, whether or not it is known here. Two reads.

        Args:
            target: the interpreter that would install it (`parse_target`).
        """
        project = find_project(connection, name)
        owner = None if project is None else project.owner
        hosted = owner is not None and owner.hosted
        hidden = self._offers.why_hidden(name, hosted=hosted)
        is_asked = hidden is None and (owner is None or owner.is_asked_upstream)
        offers = [] if project is None else [self._offers.of(file) for file in files_of(connection, project.id)]
        files = tuple(_explained(offer, target) for offer in offers)
        return Explanation(
            name=name,
            known=project is not None,
            hosted=hosted,
            merged=owner is not None and owner.merged,
            status="active" if owner is None else owner.status,
            status_reason=None if owner is None else owner.status_reason,
            reserved=self._names.reserved_by(name),
            hidden=hidden,
            owner=None if owner is None else owner.upstream,
            asked=self._upstreams.asked_for(name, owner) if is_asked else (),
            unanswerable=None if owner is None or not is_asked else self._upstreams.why_unanswerable(name, owner),
            target=None if target is None else target.name,
            taken=None if target is None else _taken(files, target),
            files=files,
        )


def _explained(offer: Offer, target: Target | None) -> ExplainedFile:
    file = offer.file
    listed = file.listed_file
    misfit = None if target is None else target.why_not(file.filename, listed.requires_python)
    return ExplainedFile(
        filename=file.filename,
        version=version_text(file.filename, file.project),
        kind=kind_of(file.filename),
        origin=file.origin or HERE,
        offered=offer.withheld is None,
        reason=offer.withheld or (listed.yanked if offer.is_tombstone else None),
        cached=file.digest is not None,
        yanked=listed.yanked,
        sha256=listed.sha256,
        hash=_hash_state(file),
        requires_python=listed.requires_python,
        fits=None if target is None else misfit is None,
        misfit=misfit,
    )


def _hash_state(file: KeptFile) -> HashState:
    if file.expected is None:
        return "unknown"
    if file.pinned:
        return "pinned"
    return "stated" if file.digest is None else "verified"


def _taken(files: Iterable[ExplainedFile], target: Target) -> str | None:
    """As pip chooses: the newest version, pre-releases only where there is nothing else; then the best wheel.

    A final version that is yanked is something else: pip looks at what is yanked after it has left out pre-releases
    (26.3: `get_applicable_candidates`, then the resolver), and then finds nothing.
    """
    fitting = [
        (version, file)
        for file in files
        if file.offered and file.fits and (version := _version(file.version)) is not None
    ]
    final = [(version, file) for version, file in fitting if not version.is_prerelease]
    standing = [(version, file) for version, file in final or fitting if file.yanked is None]
    best = max(standing, key=lambda each: (each[0], *_preference(each[1].filename, target)), default=None)
    return None if best is None else best[1].filename


def _preference(filename: str, target: Target) -> tuple[bool, int, tuple[int, str]]:
    rank = target.rank(filename)
    if rank is None:
        return (False, 0, (0, ""))
    return (True, -rank, _build(filename))


def _build(filename: str) -> tuple[int, str]:
    try:
        return parse_wheel_filename(filename)[2] or (-1, "")
    except InvalidWheelFilename:
        return (-1, "")


def _version(text: str | None) -> Version | None:
    try:
        return None if text is None else Version(text)
    except InvalidVersion:
        return None
