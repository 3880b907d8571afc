"""What the scenarios ask of a hub before they measure it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.clients import Answer, fetch
from benchmarks.processes import CannotMeasure, Server

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"

ACCEPTED: Mapping[str, str] = {"json": JSON, "html": HTML}


def page_headers(page_format: str, encoding: str) -> dict[str, str]:
    """How a client asks for a page."""
    return {"Accept": ACCEPTED[page_format], "Accept-Encoding": encoding}


def get_page(hub: Server, project: str, page_format: str, encoding: str) -> Answer:
    """A project's page, as encoded as it came.

    Raises:
        CannotMeasure: it did not come so.
    """
    answer = fetch(hub.base, f"/simple/{project}/", page_headers(page_format, encoding))
    if answer.status != 200 or answer.headers.get("content-encoding", "identity") != encoding:
        raise CannotMeasure(f"{project}'s page came with {answer.status} {dict(answer.headers)}")
    return answer


def paths_of_wheels(hub: Server, project: str) -> dict[str, str]:
    """The paths of a project's files at the hub, by file name; none of them is fetched."""
    page = json.loads(get_page(hub, project, "json", "identity").body)
    return {file["filename"]: f"/i/{project}/{file['filename']}" for file in page["files"]}


def fetch_wheel(hub: Server, project: str) -> tuple[str, bytes]:
    """The path of a project's only file, and its bytes: afterwards the hub has it.

    Raises:
        CannotMeasure: it did not come.
    """
    (path,) = paths_of_wheels(hub, project).values()
    answer = fetch(hub.base, path)
    if answer.status != 200:
        raise CannotMeasure(f"{path} came with {answer.status}")
    return path, answer.body
