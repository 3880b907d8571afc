"""The plain index: the index's pages with built wheels beside the project's own files, for stock pip and uv.

Which wheels are listed is said in `offering.py`, who is shown any in `clients.py`; the page itself is the index's. Its
files have addresses like `../../i/{project}/{file}`, which lead to `/w/i/...` from here; a built wheel has
`../../f/{digest}/{file}`, and under that the same bytes for ever.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from starlette.types import Scope

from creamery.contract import ProjectName
from creamery.http import BytesResponse, exchange_of
from creamery.index import Adding, ListedFile, Pages, Published
from creamery.threads import Pool
from creamery.wheels.clients import Libc, client_of
from creamery.wheels.offering import Candidate, Offered, as_listed, offer
from creamery.wheels.place import Sight


class Built(Protocol):
    """Where the built wheels are told. Used on the event loop."""

    def revision(self, project: str) -> Hashable:
        """Another one whenever `candidates` may say something else of the project. Costs no statement.

        Better of this project than of all: another one costs the next page a look at all files of the project (0.2 s
        for 4,400), if it has built wheels, though the page is not rendered again where its list stays the same.
        """
        ...

    async def candidates(self, project: ProjectName, sight: Sight) -> Sequence[Candidate]:
        """All of the project in those rings, whatever their tags; at least as new as `revision`."""
        ...


class MergedPages:
    """Pages below `/w/i/`. Whoever asks has let the hub settle, and may read the index and the ring."""

    def __init__(self, pages: Pages, built: Built, cpu: Pool, *, is_open: bool) -> None:
        """`is_open`: anyone may have built wheels."""
        self._pages = pages
        self._built = built
        self._cpu = cpu
        self._is_open = is_open
        self._pure = Adding(None, None, None, is_open=is_open)

    async def answer(self, scope: Scope, written: str, sight: Sight) -> BytesResponse:
        """A project's page for whoever asks: with built wheels for an installer, else as the index has it.

        Raises:
            Exception: as `Pages.answer`.
        """
        client = client_of(exchange_of(scope).headers.get(b"user-agent"))
        adding = self._adding(written, sight, client.libc) if client.may_see_built else self._pure
        return await self._pages.answer(scope, written, adding)

    async def explain(self, project: ProjectName, sight: Sight, libc: Libc | None = None) -> list[Offered]:
        """What becomes of each of a project's built wheels on that page, and why.

        Raises:
            UnknownProject, UpstreamDown: there is no page.
        """
        built = await self._built.candidates(project, sight)
        return await self._cpu.run(offer, await self._pages.published(project), built, libc)

    def _adding(self, written: str, sight: Sight, libc: Libc | None) -> Adding:
        async def files(published: Published) -> list[ListedFile]:
            built = await self._built.candidates(ProjectName(written), sight)
            return await self._cpu.run(_listed, await published(), built, libc) if built else []

        return Adding((sight, libc), self._built.revision(written), files, is_open=self._is_open)


def _listed(published: Sequence[ListedFile], built: Sequence[Candidate], libc: Libc | None) -> list[ListedFile]:
    return as_listed(offer(published, built, libc))
