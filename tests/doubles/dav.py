"""Somebody who speaks WebDAV as it is written, and not as a library would have it."""

from __future__ import annotations

import socket
from base64 import b64encode
from typing import Any
from xml.etree import ElementTree as ET

import httpx2

from creamery.accounts import Scope
from tests.doubles.running import RunningHub
from tests.doubles.uploading import Auth, token_of

SCOPES = (Scope("hive:read"), Scope("hive:write"))


class Dav:
    """A user at their home; paths are below it, and go out as they are."""

    def __init__(self, hub: RunningHub, user: str = "alice", auth: Auth | None = None) -> None:
        self.hub = hub
        self.auth = auth or token_of(hub, user, SCOPES)
        self.home = f"/dav/files/{user}"

    @property
    def base(self) -> str:
        """The address of the home."""
        return self.hub.base + self.home

    def __call__(self, method: str, path: str, content: bytes | str = b"", **headers: str) -> httpx2.Response:
        """Ask; header names with `_` for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        body = content.encode() if isinstance(content, str) else content
        sent: dict[str, Any] = {"content": body} if body or method == "PUT" else {}
        return self.hub.client.request(
            method, self.base + path, headers=given, auth=self.auth, follow_redirects=False, **sent
        )

    def raw(self, head: str, body: bytes = b"", seconds: float = 10.0) -> bytes:
        """The answer to a request whose first line and headers go out as they are; `{home}` stands for the home."""
        known = b64encode(":".join(self.auth).encode()).decode()
        lines = head.format(home=self.home).replace("\n", "\r\n")
        sent = f"{lines}\r\nHost: hub\r\nConnection: close\r\nAuthorization: Basic {known}\r\n\r\n".encode() + body
        with socket.create_connection(("127.0.0.1", int(self.hub.base.rpartition(":")[2])), seconds) as connection:
            connection.sendall(sent)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        return answer

    def put(self, path: str, content: bytes | str = b"x") -> httpx2.Response:
        """A file that must arrive."""
        answer = self("PUT", path, content)
        assert answer.status_code in {201, 204}, answer.text
        return answer

    def folder(self, path: str) -> None:
        """A new folder."""
        answer = self("MKCOL", path)
        assert answer.status_code == 201, answer.text

    def text(self, path: str) -> str:
        """What a file has in it."""
        answer = self("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def names(self, path: str = "/") -> list[str]:
        """The names in a folder, in order."""
        found = self.found(path, "1")
        return sorted(name for href in found if (name := href.removeprefix(self.home + path).strip("/")))

    def found(self, path: str, depth: str = "0", ask: str = "") -> dict[str, dict[str, Any]]:
        """A PROPFIND's answer: by href, each property that is there, with its element."""
        answer = self("PROPFIND", path, ask, Depth=depth)
        assert answer.status_code == 207, answer.text
        return properties_of(answer.text)


def properties_of(document: str) -> dict[str, dict[str, Any]]:
    """By href, the properties of a multistatus whose status is 200, with their elements."""
    found: dict[str, dict[str, Any]] = {}
    for response in ET.fromstring(document).iter("{DAV:}response"):
        href = response.findtext("{DAV:}href") or ""
        found[href] = {
            element.tag: element
            for each in response.iter("{DAV:}propstat")
            if " 200 " in (each.findtext("{DAV:}status") or "")
            for element in each.iterfind("{DAV:}prop/*")
        }
    return found
