"""The plain index with built wheels: one address for pip and uv, and no client of ours.

| path | answer |
|---|---|
| `/w/i/` | the projects that the index knows |
| `/w/i/{project}/` | a project's page, for installers with built wheels beside its files |
| `/w/i/{project}/{file}` | a file of the index's, as at `/i/` |
| `/w/i/{project}/{file}.metadata` | its METADATA |

Whoever reads here needs both rights: to the index, which is asked for here, and to built wheels.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from creamery.door import Hub
from creamery.http import Needs, Problem, Route, principal_of, unauthorized
from creamery.index import IndexDoor
from creamery.wheels.access import READ
from creamery.wheels.merged import MergedPages
from creamery.wheels.rings import Rings


class PageRoutes:
    """The endpoints."""

    def __init__(self, hub: Hub, packages: IndexDoor, merged: MergedPages, rings: Rings) -> None:
        self._accounts = hub.accounts
        self._settling = hub.settling
        self._files = packages.files
        self._index = packages.endpoints
        self._merged = merged
        self._rings = rings

    def table(self) -> tuple[Route, ...]:
        """What is answered, and who may ask."""
        read = Needs(READ, "ring", is_personal=True)
        return (
            Route(("GET",), "/w/i", self.projects, read),
            Route(("GET",), "/w/i/", self.projects, read),
            Route(("GET",), "/w/i/{project}", self.project_without_slash, read),
            Route(("GET",), "/w/i/{project}/", self.project, read),
            Route(("GET",), "/w/i/{project}/{file}", self.file, read),
            Route(("GET",), "/w/i/{project}/{file}.metadata", self.metadata, read),
        )

    async def projects(self, request: Request) -> Response:
        """The list of projects that the index knows."""
        self._refuse_strangers_to_the_index(request)
        if request.url.path.endswith("/"):
            return await self._index.projects(request)
        return await self._index.projects_without_slash(request)

    async def project_without_slash(self, request: Request) -> Response:
        """The one redirect, to the normalised name with its slash."""
        self._refuse_strangers_to_the_index(request)
        return await self._index.project_without_slash(request)

    async def project(self, request: Request) -> Response:
        """A project's page; for pip and uv's installing commands with built wheels, for whoever locks without."""
        self._refuse_strangers_to_the_index(request)
        await self._settling.settle()
        scope = request.scope
        return await self._merged.answer(scope, request.path_params["project"], self._rings.seen_by(scope))

    async def file(self, request: Request) -> Response:
        """A file of the index's."""
        self._refuse_strangers_to_the_index(request)
        return await self._index.file(request)

    async def metadata(self, request: Request) -> Response:
        """A wheel's METADATA, of the index's."""
        self._refuse_strangers_to_the_index(request)
        return await self._index.metadata(request)

    def _refuse_strangers_to_the_index(self, request: Request) -> None:
        """Whoever may have built wheels need not be one who may read the index.

        Raises:
            Problem: 401, 403: they may not.
        """
        principal = principal_of(request)
        if self._files.may_be_read_by(principal):
            return
        if not principal.is_known:
            raise unauthorized(request.scope, "This needs a user name and a password or token.")
        raise Problem(403, "Forbidden", f"{principal.name} may not read the index.")
