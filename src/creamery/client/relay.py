"""An index of old servers' wheels for uv, on this machine and for as long as one installation takes.

uv asks an index for each name that it comes upon, as Curdling asked its servers; so it is told of their wheels by one,
which fetches as somebody whom uv need not know, and hands out only what has the bytes that were promised. What goes
wrong with a server is said, and is nothing that is there: then uv asks the next index.

Its address has a word in it that only what is started here knows. It serves files of one folder, below a digest.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import BinaryIO
from urllib.parse import quote, unquote

from packaging.utils import parse_wheel_filename

from creamery.client.builds import Outcome
from creamery.client.caches import Offer
from creamery.client.curd_cache import CurdCache, metadata_in
from creamery.client.errors import HubError
from creamery.client.keeping import keep
from creamery.client.own_names import OwnNames
from creamery.contract import InvalidName, ProjectName, normalize

JSON = "application/vnd.pypi.simple.v1+json"
METADATA = ".metadata"
FILE_PARTS = 2
"""Of the path of a file: digest and name. That of a project has one."""


@dataclass(slots=True)
class _Listed:
    """A wheel that uv was told of.

    Attributes:
        is_lost: it was not to be had.
    """

    cache: CurdCache
    offer: Offer
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_handed_out: bool = False
    is_lost: bool = False


class Relay:
    """Answers from its making until it is closed.

    Args:
        caches: whose wheels they are, the first before the others.
        folder: this user's alone; wheels are put below it.
        fits: may this wheel of a project be told of? uv takes one that it cannot use for a reason to give up.
        guarded: names of which there is nothing here, and for which uv is to ask nobody behind this.
        say: is told a sentence for the user.

    Attributes:
        troubles: sentences about what uv was told of, and was not to be had.
        outcomes: what was handed out.
    """

    def __init__(
        self,
        caches: Sequence[CurdCache],
        folder: Path,
        fits: Callable[[ProjectName, Offer], bool] | None,
        guarded: OwnNames,
        say: Callable[[str], object],
    ) -> None:
        self._caches = list(caches)
        self._folder = folder
        self._fits = fits
        self._guarded = guarded
        self._say = say
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._listed: dict[tuple[str, str], _Listed] = {}
        self._is_off = False
        self._word = os.urandom(16).hex()
        self.troubles: list[str] = []
        self.outcomes: list[Outcome] = []
        self._server = _Server(self.answer)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="relay").start()

    @property
    def url(self) -> str:
        """Of the index."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self._word}/"

    @property
    def has_told(self) -> bool:
        """Has uv been told of anything?"""
        return bool(self._listed)

    def switch_off(self) -> None:
        """There are no wheels any more."""
        self._is_off = True

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[str, BinaryIO, int] | None:
        """What lies there: its kind, content and length; None: nothing. Called from many threads."""
        word, *parts = [unquote(part) for part in path.partition("?")[0].strip("/").split("/")]
        if word != self._word:
            return None
        if len(parts) != FILE_PARTS:
            return self._page(parts[0]) if len(parts) == 1 else None
        digest, name = parts
        listed = self._listed.get((digest, name.removesuffix(METADATA)))
        path_of = None if listed is None else self._kept(listed)
        if path_of is None:
            return None
        if name.endswith(METADATA):
            metadata = metadata_in(path_of)
            return None if metadata is None else ("text/plain; charset=utf-8", BytesIO(metadata), len(metadata))
        return "application/octet-stream", path_of.open("rb"), path_of.stat().st_size

    def _page(self, name: str) -> tuple[str, BinaryIO, int] | None:
        try:
            project = normalize(name)
        except InvalidName:
            return None
        if self._guarded.has(project):
            return _written(project, [])
        found: dict[str, _Listed] = {}
        for cache in [] if self._is_off else self._caches:
            for offer in self._offers(cache, project):
                if self._fits is not None and self._fits(project, offer):
                    found.setdefault(offer.filename, _Listed(cache, offer))
        if not found:
            return None
        with self._lock:
            listed = {name: self._listed.setdefault((each.offer.sha256, name), each) for name, each in found.items()}
        return _written(project, [each.offer for each in listed.values() if not each.is_lost])

    def _offers(self, cache: CurdCache, project: ProjectName) -> list[Offer]:
        try:
            return cache.offers(project)
        except HubError as error:
            self._say_once(f"{error.sentence} It is asked no more; what it may have comes from elsewhere.")
            return []

    def _kept(self, listed: _Listed) -> Path | None:
        """Where it lies now; None: it was not to be had, and will not be."""
        with listed.lock:
            if listed.is_lost:
                return None
            try:
                path = keep(listed.cache, listed.offer, self._folder)
            except HubError as error:
                reason = error.sentence
            except OSError as error:
                reason = f"{listed.offer.filename} could not be kept: {error.strerror}."
            except Exception as error:  # noqa: BLE001 - a defect here is said, and uv does without
                reason = f"{listed.offer.filename} could not be fetched ({type(error).__name__}: {error})."
            else:
                self._note(listed)
                return path
            listed.is_lost = True
            self.troubles.append(reason)
        return None

    def _note(self, listed: _Listed) -> None:
        if listed.is_handed_out:
            return
        listed.is_handed_out = True
        name, version, _, _ = parse_wheel_filename(listed.offer.filename)
        cache = listed.cache.name
        with self._lock:
            self.outcomes.append(Outcome("found", name, str(version), listed.offer.filename, "", 0.0, cache))

    def _say_once(self, sentence: str) -> None:
        with self._lock:
            if sentence in self._said:
                return
            self._said.add(sentence)
        self._say(sentence)


def _written(project: ProjectName, offers: Sequence[Offer]) -> tuple[str, BinaryIO, int]:
    """A page (PEP 691)."""
    files = [_line(offer) for offer in offers]
    page = json.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": files}).encode()
    return JSON, BytesIO(page), len(page)


def _line(offer: Offer) -> dict[str, object]:
    url = f"../{offer.sha256}/{quote(offer.filename)}"
    return {"filename": offer.filename, "url": url, "hashes": {"sha256": offer.sha256}, "core-metadata": True}


class _Server(ThreadingTCPServer):
    """Not the library's HTTP server, which asks for this machine's name before it listens."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answer: Callable[[str], tuple[str, BinaryIO, int] | None]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked has gone."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        found = self.server.answer(self.path)
        if found is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        kind, content, size = found
        with content:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(size))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            shutil.copyfileobj(content, self.wfile)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
