"""Pacifica Cartd's files and environment, as settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from creamery.cartd_configuration import CartdConfiguration
from creamery.cli.cartd import Unstartable, read_settings
from creamery.settings import Settings, SettingsError, load_cartd_settings

SERVICE = """
[cartd]
; This section describes cartd specific configuration

; Local directory to stage data
volume_path = /srv/volume/

; Least recently used buffer time
lru_buffer_time = 0

; Bundle backend task enable/disable
bundle_task = True

[archiveinterface]
; This section describe where the archive interface is

; URL to the archive interface
url = http://127.0.0.1:8080/

[celery]
; This section describe celery task configuration

; Broker message url
broker_url = pyamqp://

; Backend task channel
backend_url = rpc://

[database]
; This section contains database connection configuration

; peewee_url is defined as the URL PeeWee can consume.
peewee_url = sqliteext:///db.sqlite3

; connect_attempts are the number of times the service will attempt to
; connect to the database if unavailable.
connect_attempts = 10

; connect_wait are the number of seconds the service will wait between
; connection attempts until a successful connection to the database.
connect_wait = 20
"""
"""The example of Cartd's documentation."""

CHERRYPY = """
[global]
log.screen: True
log.access_file: 'access.log'
log.error_file: 'error.log'
server.socket_host: '0.0.0.0'
server.socket_port: 8081

[/]
request.dispatch: cherrypy.dispatch.MethodDispatcher()
tools.response_headers.on: True
tools.response_headers.headers: [('Content-Type', 'application/json')]
"""
"""The same for CherryPy."""


@pytest.fixture(autouse=True)
def _nobodys_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CARTD_CONFIG", "CARTD_CPCONFIG", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def written(text: str, name: str = "some.ini") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def settings(config: Path | None = None, cpconfig: Path | None = None, **listen: object) -> Settings:
    return load_cartd_settings(config, cpconfig, **listen)[0]


def cartd(text: str) -> CartdConfiguration:
    return load_cartd_settings(written(text))[1]


def test_with_nothing_said_it_is_where_cartd_was() -> None:
    found = settings()

    assert (found.listen.host, found.listen.port, found.listen.uds) == ("127.0.0.1", 8081, None)
    assert [(archive.kind, archive.url) for archive in found.carts.archives] == [("pacifica", "http://127.0.0.1:8080/")]
    assert (found.carts.lru_purge, found.carts.lru_buffer_time, found.carts.bundle_task) == (True, 0, False)
    assert found.data == Path("var")


def test_the_documented_files_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = read_settings(written(SERVICE), written(CHERRYPY, "cpconfig.ini"))

    assert found.data == Path("/srv/volume")
    assert found.carts.bundle_task
    assert (found.listen.host, found.listen.port) == ("0.0.0.0", 8081)
    assert (found.log.screen, found.log.file, found.log.requests_file) == (True, Path("error.log"), Path("access.log"))
    unused, left_alone = capsys.readouterr().err.splitlines()
    assert unused == (
        "Warning: these mean nothing here: celery.broker_url, celery.backend_url, [/] request.dispatch,"
        " [/] tools.response_headers.on, [/] tools.response_headers.headers"
    )
    assert left_alone == (
        "Warning: Cartd's database db.sqlite3 is left alone: carts are kept in /srv/volume/creamery.sqlite3"
    )


