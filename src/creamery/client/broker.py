"""The socket at which the hook asks, one question a connection: a line of JSON, and a line of JSON back.

It listens before uv starts, and answers from threads of its own: uv builds several things at a time, and one of them
may wait for somebody else's build. It is for programs of the same user alone: the socket lies in a folder of theirs;
where there are no such sockets it is a port of this machine, and a word that only what is started here knows.
"""

from __future__ import annotations

import os
import threading

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from typing import Any

    Answer = Callable[[dict[str, Any]], Mapping[str, Any]]

VARIABLE = "CREAMERY_BROKER"
MOST_QUESTION = 4 * 1024**2
QUESTION_SECONDS = 30.0
WAITING = 64
"""Connections that nobody has taken yet."""
_NOT_YET = "~"
LONGEST_PATH = 100
"""Of a socket, in bytes: what every system allows."""


class Broker:
    """Has an address from the beginning, listens from `listen` on, answers once `serve` says how, until it is closed.

    uv is started in between: what sockets need takes 4 ms to import, and no build asks as early as that.
    """

    def __init__(self, folder: str) -> None:
        """`folder`: this user's alone."""
        self._socket: socket.socket | None = None
        path = os.path.join(folder, "broker")  # noqa: PTH118 - pathlib costs 3 ms of a start
        self._word = ""
        self._is_closed = False
        if os.name == "posix" and len(os.fsencode(path)) <= LONGEST_PATH:
            self.address = path
        else:
            import socket  # noqa: PLC0415 - see above

            self._word = os.urandom(16).hex()
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=WAITING)
            self.address = f"tcp:{self._socket.getsockname()[1]}:{self._word}"

    def listen(self) -> None:
        """Let questions wait to be answered.

        Raises:
            OSError: there can be no socket there.
        """
        if self._socket is not None or self._is_closed:
            return
        import socket  # noqa: PLC0415

        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(self.address + _NOT_YET)
            listening.listen(WAITING)
            os.rename(self.address + _NOT_YET, self.address)  # noqa: PTH104 - whoever finds it there can connect
        except OSError:
            listening.close()
            raise
        self._socket = listening

    def serve(self, answer: Answer) -> None:
        """Answer questions, from threads; returns at once."""
        threading.Thread(target=self._accept, args=(answer,), daemon=True, name="broker").start()

    def close(self) -> None:
        """Take no more questions."""
        self._is_closed = True
        if self._socket is None:
            return
        import contextlib  # noqa: PLC0415 - known already
        import socket  # noqa: PLC0415

        with contextlib.suppress(OSError):  # where a listening socket cannot be shut down, closing it does
            self._socket.shutdown(socket.SHUT_RDWR)  # or whoever waits in accept() would go on waiting
        self._socket.close()

    def _accept(self, answer: Answer) -> None:
        while self._socket is not None:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # it was closed
                return
            threading.Thread(target=self._answer, args=(connection, answer), daemon=True).start()

    def _answer(self, connection: socket.socket, answer: Answer) -> None:
        import contextlib  # noqa: PLC0415 - while uv is at work
        import hmac  # noqa: PLC0415
        import json  # noqa: PLC0415

        with connection, contextlib.suppress(OSError):  # whoever asked has gone: their build was stopped
            connection.settimeout(QUESTION_SECONDS)
            with connection.makefile("rb") as lines:
                if self._word and not hmac.compare_digest(lines.readline(64).strip(), self._word.encode()):
                    return
                line = lines.readline(MOST_QUESTION)
            try:
                question = json.loads(line)
            except ValueError:
                return
            if isinstance(question, dict):
                connection.settimeout(None)
                connection.sendall(json.dumps(dict(answer(question))).encode() + b"\n")
