"""What a server says once it listens: where, what to paste, where data lies, what to do first."""

from __future__ import annotations

import platform
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from creamery import __version__
from creamery.cart_sections import Archive
from creamery.sections import address_of
from creamery.settings import Settings

Compose = Callable[[Settings, int | None, str | None], list[str]]
"""Lines, from the settings, the port where it listens (None: a Unix socket), and the link for the first administrator
(None: there is one)."""


def of_hub(settings: Settings, port: int | None, first: str | None) -> list[str]:
    """Of a whole hub."""
    own = _own_address(settings, port)
    lines = [f"Creamery {__version__} listens on {own or f'unix:{settings.listen.uds}'}"]
    address = settings.public_url.rstrip("/") if settings.public_url is not None else own
    if address is not None:
        lines.append(f"  install through it:  pip install --index-url {address}/simple/{_trust(address)} PACKAGE")
    lines.append(f"  data:                {_place(settings)}")
    if first is not None:
        lines += _how_to_become_first(settings, address, first)
    return lines


def of_carts(settings: Settings, port: int | None, first: str | None) -> list[str]:
    """Of a server of carts alone."""
    lines = [f"Creamery {__version__} serves carts on {_own_address(settings, port)}"]
    lines.append(f"  data:     {_place(settings)}")
    lines += [f"  archive:  {_source(archive)}" for archive in settings.carts.archives]
    is_alone = is_loopback(settings.listen.host) and not settings.trusted_proxies
    if settings.carts.anonymous == "off" or (settings.carts.anonymous == "auto" and not is_alone):
        lines.append("  carts are for users alone; for whoever reaches it: CREAMERY_CARTS_ANONYMOUS=on")
        if first is not None:
            lines += _how_to_become_first(settings, None, first)
    return lines


def of_folder(path: Path, settings: Settings, port: int | None, _: str | None) -> list[str]:
    """Of a server of a folder's wheels; `path`: the folder."""
    address = _own_address(settings, port)
    lines = [f"Creamery {__version__} serves built wheels on {address}"]
    lines.append(f"  wheels:   {path}")
    lines.append(f"  data:     {_place(settings)}")
    lines.append(f"  install:  curd install -c {address} -u PACKAGE")
    if settings.wheels.htpasswd is None:
        lines.append("Warning: whoever reaches this address reads all wheels and adds to them; -u FILE wants passwords")
    return lines


def is_sqlite(settings: Settings) -> bool:
    """Is the database a file of this machine?"""
    return settings.resolved_database_url().startswith("sqlite")


def is_loopback(host: str) -> bool:
    """Does nobody else reach it?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _place(settings: Settings) -> str:
    return f"{settings.data.resolve()} ({'SQLite' if is_sqlite(settings) else 'a database server'})"


def _source(archive: Archive) -> str:
    address = address_of(archive.url or "")
    return str(archive.path if address is None else address.with_user(None))


def _how_to_become_first(settings: Settings, address: str | None, link: str) -> list[str]:
    """By a command here, or from anywhere by whoever reads this, for half an hour."""
    data = "" if settings.data == Settings.model_fields["data"].default else f" --data {settings.data}"
    config = "" if settings.config is None else f" --config {settings.config}"
    elsewhere = "" if settings.config or not settings.database_url else " (with this hub's environment)"
    lines = [f"  first administrator: creamery user add NAME --admin{data}{config}{elsewhere}"]
    if address is not None:
        minutes = settings.limits.first_seconds / 60
        body = f'{{"link": "{link}", "name": "NAME", "password": "PASSWORD"}}'
        request = f"curl -H Content-Type:application/json -d '{body}' {address}/api/v1/first"
        lines.append(f"  or within {minutes:.0f} min:    {request}")
    return lines


def _own_address(settings: Settings, port: int | None) -> str | None:
    if port is None:
        return None
    host = settings.listen.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared with
        host = platform.node()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _trust(address: str) -> str:
    """pip refuses plain http from anywhere but this machine unless it is told to trust the host."""
    if address.startswith("https://"):
        return ""
    host = address.removeprefix("http://").partition("/")[0]
    name = host.rpartition(":")[0] or host
    return "" if is_loopback(name.strip("[]")) else f" --trusted-host {host}"
