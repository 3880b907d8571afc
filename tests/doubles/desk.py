"""An administrator of a running hub's index, who asks for files over the API."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from creamery.accounts import By, Scope, add_user, create_token
from creamery.clock import Micros
from tests.doubles.running import RunningHub

BY = By(Micros(1_700_000_000_000_000))


class Desk:
    """Whoever this is, they may prefetch and pin.

    Attributes:
        token: what they prove it with.
    """

    def __init__(self, hub: RunningHub, *more_scopes: str) -> None:
        scopes = [Scope(name) for name in ("index:manage", *more_scopes)]

        def work(connection: Connection) -> str:
            add_user(connection, "root", None, BY, is_admin=True)
            text, _ = create_token(connection, "root", "a test's", scopes, None, BY)
            return text

        self.hub = hub
        self.token: str = hub.built.hub.committer.write(work)
        self.headers = {"Authorization": f"Bearer {self.token}"}

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """A request under `/api/v1/index`, and its status and JSON."""
        url = f"{self.hub.base}/api/v1/index{path}"
        answer = self.hub.client.request(method, url, json=body or None, headers=self.headers)
        return answer.status_code, answer.json()

    def bring(self, path: str, *files: tuple[str, ...], projects: tuple[str, ...] = ()) -> Any:
        """Ask for files by project and name, and wait until nothing is left."""
        wanted = [dict(zip(("project", "filename", "sha256"), file, strict=False)) for file in files]
        code, asked = self.ask("POST", path, files=wanted, projects=list(projects))
        assert code == 202, asked
        return self.wait(asked["id"])

    def wait(self, number: int) -> Any:
        """Until a prefetch has ended; what became of it."""
        self.hub.wait_until(lambda: self.show(number)["state"] != "running", 30)
        return self.show(number)

    def show(self, number: int) -> Any:
        """What became of a prefetch so far."""
        return self.ask("GET", f"/prefetch/{number}")[1]
