"""Which files are offered, and why the others are withheld: one answer for page, file and METADATA alike.

So a page never lists a file whose address is refused, and no address serves what its page does not list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from creamery.contract import ProjectName
from creamery.index.names import Names
from creamery.index.policies import Policy
from creamery.index.project import KeptFile, KnownProject
from creamery.sections import Index

DELETED_UPSTREAM = "deleted upstream; the copy that is here is still served"
QUARANTINED_UPSTREAM = "quarantined upstream; the copy that is here is still served"


@dataclass(frozen=True, slots=True)
class Offer:
    """What becomes of a file.

    Attributes:
        file: as a page shows it: a tombstone counts as yanked, for which its page says why.
        withheld: why nobody gets it; None: whoever may read gets it.
        by_rule: it is `index.allow` or `index.deny` that withholds it.
        is_tombstone: its upstream has it no more, or keeps it back; only the copy that is here is offered.
    """

    file: KeptFile
    withheld: str | None = None
    is_tombstone: bool = False
    by_rule: bool = False


class Offers:
    """The hub's rules about what is offered."""

    def __init__(self, settings: Index, names: Names) -> None:
        self._settings = settings
        self._names = names
        self._policy = Policy(settings.allow, settings.deny)

    def of(self, file: KeptFile) -> Offer:
        """What becomes of this one. No statement."""
        reason = self._withheld(file)
        if reason is not None:
            return Offer(file, withheld=reason)
        ruled_out = self.why_ruled_out(file.owner.name, file.filename)
        if ruled_out is not None:
            return Offer(file, withheld=ruled_out, by_rule=True)
        if is_kept_back(file):
            return _tombstone(file, QUARANTINED_UPSTREAM, is_served=self._settings.quarantined_upstream == "serve")
        if not file.listed:
            return _tombstone(file, DELETED_UPSTREAM, is_served=self.serves_deleted)
        return Offer(file)

    def why_ruled_out(self, name: ProjectName, filename: str) -> str | None:
        """Why `index.allow` and `index.deny` withhold a file, whosever it is; None: they do not."""
        return self._policy.why_withheld(name, filename)

    def offered(self, files: Iterable[KeptFile]) -> list[KeptFile]:
        """What a page lists of a project's files."""
        return [offer.file for offer in map(self.of, files) if offer.withheld is None]

    def listing(self, project: KnownProject, files: Iterable[KeptFile]) -> tuple[KnownProject, list[KeptFile]]:
        """What a page says of a project: itself, and the files that are offered.

        Where a rule withholds some, its upstream's list of versions is not shown: tools that show it to people (and
        bots that propose what is newest) would name versions that nobody gets. The page then has those of its files.
        """
        offers = [self.of(file) for file in files]
        if project.versions is not None and any(offer.by_rule for offer in offers):
            project = replace(project, versions=None)
        return project, [offer.file for offer in offers if offer.withheld is None]

    def hides(self, name: ProjectName, *, hosted: bool) -> bool:
        """Is the name kept from every upstream because it is reserved?"""
        return not hosted and self._names.reserved_by(name) is not None

    def why_hidden(self, name: ProjectName, *, hosted: bool) -> str | None:
        """Why there is no page of that name, whatever an upstream has or had under it; None: there may be one.

        Nor is any upstream asked for its page.
        """
        pattern = None if hosted else self._names.reserved_by(name)
        if pattern is not None:
            return f"the name is reserved ({pattern}), and nobody has uploaded it here"
        return self._policy.why_name_withheld(name)

    @property
    def serves_deleted(self) -> bool:
        """Are copies served of what an upstream has deleted?"""
        return self._settings.deleted_upstream == "serve"

    def _withheld(self, file: KeptFile) -> str | None:
        owner = file.owner
        if file.deleted is not None:
            return "it was deleted; its name never returns"
        if file.origin is not None and not owner.is_asked_upstream:
            return "the name is claimed here, and this file is an upstream's"
        if file.origin is None and file.digest is None:
            return "its bytes are lost here, and they were nowhere else"
        pattern = None if owner.hosted else self._names.reserved_by(owner.name)
        if pattern is not None:
            return f"the name is reserved ({pattern}), and nobody has uploaded it here"
        if owner.hosted and owner.status == "quarantined":
            return f"the project is quarantined{_because(owner.status_reason)}"
        return None


def is_kept_back(file: KeptFile) -> bool:
    """Has the upstream that the file is from quarantined the project?"""
    if file.origin is None:
        return False
    if file.owner.merged:
        return file.origin in file.owner.quarantined
    return file.owner.status == "quarantined"


def _tombstone(file: KeptFile, reason: str, *, is_served: bool) -> Offer:
    if file.digest is None or not is_served:
        cause = reason.partition(";")[0]
        return Offer(file, withheld=f"it is {cause}{_because(file.owner.status_reason)}", is_tombstone=True)
    shown = replace(file, listed_file=replace(file.listed_file, yanked=reason))
    return Offer(shown, is_tombstone=True)


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""
