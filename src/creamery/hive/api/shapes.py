"""What goes over the wire about files: each shape once, with the meaning of every field."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, Field, StrictBool, StrictInt, StringConstraints

from creamery.clock import SECOND
from creamery.hive import versions
from creamery.hive.etags import Etags
from creamery.hive.ledger import Space
from creamery.hive.names import MAX_NAME_BYTES, quote_segment
from creamery.hive.nodes import Node
from creamery.hive.quotas import Usage
from creamery.hive.tables import FOLDER, HOME
from creamery.hive.trashing import Trashed
from creamery.operations import Sent

LARGEST = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SpaceName = Annotated[
    str,
    Path(
        description="Its number; or `home`: that of whoever asks.",
        json_schema_extra={"pattern": "^(home|[1-9][0-9]{0,17})$"},
    ),
]
NodeNumber = Annotated[int, Path(ge=1, le=LARGEST, description="What entries and trash call `id`.")]
Revision = Annotated[int, Path(ge=1, le=LARGEST)]
Where = Annotated[str, Query(max_length=8_000, description="A path from the space's root, such as `/a/b`.")]
Kind = Literal["folder", "file"]
Names = Mapping[int, str]
"""Of users, by number; those who are gone have none."""


class NewSpace(Sent):
    """A project's space to make."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_BYTES)] = Field(
        description="For people; several spaces may have one."
    )
    owner: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None, description="The user whose it is; null: whoever asks."
    )
    quota: Annotated[StrictInt, Field(ge=0, le=LARGEST)] | None = Field(
        None, description="Bytes that its files may have; null: as `hive.quota` says."
    )
    ignores_case: StrictBool = Field(False, description="`a` and `A` are one name in it.")


class NewQuota(Sent):
    """How much a space may have."""

    quota: Annotated[StrictInt, Field(ge=0, le=LARGEST)] | None = Field(
        description="Bytes that its files may have; null: as `hive.quota` says."
    )


class NewOwner(Sent):
    """Whose a space is to be."""

    owner: Annotated[str, StringConstraints(max_length=64)] = Field(description="A user.")


class ShownSpace(BaseModel):
    """A space, and what of it is used; all in bytes."""

    id: int
    kind: Literal["home", "project"]
    name: str
    owner: str | None = Field(description="The user whose it is; null: they are gone.")
    address: str = Field(description="Where WebDAV has it.")
    ignores_case: bool = Field(description="`a` and `A` are one name in it.")
    quota: int | None = Field(description="What its files may have; null: any.")
    available: int | None = Field(description="What its files may still have, as the disk is now.")
    used: int = Field(description="Files, versions and trash together.")
    used_files: int
    used_versions: int = Field(description="What files had in them before.")
    used_trash: int = Field(description="What was deleted, its versions included.")

    @classmethod
    def of(cls, row: Space, usage: Usage, names: Names) -> "ShownSpace":
        """As it is now."""
        is_home = row.kind == HOME
        owner = names.get(row.owner_id)
        address = f"/dav/files/{quote_segment(owner or row.name)}/" if is_home else f"/dav/spaces/{row.id}/"
        return cls(
            id=row.id,
            kind="home" if is_home else "project",
            name=row.name,
            owner=owner,
            address=address,
            ignores_case=row.case_policy == "preserving",
            quota=usage.quota,
            available=usage.available,
            used=usage.used,
            used_files=usage.files,
            used_versions=usage.versions,
            used_trash=usage.trash,
        )


class ShownSpaces(BaseModel):
    """All that whoever asks may have."""

    items: list[ShownSpace] = Field(description="Homes first, by name.")


