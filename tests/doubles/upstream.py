"""An index upstream of the hub: hermetic, counted, and misbehaving on command.

In a test:

    with Upstream() as upstream:
        upstream.add("six", "1.16.0")
        upstream.misbehave("/simple/six/", hang(), once=True)
        ...
        assert upstream.count("/simple/six/") == 1

As a program, for benchmarks and for clients by hand (it prints the index's address and serves until it is ended):

    python -m tests.doubles.upstream --latency-ms 20 --rate 20000000 --wheel demo==1.0:50000000 --many numpy:4400
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import re
import signal
import ssl
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import unquote

from tests.doubles.distributions import Distribution, metadata_of, sdist, wheel
from tests.doubles.listing import (
    HTML,
    JSON,
    ListedFile,
    Project,
    Style,
    index_html,
    index_json,
    many,
    project_html,
    project_json,
    stored_at,
)
from tests.doubles.loopback import Answerer, Exchange, Loopback, Reply, Seen, narrowed
from tests.doubles.misbehaviour import (
    after,
    close_at,
    drip,
    endless_json,
    garbage,
    gzip_bomb,
    hang,
    huge_header,
    lie_about_length,
    many_headers,
    no_conditions,
    no_range,
    redirect_to,
    refuse,
    say,
    slow_headers,
    status,
    without_length,
    wrong_bytes,
    wrong_range,
    zstd_bomb,
)

__all__ = [
    "Upstream",
    "after",
    "close_at",
    "drip",
    "endless_json",
    "garbage",
    "gzip_bomb",
    "hang",
    "huge_header",
    "lie_about_length",
    "many_headers",
    "no_conditions",
    "no_range",
    "redirect_to",
    "refuse",
    "say",
    "slow_headers",
    "status",
    "without_length",
    "wrong_bytes",
    "wrong_range",
    "zstd_bomb",
]

UPLOADED = "2024-01-02T03:04:05.000000Z"


@dataclass
class _Order:
    pattern: str
    answerer: Answerer
    times: int | None
    method: str | None


@dataclass(frozen=True)
class _Page:
    body: bytes
    packed: bytes
    etag: str


class Upstream:
    """A simple index on loopback, in a thread. Its methods may be called from any thread while it serves.

    Attributes:
        latency: seconds before each answer.
        rate: bytes a second of each body; None: as fast as it goes.
    """

    def __init__(
        self,
        *,
        json: bool = True,
        etag: bool = True,
        last_modified: bool = True,
        compressed: bool = True,
        hashes: bool = True,
        sizes: bool = True,
        metadata: bool = True,
        api_version: str = "1.4",
        second_host: bool = False,
        absolute_links: bool = True,
        latency: float = 0.0,
        rate: float | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """An empty index.

        Args:
            json: False: HTML is all it speaks.
            etag: offered for conditional requests.
            last_modified: the same.
            compressed: pages with gzip for those who accept it.
            hashes: whether lines have them.
            sizes: whether lines have them, and upload times (API 1.1).
            metadata: whether `.metadata` files are offered (PEP 658).
            api_version: of its JSON.
            second_host: files come from a second port, as PyPI's come from a second host.
            absolute_links: False: links are relative to the page (one host only).
            latency: see the attributes.
            rate: see the attributes.
            port: of the index; 0: a free one.
            tls: serve https with this.
        """
        self._offers_json = json
        self._offers_etag = etag
        self._offers_last_modified = last_modified
        self._compressed = compressed
        self._offers_metadata = metadata
        self._style = Style(api_version, hashes, sizes)
        self._absolute = absolute_links or second_host
        self._scheme = "https" if tls is not None else "http"
        self.latency = latency
        self.rate = rate
        self._projects: dict[str, Project] = {}
        self._stored: dict[str, tuple[bytes, str]] = {}
        self._pages: dict[tuple[str, str], _Page] = {}
        self._serial = 0
        self._seen: list[Seen] = []
        self._orders: list[_Order] = []
        self._lock = threading.RLock()
        self._server = Loopback(self._answer, listeners=2 if second_host else 1, port=port, tls=tls)

    # Life.

    def start(self) -> Self:
        """Listen; after a `stop`, on the same ports again."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Unplug it: nobody listens, every connection is cut."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """`host:port` of the index."""
        return f"127.0.0.1:{self._server.ports[0]}"

    @property
    def files_host(self) -> str:
        """`host:port` of its files."""
        return f"127.0.0.1:{self._server.ports[-1]}"

    @property
    def base(self) -> str:
        """The index's address without a path."""
        return f"{self._scheme}://{self.host}"

    @property
    def url(self) -> str:
        """The address of its simple API."""
        return f"{self.base}/simple/"

    def cut(self) -> None:
        """Cut every connection; go on listening."""
        self._server.cut()

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return self._server.connections

    # Contents.

    def add(
        self,
        project: str,
        version: str,
        kind: Literal["wheel", "sdist"] = "wheel",
        *,
        requires: Sequence[str] = (),
        requires_python: str | None = None,
        size: int = 0,
        yanked: bool | str = False,
        upload_time: str | None = UPLOADED,
        metadata: bool | None = None,
        provenance: str | None = None,
        tag: str = "py3-none-any",
    ) -> Distribution:
        """Make a distribution and offer it; `size` bytes of payload go with it."""
        if kind == "wheel":
            made = wheel(project, version, requires=requires, requires_python=requires_python, size=size, tag=tag)
        else:
            made = sdist(project, version, requires=requires, requires_python=requires_python, size=size)
        line = self._line(made, version, metadata=metadata if kind == "wheel" else False)
        line = replace(
            line, requires_python=requires_python, yanked=yanked, upload_time=upload_time, provenance=provenance
        )
        self._offer(project, [line])
        return made

    def add_file(self, project: str, version: str, made: Distribution, *, metadata: bool | None = None) -> None:
        """Offer a distribution that somebody else made; its bytes may be any."""
        self._offer(project, [self._line(made, version, metadata=metadata)])

    def add_path(self, path: Path) -> None:
        """Offer a wheel or an sdist from disk."""
        content = path.read_bytes()
        project, version = re.split(r"-", path.name.removesuffix(".tar.gz"))[:2]
        is_wheel = path.suffix == ".whl"
        made = Distribution(path.name, content, metadata_of(content) if is_wheel else b"")
        self.add_file(project, version, made, metadata=None if is_wheel else False)

    def add_many(self, project: str, files: int = 4_400) -> None:
        """List as many files as a large project has; only the lines exist."""
        self._offer(project, many(_normalized(project), files))

    def remove(self, project: str, version: str | None = None) -> None:
        """Take a project, or a version of it, off the pages; the files stay where they are."""
        with self._lock:
            found = self._projects[_normalized(project)]
            found.files = [file for file in found.files if version is not None and file.version != version]
            if not found.files:
                del self._projects[found.name]
            self._changed(found)

    def set_status(self, project: str, status: str, reason: str | None = None) -> None:
        """PEP 792: active, archived, quarantined, deprecated."""
        with self._lock:
            found = self._projects[_normalized(project)]
            found.status, found.status_reason = status, reason
            self._changed(found)

    def path_of(self, filename: str) -> str:
        """The path of a file on the file host, for `misbehave` and `requests`."""
        with self._lock:
            lines = (file for project in self._projects.values() for file in project.files)
            return next(file.path for file in lines if file.filename == filename)

    def url_of(self, filename: str) -> str:
        """The address of a file."""
        return f"{self._scheme}://{self.files_host}{self.path_of(filename)}"

    # What was asked.

    def requests(self, path_prefix: str = "/", method: str | None = None) -> list[Seen]:
        """The requests so far, in order."""
        return [
            seen for seen in tuple(self._seen) if seen.path.startswith(path_prefix) and method in {None, seen.method}
        ]

    def count(self, path_prefix: str = "/", method: str | None = None) -> int:
        """How many requests so far."""
        return len(self.requests(path_prefix, method))

    @property
    def conditional(self) -> list[Seen]:
        """The requests that came with a condition."""
        return [seen for seen in tuple(self._seen) if {"if-none-match", "if-modified-since"} & seen.headers.keys()]

    def forget(self) -> None:
        """Count from here on."""
        self._seen.clear()

    # Misbehaviour.

    def misbehave(
        self,
        path: str,
        answerer: Answerer,
        *,
        once: bool = False,
        times: int | None = None,
        method: str | None = None,
    ) -> None:
        """Answer a path (`*` matches anything) otherwise: always, `once` or so many `times`; the latest order wins."""
        with self._lock:
            self._orders.insert(0, _Order(path, answerer, 1 if once else times, method))

    def behave(self) -> None:
        """Withdraw every misbehaviour."""
        with self._lock:
            self._orders.clear()

    # Answers, in the server's thread.

    async def _answer(self, exchange: Exchange) -> None:
        seen = exchange.request
        self._seen.append(seen)
        exchange.rate = self.rate
        if self.latency:
            await asyncio.sleep(self.latency)
        with self._lock:
            exchange.whole = self._whole(seen)
            order = self._order_for(seen)
        exchange.reply = narrowed(exchange.whole, seen)
        await (order(exchange) if order is not None else exchange.send())

    def _order_for(self, seen: Seen) -> Answerer | None:
        path = unquote(seen.path)
        for order in self._orders:
            if order.method in {None, seen.method} and fnmatchcase(path, order.pattern):
                if order.times is not None:
                    order.times -= 1
                    if order.times <= 0:
                        self._orders.remove(order)
                return order.answerer
        return None

    def _whole(self, seen: Seen) -> Reply:
        path = unquote(seen.path)
        if seen.method not in {"GET", "HEAD"}:
            return Reply(405, {"Allow": "GET, HEAD", "Content-Type": "text/plain"}, b"405\n")
        if path in self._stored:
            content, media_type = self._stored[path]
            etag = f'"{hashlib.sha256(content[-4096:]).hexdigest()[:32]}"' if self._offers_etag else None
            headers = {"Content-Type": media_type, "Accept-Ranges": "bytes"}
            return Reply(
                200, headers | self._validators(etag) | {"Cache-Control": "max-age=365000000, immutable"}, content
            )
        if match := re.fullmatch(r"/simple/(?:([^/]+)/?)?", path):
            return self._page_reply(match[1], seen, slash=path.endswith("/"))
        return Reply(404, {"Content-Type": "text/plain"}, b"404 Not Found\n")

    def _page_reply(self, name: str | None, seen: Seen, *, slash: bool) -> Reply:
        if name is not None and (_normalized(name) != name or not slash):
            return Reply(301, {"Location": f"/simple/{_normalized(name)}/", "Content-Type": "text/plain"}, b"301\n")
        if name is not None and name not in self._projects:
            return Reply(404, {"Content-Type": "text/plain"}, b"404 Not Found\n")
        accept = seen.headers.get("accept", "*/*")
        as_json = self._offers_json and JSON in accept
        media_type = JSON if as_json else HTML if HTML in accept else "text/html"
        page = self._page(name, "json" if as_json else "html")
        serial = self._projects[name].serial if name is not None else self._serial
        headers = {
            "Content-Type": media_type,
            "Vary": "Accept, Accept-Encoding",
            "Cache-Control": "max-age=600, public",
            "X-PyPI-Last-Serial": str(serial),
            **self._validators(page.etag if self._offers_etag else None, serial),
        }
        if self._compressed and "gzip" in seen.headers.get("accept-encoding", ""):
            return Reply(200, headers | {"Content-Encoding": "gzip"}, page.packed)
        return Reply(200, headers, page.body)

    def _page(self, name: str | None, form: Literal["json", "html"]) -> _Page:
        key = (name or "", form)
        if key not in self._pages:
            base = f"{self._scheme}://{self.files_host}" if self._absolute else "../.."
            style = replace(self._style, files_base=base)
            if name is None:
                body = index_json(self._projects, style) if form == "json" else index_html(self._projects)
            else:
                project = self._projects[name]
                body = project_json(project, style) if form == "json" else project_html(project, style)
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            self._pages[key] = _Page(body, gzip.compress(body, 6, mtime=0), etag)
        return self._pages[key]

    def _validators(self, etag: str | None, serial: int = 0) -> dict[str, str]:
        headers = {"ETag": etag} if etag is not None else {}
        if self._offers_last_modified:
            headers["Last-Modified"] = formatdate(1_700_000_000 + serial, usegmt=True)
        return headers

    def _line(self, made: Distribution, version: str, *, metadata: bool | None) -> ListedFile:
        offered = (self._offers_metadata if metadata is None else metadata) and bool(made.metadata)
        return ListedFile(
            made.filename,
            stored_at(made.sha256, made.filename),
            version,
            made.sha256,
            len(made.content),
            UPLOADED,
            metadata_sha256=hashlib.sha256(made.metadata).hexdigest() if offered else None,
            content=made.content,
            metadata=made.metadata if offered else None,
        )

    def _offer(self, project: str, lines: Sequence[ListedFile]) -> None:
        with self._lock:
            found = self._projects.setdefault(_normalized(project), Project(_normalized(project)))
            names = {line.filename for line in lines}
            found.files = [file for file in found.files if file.filename not in names] + list(lines)
            for line in lines:
                if line.content is not None:
                    self._stored[line.path] = (line.content, "application/octet-stream")
                if line.metadata is not None:
                    self._stored[f"{line.path}.metadata"] = (line.metadata, "binary/octet-stream")
            self._changed(found)

    def _changed(self, project: Project) -> None:
        self._serial += 1
        project.serial = self._serial
        self._pages = {key: page for key, page in self._pages.items() if key[0] not in {"", project.name}}


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="A simple index on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="before each answer")
    parser.add_argument("--rate", type=float, default=None, help="bytes a second of each body")
    parser.add_argument("--html", action="store_true", help="no JSON")
    parser.add_argument("--wheel", action="append", default=[], metavar="NAME==VERSION[:SIZE]")
    parser.add_argument("--sdist", action="append", default=[], metavar="NAME==VERSION[:SIZE]")
    parser.add_argument("--many", action="append", default=[], metavar="NAME:FILES", help="lines without files")
    parser.add_argument("--directory", action="append", default=[], type=Path, help="wheels and sdists to offer")
    given = parser.parse_args(arguments)
    upstream = Upstream(json=not given.html, latency=given.latency_ms / 1000, rate=given.rate, port=given.port)
    for text in given.wheel:
        name, version, size = _named(text)
        upstream.add(name, version, size=size)
    for text in given.sdist:
        name, version, size = _named(text)
        upstream.add(name, version, "sdist", size=size)
    for text in given.many:
        name, _, files = text.partition(":")
        upstream.add_many(name, int(files or 4_400))
    for path in sorted(path for directory in given.directory for path in directory.iterdir()):
        if path.name.endswith((".whl", ".tar.gz")):
            upstream.add_path(path)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with upstream:
        sys.stdout.write(f"{upstream.url}\n")
        sys.stdout.flush()
        ended.wait()


def _named(text: str) -> tuple[str, str, int]:
    name, _, rest = text.partition("==")
    version, _, size = rest.partition(":")
    return name, version, int(size or "0")


if __name__ == "__main__":
    main()
