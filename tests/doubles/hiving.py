"""Somebody who asks the hive's part of `/api/v1`."""

from __future__ import annotations

from typing import Any

import httpx2

from creamery.accounts import Scope
from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth, token_of

SCOPES = (Scope("hive:read"), Scope("hive:write"), Scope("hive:manage"))


class Keeper:
    """A user, with a token for everything here; what is asked is below `/api/v1/hive/spaces`."""

    def __init__(
        self, hub: RunningHub, user: str = "alice", auth: Auth | None = None, *, is_admin: bool = False
    ) -> None:
        self.hub = hub
        self.auth = auth or token_of(hub, user, SCOPES, is_admin=is_admin)

    def __call__(self, method: str, below: str = "", body: Any = None, **query: Any) -> httpx2.Response:
        """Ask; whatever the answer is."""
        sent = {} if body is None else {"json": body}
        return self.hub.client.request(
            method, f"{self.hub.base}/api/v1/hive/spaces{below}", params=query, auth=self.auth, **sent
        )

    def get(self, below: str = "", **query: Any) -> Any:
        """What must be there."""
        return self._told(self("GET", below, **query))

    def post(self, path: str = "", body: Any = None) -> Any:
        """What must be done."""
        return self._told(self("POST", path, body))

    def put(self, path: str, body: Any = None) -> Any:
        """What must be so."""
        return self._told(self("PUT", path, body))

    def delete(self, path: str) -> Any:
        """What must go."""
        return self._told(self("DELETE", path))

    @staticmethod
    def _told(answer: httpx2.Response) -> Any:
        assert answer.status_code in {200, 201, 204}, answer.text
        return answer.json() if answer.content else None
