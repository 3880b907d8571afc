"""What goes over the wire about the index: each shape once, with the meaning of every field."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    field_validator,
    model_validator,
)

from creamery.contract import MAX_NAME_LENGTH, normalize, version_text
from creamery.index.explaining import HERE, HashState
from creamery.index.ownership import RoleHolder
from creamery.index.project import KeptFile, KnownProject, Status
from creamery.index.releases import LONGEST_REASON, Done
from creamery.operations import Sent
from creamery.policy_rules import Kind

MOST_NAMES = 100
"""Names that are assigned at once: as long as can be, they fit into `limits.json_bytes`."""

_NAMED = {"pattern": r"^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])$", "maxLength": MAX_NAME_LENGTH}
"""What the document says of projects' names; `normalize` says what is wrong with one."""

Project = Annotated[str, AfterValidator(normalize), Path(json_schema_extra=_NAMED)]
"""In the path, in any spelling."""
NamedProject = Annotated[str, AfterValidator(normalize), Field(json_schema_extra=_NAMED)]
"""In a body."""
Holder = Annotated[
    str, Path(pattern="^[!-.0-~]+$", max_length=255, description="A user; or `htpasswd:NAME`, `passcode:havarti`.")
]
Pattern = Annotated[
    str,
    Path(
        max_length=255,
        description="Of names, such as `acme-*`.",
        json_schema_extra={"pattern": "^[*?._-]*[A-Za-z0-9][A-Za-z0-9*?._-]*$"},
    ),
]
Address = Annotated[str, StringConstraints(max_length=1_024, pattern="^[!-~]+$")]
Reason = Annotated[str, StringConstraints(max_length=LONGEST_REASON)]


class What(Sent):
    """A part of a project."""

    what: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="A version, or the name of a file."
    )


class WhatAndWhy(What):
    """A part of a project, and why something is done to it."""

    reason: Reason = Field(description="For the journal, and where there is room for it, for pages.")


class Marker(Sent):
    """What a project is (PEP 792)."""

    status: Status
    reason: Reason | None = Field(None, description="For whoever installs it.")


class Merging(Sent):
    """Whether upstreams are asked for a name that is claimed."""

    merged: StrictBool


