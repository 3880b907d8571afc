"""What `creamery serve` says once it listens."""

from __future__ import annotations

import errno
import io
import socket
from pathlib import Path

import pytest
import structlog

from creamery import server
from creamery.settings import load_settings


@pytest.mark.parametrize(
    ("host", "proxies", "warns"), [("0.0.0.0", "", True), ("0.0.0.0", "10.0.0.0/8", False), ("127.0.0.1", "", False)]
)
def test_listening_for_everybody_without_tls_in_front_is_warned_of(
    tmp_path: Path, host: str, proxies: str, warns: bool
) -> None:
    settings = load_settings(data=tmp_path, listen={"host": host}, trusted_proxies=proxies)

    with socket.socket() as bound, structlog.testing.capture_logs() as logs:
        bound.bind(("127.0.0.1", 0))
        server._greet(settings, [bound], first=None)

    assert ("server.unprotected" in {line["event"] for line in logs}) is warns


class _Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")


def test_a_greeting_that_nobody_reads_keeps_nobody_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", _Full())

    with structlog.testing.capture_logs() as logs, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server._greet(load_settings(data=tmp_path), [bound], first=None)

    assert [line["event"] for line in logs] == ["server.not_greeted"]


def test_where_the_hub_listens_is_said_beside_where_its_users_find_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(data=tmp_path, public_url="https://packages.example.org/")

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server._greet(settings, [bound], first=None)
        port = bound.getsockname()[1]

    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.endswith(f" listens on http://127.0.0.1:{port}")
    assert second.endswith("pip install --index-url https://packages.example.org/simple/ PACKAGE")


@pytest.mark.parametrize("has_users", [True, False])
def test_who_has_no_users_is_told_how_to_make_the_first_administrator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], has_users: bool
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server._greet(load_settings(data=tmp_path), [bound], first=None if has_users else "LINK")

    said = capsys.readouterr().out
    assert (f"creamery user add NAME --admin --data {tmp_path}" in said) is not has_users
