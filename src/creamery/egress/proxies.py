"""Which proxy a request goes through."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from yarl import URL

from creamery.egress.addresses import parse_url


@dataclass(frozen=True)
class Proxy:
    """A proxy, and what it is told about who we are."""

    url: URL
    headers: dict[str, str] = field(repr=False)

    @property
    def place(self) -> str:
        """`host:port`, to be shown."""
        return f"{self.url.host_subcomponent}:{self.url.port}"


class Proxies:
    """The proxies of the settings, and the hosts that are reached without one."""

    def __init__(self, https_proxy: str | None, http_proxy: str | None, no_proxy: Iterable[str]) -> None:
        """Raises ValueError for a proxy that is neither http nor https."""
        self._by_scheme = {"https": _parse("https_proxy", https_proxy), "http": _parse("http_proxy", http_proxy)}
        self._direct = [entry.strip().lower() for entry in no_proxy if entry.strip()]

    def __call__(self, address: URL) -> Proxy | None:
        """The proxy for an address; None: go directly."""
        proxy = self._by_scheme.get(address.scheme)
        if proxy is None or any(_covers(entry, address) for entry in self._direct):
            return None
        return proxy


def _parse(name: str, text: str | None) -> Proxy | None:
    if not text:
        return None
    url = parse_url(text if "://" in text else f"http://{text}")
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ValueError(f"egress.{name}: a proxy's address begins with http:// or https:// and names a host")
    headers = {}
    if url.user is not None or url.password is not None:
        pair = f"{url.user or ''}:{url.password or ''}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(url.with_user(None), headers)


def _covers(entry: str, address: URL) -> bool:
    """Does an entry of NO_PROXY name this host? `*`, `host` and its subdomains, `host:port`, `10.0.0.0/8`."""
    host = (address.raw_host or "").rstrip(".")
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return ip_address(host) in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, separator, port = entry.rpartition(":")
    if separator and port.isdigit() and (":" not in name or name.startswith("[")):
        if int(port) != address.port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").lstrip(".").rstrip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))