class Entry(BaseModel):
    """A file or folder."""

    id: int = Field(description="Its number, which it keeps wherever it is moved.")
    kind: Kind
    name: str = Field(description="Empty: the space's root.")
    size: int = Field(description="Bytes; of a folder those of all files in it.")
    versions_size: int = Field(description="Bytes of what it had in it before; of a folder of all in it.")
    revision: int | None = Field(description="How often a file's bytes have changed; null: a folder.")
    sha256: str | None = Field(description="Of a file's bytes; null: a folder.")
    mtime: datetime = Field(description="When it was changed last; a client may have said so.")
    etag: str = Field(description="As WebDAV tells it.")

    @classmethod
    def of(cls, space_id: int, node: Node, etags: Etags) -> "Entry":
        """As it is now."""
        return cls(
            id=node.id,
            kind=_kind(node.kind),
            name="" if node.parent_id < 0 else node.name,
            size=node.size,
            versions_size=node.versions_size,
            revision=node.revision if node.is_file else None,
            sha256=node.digest,
            mtime=_moment(node.mtime),
            etag=etags.of(space_id, node),
        )


class Entries(BaseModel):
    """A piece of a folder."""

    items: list[Entry] = Field(description="In order of their names.")
    next: str | None = Field(description="What to send as `after` for the next piece; null: there is none.")


class ShownTrash(BaseModel):
    """Something that was deleted."""

    id: int = Field(description="Its number, by which it is restored or removed.")
    kind: Kind
    name: str
    path: str = Field(description="Where it was.")
    size: int = Field(description="Bytes of its files, and of what they had in them before.")
    deleted: datetime
    by: str | None = Field(description="The user who did it; null: they are gone.")

    @classmethod
    def of(cls, gone: Trashed, names: Names) -> "ShownTrash":
        """As it lies there."""
        return cls(
            id=gone.node_id,
            kind=_kind(gone.kind),
            name=gone.name,
            path=gone.path,
            size=gone.size + gone.versions_size,
            deleted=_moment(gone.at),
            by=None if gone.by_id is None else names.get(gone.by_id),
        )


class TrashList(BaseModel):
    """A piece of a trash."""

    items: list[ShownTrash] = Field(description="The latest first.")
    next: str | None = Field(description="What to send as `after` for the next piece; null: there is none.")


class Back(BaseModel):
    """What has come out of the trash."""

    id: int
    path: str = Field(description="Where it is now; under another name, where its own was taken.")


class Removed(BaseModel):
    """What is being removed for good."""

    removed: int = Field(description="How many things, each with all below it.")


class ShownVersion(BaseModel):
    """What a file had in it before."""

    revision: int = Field(description="The file's, at that time.")
    size: int
    sha256: str
    mtime: datetime = Field(description="When that content was changed last.")
    replaced: datetime = Field(description="When other bytes took its place.")
    author: str | None = Field(description="The user who had brought it; null: nobody knows.")
    label: str | None = Field(description="What somebody calls it.")
    pinned: bool = Field(description="It stays, whatever its age, and however little room there is.")

    @classmethod
    def of(cls, version: versions.Version, names: Names) -> "ShownVersion":
        """As it is now."""
        return cls(
            revision=version.revision,
            size=version.size,
            sha256=version.digest,
            mtime=_moment(version.mtime),
            replaced=_moment(version.created),
            author=None if version.author_id is None else names.get(version.author_id),
            label=version.label,
            pinned=version.pinned,
        )


class ShownVersions(BaseModel):
    """All of a file."""

    items: list[ShownVersion] = Field(description="The latest first.")


class NewLabel(Sent):
    """What a former content is to be called."""

    label: Annotated[str, StringConstraints(max_length=versions.LABEL_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        description="Empty: nothing any more."
    )


def _kind(kind: int) -> Kind:
    return "folder" if kind == FOLDER else "file"


def _moment(micros: int) -> datetime:
    """A client may have said any time at all; what no calendar has is its end."""
    try:
        return _EPOCH + timedelta(seconds=micros // SECOND)
    except OverflowError:
        return datetime.max.replace(microsecond=0, tzinfo=UTC)


class FoundEntry(BaseModel):
    """A file or folder, and where it is."""

    space: int = Field(description="The number of its space.")
    path: str = Field(description="From the space's root down.")
    entry: Entry


class Found(BaseModel):
    """What was found."""

    items: list[FoundEntry] = Field(description="By space and path.")
    is_cut: bool = Field(description="There may be more.")
