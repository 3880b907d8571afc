"""The archives, and what is in them, as far as they can tell."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from creamery.carts.access import archives_for
from creamery.carts.archives import Archive, ArchiveDown, ItemRefused, Listed, Listing
from creamery.carts.manifest import MAX_ITEM_BYTES
from creamery.door import Hub
from creamery.http import Problem, Strangers, principal_of

RETRY_SECONDS = 10

Name = Annotated[str, Path(json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"})]
Folder = Annotated[str, Query(max_length=MAX_ITEM_BYTES, description="As an entry names it; empty: the topmost.")]
After = Annotated[str | None, Query(max_length=MAX_ITEM_BYTES, description="The name of an entry: go on behind it.")]


class ShownArchive(BaseModel):
    """A place that carts' files come from."""

    name: str = Field(description="As entries of carts name it.")
    can_list: bool = Field(description="It can say what it has.")


class ShownArchives(BaseModel):
    """All that whoever asks may read; carts that name none mean the first."""

    items: list[ShownArchive]


class Entry(BaseModel):
    """A folder of an archive, or a file."""

    kind: Literal["folder", "file"]
    item: str = Field(description="What a cart calls it as `id`; of a folder, what is sent as `folder`.")
    name: str = Field(description="Its last part.")
    size: int | None = Field(description="Bytes of a file; null: nobody has said.")
    mtime: int | None = Field(description="Seconds since 1970; null: nobody has said.")

    @classmethod
    def of(cls, listed: Listed) -> "Entry":
        """As an archive has it."""
        kind: Literal["folder", "file"] = "folder" if listed.is_folder else "file"
        return cls(kind=kind, item=listed.item, name=listed.name, size=listed.size, mtime=listed.mtime)


class Entries(BaseModel):
    """A piece of a folder."""

    items: list[Entry] = Field(description="In order of their names.")
    next: str | None = Field(description="What to send as `after` for the next piece; null: there is none.")


def router(hub: Hub, archives: Mapping[str, Archive], strangers: Strangers) -> APIRouter:
    """`/carts/archives` and what is below it."""
    found = APIRouter(prefix="/carts/archives", tags=["carts"])
    most = hub.settings.limits.results

    def open_to(request: Request) -> Mapping[str, Archive]:
        strangers.refuse(request.scope)
        return archives_for(principal_of(request), archives)

    @found.get("", summary="List the archives that carts' files may come from")
    async def list_archives(request: Request) -> ShownArchives:
        known = open_to(request)
        shown = [ShownArchive(name=name, can_list=isinstance(each, Listing)) for name, each in known.items()]
        return ShownArchives(items=shown)

    @found.get("/{name}/entries", summary="List what an archive has in a folder")
    async def list_entries(
        name: Name,
        request: Request,
        folder: Folder = "",
        after: After = None,
        limit: Annotated[int, Query(ge=1, le=most)] = most,
    ) -> Entries:
        archive = _listing(open_to(request), name)
        try:
            items = await _entries(archive, folder, limit + 1, after)
        except ItemRefused as error:
            raise Problem(404, "Not found", f"{error}.", remedy="List the folder that it should be in.") from error
        except ArchiveDown as error:
            headers = {"Retry-After": str(int(error.retry_seconds or RETRY_SECONDS))}
            raise Problem(503, "Archive away", f"{error}.", remedy="Ask again later.", headers=headers) from error
        more = items[limit - 1].name if len(items) > limit else None
        return Entries(items=[Entry.of(each) for each in items[:limit]], next=more)

    return found


def _listing(archives: Mapping[str, Archive], name: str) -> Listing:
    archive = archives.get(name)
    if archive is None:
        known = ", ".join(archives) or "none"
        raise Problem(404, "Not found", f"No archive is called {name[:80]!r}.", remedy=f"There are: {known}.")
    if not isinstance(archive, Listing):
        raise Problem(409, "Cannot list", f"{name} cannot say what it has.", remedy="Its own pages may list it.")
    return archive


async def _entries(archive: Listing, folder: str, limit: int, after: str | None) -> list[Listed]:
    """The next ones that carts can name: a name that is no text, but bytes, stands in no JSON."""
    shown: list[Listed] = []
    while len(shown) < limit and (found := await archive.list(folder, limit, after)):
        after = found[-1].name
        shown += [each for each in found if _is_text(each.name)]
        if len(found) < limit:
            break
    return shown[:limit]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
