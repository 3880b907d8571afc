"""The real pacifica-archiveinterface, from its package, as its command runs it: one process of many threads."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.clients.prepare import prepared
from tests.doubles.waiting import eventually

SETTINGS = """
[global]
log.screen: False
[/]
request.dispatch: cherrypy.dispatch.MethodDispatcher()
tools.response_headers.on: True
tools.response_headers.headers: [('Content-Type', 'application/json')]
"""
"""As its documentation has them; without such a file it does not start."""


@contextmanager
def archive_interface(folder: Path) -> Iterator[str]:
    """Its address, while it serves a folder; its settings lie beside that."""
    settings = folder.parent / "cpconfig.ini"
    settings.write_text(SETTINGS)
    with socket.socket() as guard:
        guard.bind(("127.0.0.1", 0))
        port = guard.getsockname()[1]
    program = str(prepared("archiveinterface") / "pacifica-archiveinterface")
    options = ["--cherrypy-config", str(settings), "-p", str(port), "-a", "127.0.0.1", "--prefix", str(folder)]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        assert process.poll() is None, "it ended"
        try:
            return httpx2.get(address, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    try:
        eventually(answers, 60)
        yield address
    finally:
        process.terminate()
        process.wait(20)
