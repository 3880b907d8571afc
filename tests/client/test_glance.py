"""A glance at a hub tells what the plainest answer says, and of everything else that it is unclear."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

from creamery.client import Credentials, HubAddress, parse_address
from creamery.client.glance import Glance, Unclear
from creamery.client.own_names import Memory, OwnNames

Says = Callable[[bytes], HubAddress]
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def says() -> Iterator[Says]:
    """A server that answers the next request with these very bytes, and says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(content: bytes) -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(content)

        def told(content: bytes) -> HubAddress:
            threading.Thread(target=answer, args=(content,), daemon=True).start()
            return parse_address(f"http://127.0.0.1:{server.getsockname()[1]}")[0]

        yield told


def test_a_plain_answer_is_what_it_says(says: Says) -> None:
    address = says(PLAIN)

    assert Glance(address, None).get("w", "v1", "names", query={"state": None}) == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b" ",
        PLAIN.replace(b"200 OK", b"302 Found\r\nLocation: https://elsewhere.example/"),
        PLAIN.replace(b"200 OK", b"401 Unauthorized"),
        PLAIN.replace(b"application/json", b"text/html"),
        PLAIN.replace(b"{}", b"{]"),
        PLAIN.replace(b"{}", b"\xff\xff"),
        PLAIN.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        PLAIN.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 1"),
        PLAIN.replace(b"Content-Length: 2", b"Content-Length: 9999999999999999"),
        PLAIN.replace(b"Content-Length: 2", b"Content-Length: -2"),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_every_other_answer_is_unclear(answer: bytes, says: Says) -> None:
    address = says(answer)

    with pytest.raises(Unclear):
        Glance(address, None).get("w", "v1", "names", query={})


def test_nobody_who_answers_is_unclear_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = HubAddress("http", "127.0.0.1", server.getsockname()[1])

    with pytest.raises(Unclear) as caught:
        Glance(address, None).post("w", "v1", "known", body={"versions": []})

    assert not caught.value.is_late


def test_a_hub_behind_a_proxy_is_asked_by_who_knows_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    address = parse_address("https://hub.invalid")[0]

    with pytest.raises(Unclear):
        Glance(address, Credentials.of_token("secret", "here")).get("w", "v1", "names", query={})


def test_an_old_memory_is_found_where_this_system_has_such_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: Says
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    told = b'{"state": "1", "claimed": ["acme"], "reserved": []}'
    address = says(PLAIN.replace(b"{}", told).replace(b"Length: 2", b"Length: %d" % len(told)))

    Memory(address).learn(Glance(address, None))

    folder = platformdirs.user_state_path("creamery", appauthor=False) / "names"
    assert Memory(address, folder).recall() == (OwnNames(frozenset({"acme"})), "1")
