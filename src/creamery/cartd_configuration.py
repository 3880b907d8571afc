"""Pacifica Cartd's configuration, as far as it means something here: its INI file, its environment, CherryPy's file.

As Cartd reads them: the file wins over the environment. What is empty is not set. settings.py hands in the environment
and makes settings of what is found.
"""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIG, CPCONFIG = "config.ini", "cpconfig.ini"

USED: Mapping[str, tuple[str, ...]] = {
    "cartd.volume_path": ("VOLUME_PATH",),
    "cartd.lru_buffer_time": ("LRU_BUFFER_TIME",),
    "cartd.lru_purge": ("LRU_PURGE",),
    "cartd.bundle_task": ("BUNDLE_TASK",),
    "archiveinterface.url": ("ARCHIVE_INTERFACE_URL",),
    "database.peewee_url": ("PEEWEE_URL",),
    "database.connect_attempts": ("DATABASE_CONNECT_ATTEMPTS",),
    "database.connect_wait": ("DATABASE_CONNECT_WAIT", "DATABASE_WAIT"),
}
"""Cartd's keys that mean something here, and their names in the environment."""

UNUSED = ("TRANSFER_SIZE", "DATABASE_DEBUG_LOGGING", "DATABASE_LOGGING", "BROKER_URL", "BACKEND_URL")
"""Names in Cartd's environment that mean nothing here."""

CHERRYPY = ("server.socket_host", "server.socket_port", "log.screen", "log.access_file", "log.error_file")
"""CherryPy's keys that mean something here, under `[global]`."""


class CartdMisconfigured(ValueError):
    """A file of Cartd's cannot be read, or a value in it; the text says which and why."""


@dataclass(frozen=True, slots=True)
class CartdConfiguration:
    """What was found.

    Attributes:
        in_file: keys such as `cartd.volume_path`, with the values that the INI file gives them.
        in_environment: the same, of the environment.
        cherrypy: CherryPy's keys with their values.
        unused: what else was found, as it is spelt there.
    """

    in_file: Mapping[str, str]
    in_environment: Mapping[str, str]
    cherrypy: Mapping[str, object]
    unused: tuple[str, ...]

    def get(self, key: str) -> str | None:
        """A value, wherever it stands."""
        return self.in_file.get(key) or self.in_environment.get(key)

    def number(self, key: str, default: float) -> float:
        """A value that is a number.

        Raises:
            CartdMisconfigured: it is none, or is below zero.
        """
        text = self.get(key)
        try:
            number = default if text is None else float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number <= MOST:
            raise CartdMisconfigured(f"{key} = {text!r}: should be a number from 0 to {MOST}")
        return number

    @property
    def pacifica_database(self) -> Path | str | None:
        """The database of Cartd's that is there, which is not ours to open: SQLite's file, or a server's address.

        None: nobody names one, and there is none where Cartd would have made it.
        """
        url = self.get("database.peewee_url")
        if url is None:
            default = Path("db.sqlite3")
            return default if default.is_file() else None
        scheme, _, rest = url.partition("://")
        if not scheme.startswith("sqlite"):
            return f"{scheme}://{rest.rpartition('@')[2]}"
        return Path(rest.removeprefix("/").partition("?")[0])


MOST = 86_400


def read_cartd(environment: Mapping[str, str], config: Path | None, cpconfig: Path | None) -> CartdConfiguration:
    """Read what there is.

    Args:
        environment: the process's.
        config: the INI file; None: the one that CARTD_CONFIG names, else the one in one's home, if it is there.
        cpconfig: CherryPy's file, in the same way; CARTD_CPCONFIG.

    Raises:
        CartdMisconfigured: a file that is named is not there, or cannot be read.
    """
    in_file: dict[str, str] = {}
    unused = [name for name in UNUSED if environment.get(name)]
    path = _named(environment, config, "CARTD_CONFIG", CONFIG)
    for section, key, value in _options(path, configparser.ConfigParser()):
        name = f"{section}.{key}"
        if name not in USED:
            unused.append(name)
        elif value:
            in_file[name] = value
    in_environment = {
        key: environment[name] for key, names in USED.items() for name in reversed(names) if environment.get(name)
    }
    cherrypy: dict[str, object] = {}
    path = _named(environment, cpconfig, "CARTD_CPCONFIG", CPCONFIG)
    for section, key, value in _options(path, _CherryPy()):
        if section == "global" and key in CHERRYPY:
            cherrypy[key] = _literal(value)
        else:
            unused.append(f"[{section}] {key}")
    return CartdConfiguration(in_file, in_environment, cherrypy, tuple(unused))


def _named(environment: Mapping[str, str], given: Path | None, variable: str, usual: str) -> Path | None:
    """The file to read; None: there is none, and nobody says that there is."""
    named = given or (Path(environment[variable]) if environment.get(variable) else None)
    if named is not None:
        if not named.is_file():
            raise CartdMisconfigured(f"{named}: there is no such file")
        return named
    try:
        found = Path("~/.pacifica-cartd").expanduser() / usual
    except RuntimeError:  # nobody knows where home is
        return None
    return found if found.is_file() else None


class _CherryPy(configparser.ConfigParser):
    """CherryPy's file: keys are spelt as they are."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def _options(path: Path | None, parser: configparser.ConfigParser) -> Iterator[tuple[str, str, str]]:
    """Each option of a file, as section, key and value."""
    if path is None:
        return
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
        for section in parser.sections():
            for key in parser.options(section):
                yield section, key, parser.get(section, key, raw=f"{section}.{key}" not in USED)
    except OSError as error:
        raise CartdMisconfigured(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, configparser.Error) as error:
        raise CartdMisconfigured(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _literal(text: str) -> object:
    """CherryPy's values are Python's; what is none is taken as it stands."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
