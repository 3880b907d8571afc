"""Pages of a simple index as PyPI writes them: JSON at API 1.4 (PEP 691, 700, 714, 740, 792) and HTML (PEP 503)."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"


@dataclass(frozen=True)
class ListedFile:
    """A line of a project's page.

    Attributes:
        content, metadata: None where only the line exists.
    """

    filename: str
    path: str
    version: str
    sha256: str
    size: int
    upload_time: str | None
    requires_python: str | None = None
    yanked: bool | str = False
    metadata_sha256: str | None = None
    provenance: str | None = None
    content: bytes | None = field(default=None, repr=False)
    metadata: bytes | None = field(default=None, repr=False)


@dataclass
class Project:
    """What the index knows of a project."""

    name: str
    files: list[ListedFile] = field(default_factory=list)
    status: str = "active"
    status_reason: str | None = None
    serial: int = 0


@dataclass(frozen=True)
class Style:
    """How much an index tells."""

    api_version: str = "1.4"
    hashes: bool = True
    sizes: bool = True
    files_base: str = ""


def project_json(project: Project, style: Style) -> bytes:
    """`/simple/NAME/` as JSON."""
    page: dict[str, Any] = {
        "meta": {"api-version": style.api_version, "_last-serial": project.serial},
        "name": project.name,
        "versions": sorted({file.version for file in project.files}),
        "files": [_file_json(file, style) for file in project.files],
        "alternate-locations": [],
    }
    if style.api_version >= "1.4":
        page["project-status"] = {"status": project.status}
        if project.status_reason:
            page["project-status"]["reason"] = project.status_reason
    return json.dumps(page, separators=(",", ":")).encode()


def project_html(project: Project, style: Style) -> bytes:
    """`/simple/NAME/` as HTML."""
    links = "".join(_file_html(file, style) for file in project.files)
    status = f'<meta name="pypi:project-status" content="{project.status}">'
    if project.status_reason:
        reason = html.escape(project.status_reason)
        status += f'\n    <meta name="pypi:project-status-reason" content="{reason}">'
    return _document(f"Links for {project.name}", links, status)


def index_json(names: Iterable[str], style: Style) -> bytes:
    """`/simple/` as JSON."""
    page = {"meta": {"api-version": style.api_version}, "projects": [{"name": name} for name in names]}
    return json.dumps(page, separators=(",", ":")).encode()


def index_html(names: Iterable[str]) -> bytes:
    """`/simple/` as HTML."""
    return _document("Simple index", "".join(f'<a href="/simple/{name}/">{name}</a><br />\n' for name in names))


def many(project: str, files: int) -> list[ListedFile]:
    """As many lines as a large project has (numpy: 4,400), of files that do not exist."""
    lines = []
    for number in range(files):
        version = f"1.{number // 40}.{number % 40 // 20}"
        python = f"cp{38 + number % 7}"
        filename = f"{project}-{version}-{python}-{python}-manylinux_{number % 40}_17_x86_64.whl"
        sha256 = hashlib.sha256(filename.encode()).hexdigest()
        lines.append(
            ListedFile(
                filename,
                stored_at(sha256, filename),
                version,
                sha256,
                14_000_000 + number,
                f"2024-01-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000000Z",
                requires_python=">=3.8",
                metadata_sha256=hashlib.sha256(sha256.encode()).hexdigest(),
            )
        )
    return lines


def stored_at(sha256: str, filename: str) -> str:
    """Where the file host has a file."""
    return f"/packages/{sha256[:2]}/{sha256[2:4]}/{sha256[4:]}/{filename}"


def _file_json(file: ListedFile, style: Style) -> dict[str, Any]:
    core_metadata = {"sha256": file.metadata_sha256} if file.metadata_sha256 else False
    line: dict[str, Any] = {
        "filename": file.filename,
        "url": style.files_base + file.path,
        "hashes": {"sha256": file.sha256} if style.hashes else {},
        "requires-python": file.requires_python,
        "yanked": file.yanked,
        "core-metadata": core_metadata,
        "data-dist-info-metadata": core_metadata,
    }
    if style.sizes:
        line |= {"size": file.size, "upload-time": file.upload_time}
    if style.api_version >= "1.3":
        line["provenance"] = file.provenance
    return line


def _file_html(file: ListedFile, style: Style) -> str:
    href = style.files_base + file.path + (f"#sha256={file.sha256}" if style.hashes else "")
    marks = ""
    if file.requires_python is not None:
        marks += f' data-requires-python="{html.escape(file.requires_python)}"'
    if file.metadata_sha256:
        digest = f"sha256={file.metadata_sha256}"
        marks += f' data-dist-info-metadata="{digest}" data-core-metadata="{digest}"'
    if file.yanked is not False:
        marks += f' data-yanked="{html.escape(file.yanked) if isinstance(file.yanked, str) else ""}"'
    if file.provenance:
        marks += f' data-provenance="{html.escape(file.provenance)}"'
    return f'<a href="{html.escape(href)}"{marks}>{html.escape(file.filename)}</a><br />\n'


def _document(title: str, links: str, more: str = "") -> bytes:
    return f"""<!DOCTYPE html>
<html>
  <head>
    <meta name="pypi:repository-version" content="1.4">
    {more}
    <title>{title}</title>
  </head>
  <body>
    <h1>{title}</h1>
{links}  </body>
</html>
""".encode()