class Assignment(Sent):
    """Names that are to belong to another upstream: some, or all that one upstream owns."""

    former: Address | None = Field(None, alias="from", description="All names that it owns; null: those of `names`.")
    to: Address = Field(description="The address of a configured upstream.")
    names: Annotated[list[NamedProject], Field(min_length=1, max_length=MOST_NAMES)] | None = Field(
        None, description="The projects; null: all that `from` owns."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Assignment:
        if (self.former is None) == (self.names is None):
            raise ValueError("either `from` or `names` says which names are meant")
        return self


class Claimed(BaseModel):
    """Whose a name is now."""

    name: str
    hosted: bool = Field(description="It is claimed: its files are uploaded here.")
    merged: bool = Field(description="Upstreams are asked for it all the same.")
    upstream: str | None = Field(description="The upstream that owns it; null: none does.")
    serial: int = Field(description="Of the last change of its page.")

    @classmethod
    def of(cls, known: KnownProject) -> Claimed:
        """From the row."""
        owner = known.owner
        return cls(
            name=owner.name, hosted=owner.hosted, merged=owner.merged, upstream=owner.upstream, serial=known.serial
        )


class Assigned(BaseModel):
    """What has another owner now."""

    names: list[str]


class Roles(BaseModel):
    """Who may change a project. Whoever is no user of the hub's is `htpasswd:NAME` or `passcode:havarti`."""

    owners: list[str] = Field(description="They may everything that can be done to it.")
    maintainers: list[str] = Field(description="They upload and yank.")

    @staticmethod
    def of(holders: list[RoleHolder]) -> dict[str, list[str]]:
        """By role."""
        named = {"owner": "owners", "maintainer": "maintainers"}
        return {field: [each.name for each in holders if each.role == role] for role, field in named.items()}


class ShownFile(BaseModel):
    """A file."""

    filename: str
    version: str | None = Field(description="As its name says it; null: it cannot be told.")
    size: int | None
    sha256: str | None
    upload_time: str | None = Field(description="RFC 3339, UTC.")
    yanked: str | None = Field(description="Why, perhaps empty (PEP 592); null: it is not.")
    origin: str | None = Field(description="The upstream that has it; null: it was uploaded here.")
    cached: bool = Field(description="Its bytes are here.")
    uploaded_by: str | None

    @classmethod
    def of(cls, file: KeptFile) -> ShownFile:
        """From the row."""
        listed = file.listed_file
        return cls(
            filename=file.filename,
            version=version_text(file.filename, file.project),
            size=listed.size,
            sha256=listed.sha256,
            upload_time=listed.upload_time,
            yanked=listed.yanked,
            origin=file.origin,
            cached=file.digest is not None,
            uploaded_by=file.uploaded_by,
        )


class ShownProject(Roles):
    """A project, as the hub knows it."""

    name: str
    status: Status
    reason: str | None = Field(description="Of the status.")
    hosted: bool = Field(description="Its name is claimed: its files are uploaded here.")
    merged: bool = Field(description="Upstreams are asked for it all the same.")
    upstream: str | None = Field(description="The upstream that owns the name; null: none does.")
    serial: int = Field(description="Of the last change of its page.")
    versions: list[str] = Field(description="Of its files, in order.")
    files: list[ShownFile] = Field(description="All that are there, but for deleted ones.")


class ExplainedFile(BaseModel):
    """What becomes of a file when somebody asks for it."""

    model_config = ConfigDict(from_attributes=True)

    filename: str
    version: str | None = Field(description="As its name says it; null: it cannot be told.")
    kind: Kind
    origin: str | None = Field(description="The upstream that has it; null: it was uploaded here.")
    offered: bool = Field(description="A page lists it, and its address serves it.")
    reason: str | None = Field(description="Why it is withheld; or why it is offered although its upstream has it not.")
    cached: bool = Field(description="Its bytes are here.")
    yanked: str | None = Field(description="Why, perhaps empty (PEP 592); null: it is not.")
    sha256: str | None
    hash: HashState = Field(
        description="`verified`: its bytes are here; `stated`: its upstream names it; `pinned`: that of the bytes that"
        " came first; `unknown`: nobody has named one."
    )
    requires_python: str | None
    fits: bool | None = Field(description="An installer could take it there; null: `for` did not ask.")
    misfit: str | None = Field(description="Why it could not.")

    @field_validator("origin", mode="before")
    @classmethod
    def _as_everywhere(cls, origin: str) -> str | None:
        return None if origin == HERE else origin


class Explained(BaseModel):
    """Why a project looks as it does."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    known: bool = Field(description="The hub has heard of it.")
    hosted: bool = Field(description="Its name is claimed: its files are uploaded here.")
    merged: bool = Field(description="Upstreams are asked for it all the same.")
    status: Status
    status_reason: str | None
    reserved: str | None = Field(description="The pattern that the name is reserved by; null: it is not.")
    hidden: str | None = Field(description="Why there is no page of it, and no upstream is asked; null: there may be.")
    owner: str | None = Field(description="The upstream that owns the name; null: none does.")
    asked: list[str] = Field(description="The upstreams that are asked for its page, in order.")
    unanswerable: str | None = Field(description="Why its owner cannot be asked; null: it can.")
    target: str | None = Field(description="Whom `for` means, in full.")
    taken: str | None = Field(description="The file that pip takes there, where nothing narrows the versions.")
    files: list[ExplainedFile] = Field(description="All that it ever had.")


class ChangedFiles(BaseModel):
    """What was done to which files."""

    files: list[str] = Field(description="Empty: all were so already.")
    serial: int | None = Field(description="Of the journal's entry; null: there was nothing to do.")

    @classmethod
    def of(cls, done: Done) -> ChangedFiles:
        """From the rule's answer."""
        return cls(files=list(done.filenames), serial=done.serial)


class ReservedPattern(BaseModel):
    """Names that no upstream is asked for."""

    pattern: str
    of: Literal["command", "settings"] = Field(description="Who reserved them; the settings' own are changed there.")


class ReservedPatterns(BaseModel):
    """All of them."""

    items: list[ReservedPattern]


class Reserved(ReservedPattern):
    """Names that no upstream is asked for from now on."""

    projects: list[str] = Field(description="Upstreams' projects of such names: nobody gets them any more.")