def test_the_environment_is_understood(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    given = {
        "VOLUME_PATH": "/srv/other",
        "LRU_BUFFER_TIME": "3600",
        "LRU_PURGE": "off",
        "BUNDLE_TASK": "on",
        "ARCHIVE_INTERFACE_URL": "archive.example:8080/",
        "DATABASE_CONNECT_ATTEMPTS": "3",
        "DATABASE_CONNECT_WAIT": "7",
        "DATABASE_WAIT": "8",
        "BROKER_URL": "pyamqp://",
        "TRANSFER_SIZE": "",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    found, cartd = read_settings(None)

    carts = found.carts
    assert found.data == Path("/srv/other")
    assert (carts.lru_buffer_time, carts.lru_purge, carts.bundle_task) == (3600, False, True)
    assert carts.archives[0].url == "http://archive.example:8080/"
    assert (cartd.number("database.connect_attempts", 0), cartd.number("database.connect_wait", 0)) == (3, 7)
    assert capsys.readouterr().err == "Warning: these mean nothing here: BROKER_URL\n"


def test_who_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags, Cartd's files, the settings' own names, Cartd's environment, creamery.toml."""
    written(
        'data = "toml"\n[carts]\nlru_buffer_time = 1\nquota_carts = 7\n[listen]\nport = 1111\nuds = "socket"\n',
        "creamery.toml",
    )
    assert (settings().data, settings().carts.lru_buffer_time) == (Path("toml"), 1)
    assert (settings().listen.port, settings().listen.uds) == (8081, None)
    assert settings().carts.quota_carts == 7

    monkeypatch.setenv("LRU_BUFFER_TIME", "2")
    monkeypatch.setenv("VOLUME_PATH", "cartds")
    assert (settings().data, settings().carts.lru_buffer_time) == (Path("cartds"), 2)

    monkeypatch.setenv("CREAMERY_CARTS_LRU_BUFFER_TIME", "3")
    monkeypatch.setenv("CREAMERY_DATA", "own")
    assert (settings().data, settings().carts.lru_buffer_time) == (Path("own"), 3)

    config = written("[cartd]\nlru_buffer_time = 4\nvolume_path = files\n")
    assert (settings(config).data, settings(config).carts.lru_buffer_time) == (Path("files"), 4)

    cpconfig = written("[global]\nserver.socket_port: 2222\n", "cp.ini")
    assert settings(None, cpconfig).listen.port == 2222
    assert settings(None, cpconfig, port=3333, host=None).listen.port == 3333


def test_archives_of_a_hub_count_where_cartd_names_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CREAMERY_CARTS_ARCHIVES", str(tmp_path))

    assert settings().carts.archives[0].path == tmp_path


def test_the_usual_files_are_found_at_home_and_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    written("[cartd]\nvolume_path = home\n", ".pacifica-cartd/config.ini")
    written("[global]\nserver.socket_port: 4444\n", ".pacifica-cartd/cpconfig.ini")
    assert (settings().data, settings().listen.port) == (Path("home"), 4444)

    monkeypatch.setenv("CARTD_CONFIG", str(written("[cartd]\nvolume_path = named\n", "named.ini")))
    monkeypatch.setenv("CARTD_CPCONFIG", str(written("[global]\nserver.socket_port: 5555\n", "named-cp.ini")))
    assert (settings().data, settings().listen.port) == (Path("named"), 5555)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqliteext:////srv/pacifica/db.sqlite3", "/srv/pacifica/db.sqlite3"),
        ("sqlite:///old/carts.db?timeout=5", "old/carts.db"),
        ("mysql://cart:secret%%40@db.example:3306/pacifica_cart", "mysql://db.example:3306/pacifica_cart"),
    ],
)
def test_cartds_database_is_left_alone(url: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, _ = read_settings(written(f"[database]\npeewee_url = {url}\n"))

    beside = Path(said).parent / "var" if "://" not in said else Path("var")
    expected = f"Cartd's database {said} is left alone: carts are kept in {beside / 'creamery.sqlite3'}\n"
    assert capsys.readouterr().err == f"Warning: {expected}"
    assert found.data == beside


def test_a_database_where_cartd_would_have_made_it_is_left_alone_too(capsys: pytest.CaptureFixture[str]) -> None:
    written("not ours", "db.sqlite3")

    found, _ = read_settings(None)

    assert "db.sqlite3 is left alone" in capsys.readouterr().err
    assert found.data == Path("var")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[cartd]\nlru_buffer_time = soon\n", "carts.lru_buffer_time = 'soon'"),
        ("[cartd]\nlru_purge = perhaps\n", "carts.lru_purge = 'perhaps'"),
        ("[archiveinterface]\nurl = http://\n", "carts.archives"),
        ("[cartd\n", "some.ini cannot be read"),
        ("[cartd]\nvolume_path = %(nothing)s\n", "some.ini cannot be read"),
        ("[cartd]\nvolume_path = a\nvolume_path = b\n", "some.ini cannot be read"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(Unstartable, match=named.replace("(", r"\(")):
        read_settings(written(text))


@pytest.mark.parametrize("value", ["many", "-1", "nan", "1e9"])
def test_a_wait_that_is_none_is_named(value: str) -> None:
    with pytest.raises(ValueError, match=f"database.connect_wait = '{value}'"):
        cartd(f"[database]\nconnect_wait = {value}\n").number("database.connect_wait", 20)


def test_the_older_name_of_a_wait_is_understood_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_WAIT", "8")

    assert cartd("").number("database.connect_wait", 20) == 8


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match=r"listen\.port = 'http'"):
        settings(None, written("[global]\nserver.socket_port: 'http'\n"))


def test_a_file_that_is_named_and_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"gone\.ini: there is no such file"):
        settings(Path("gone.ini"))
    with pytest.raises(SettingsError, match=r"gone\.ini: there is no such file"):
        settings(None, Path("gone.ini"))
    monkeypatch.setenv("CARTD_CONFIG", "gone.ini")
    with pytest.raises(SettingsError, match=r"gone\.ini: there is no such file"):
        settings()


def test_cherrypys_values_are_pythons_and_screen_and_files_may_be_off() -> None:
    logs = "log.screen: False\nlog.error_file: ''\nlog.access_file: 100%.log\n"
    text = f"[global]\ntools.x: '%(message)s'\n{logs}server.socket_host: ::1\n"

    found = settings(None, written(text))

    assert (found.log.screen, found.log.file, found.log.requests_file) == (False, None, Path("100%.log"))
    assert found.listen.host == "::1"
