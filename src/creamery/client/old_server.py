"""An old curd-server, over the wire as Curdling's client had it (`/api/`, `/p/`).

It calls its JSON text/html and says no more of an error than its number. Whoever answers so is no hub; what it says is
checked here instead. Files are fetched from wherever it says that they are, with its credentials at its own address
alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from creamery.client.address import HubAddress, parse_address, without_user
from creamery.client.caches import Offer
from creamery.client.credentials import Credentials, Sources, find_credentials
from creamery.client.errors import HubError, NotAHub, Refused, UnusableInput
from creamery.client.form import Form
from creamery.client.hub_cache import write_verified
from creamery.client.wire import MOST_REDIRECTS, Answer, Hub, Patience

FETCHING = Patience(connect_seconds=2.0, silent_seconds=10.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PHRASES = {
    401: "it wants another name and password: put them into its address, or into ~/.netrc",
    403: "you may not do that there",
    413: "it is too large for it",
}


class OldServer(Hub):
    """Asked below its own address, without a prefix."""

    def __init__(
        self, address: HubAddress, credentials: Credentials | None, *, patience: Patience, **more: Any
    ) -> None:
        super().__init__(address, credentials, patience=patience, prefix="", **more)

    def names(self) -> list[Any]:
        """The names of all its packages; it is an old server that has such a list.

        Raises:
            HubError: nobody answers, or as somebody else.
        """
        found = self._ask("GET", "/api/", None)
        if not isinstance(found, list):
            raise self._is_none("a list of names")
        return found

    def releases(self, project: str) -> list[Any]:
        """What it has of a package; nothing, where it does not know it."""
        try:
            found = self.get("api", project)
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return []
            raise
        if not isinstance(found, list):
            raise self._is_none("a list of files")
        return found

    def put_wheel(self, wheel: Path, sent: Any) -> None:
        """PUT it as Curdling does: one part, which is called as the file is."""
        self.put_form("p", wheel.name, form=Form({}, (wheel.name, wheel)), sent=sent)

    def understood(self, answer: Answer) -> Any:
        """Its JSON, whatever it calls it; None: an answer without any, where a file was taken."""
        if answer.status >= HTTPStatus.BAD_REQUEST:
            said = _PHRASES.get(answer.status, "it cannot do that")
            raise Refused(answer.status, "", f"{self.address} answers {answer.status}: {said}.")
        if answer.status != HTTPStatus.OK:
            raise self._is_none(f"{answer.status}")
        found = answer.parsed()
        if found is None:
            raise self._is_none("no JSON")
        return found

    def _is_none(self, said: str) -> NotAHub:
        return NotAHub(f"{self.address} does not answer as a curd-server does ({said}).")


class Places:
    """Where files may be fetched from as somebody: at each address its own credentials, elsewhere none."""

    def __init__(self, known: list[tuple[HubAddress, Credentials]], others: Sources | None = None) -> None:
        """`others`: where credentials of further addresses may be; None: nobody's are sent there."""
        self._known = {address.origin: credentials for address, credentials in reversed(known)}
        self._others = others

    def fetch(self, offer: Offer, into: Path, most: int) -> None:
        """Write what lies at `offer.place`, wherever that sends to.

        Raises:
            HubError: it is not to be had, has other bytes, or more than `most`.
        """
        base, url = "", offer.place
        for _ in range(MOST_REDIRECTS + 1):
            try:
                url = urljoin(base, url)
                opened = self._opened(url)
            except (ValueError, UnusableInput) as error:
                raise HubError(f"{offer.filename} lies where nobody can ask for it: {without_user(url)!r}.") from error
            with opened as answer:
                if answer.status not in _REDIRECTS:
                    write_verified(answer, offer, into, most)
                    return
                base, url = url, answer.headers.get("Location", "")
        raise HubError(f"Whoever has {offer.filename} sends from one address to the next.")

    def _opened(self, url: str) -> AbstractContextManager[Any]:
        parts = urlsplit(url)
        address, _ = parse_address(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
        credentials = self._known.get(address.origin)
        if credentials is None and self._others is not None:
            credentials = find_credentials(address, None, self._others)
        path = [unquote(segment) for segment in parts.path.split("/")[1:]]
        query = parse_qsl(parts.query, keep_blank_values=True)
        server = OldServer(address, credentials, patience=FETCHING)
        if not path or "" in path:
            raise UnusableInput(f"No file can lie at {address}{parts.path}.")
        return server.stream("GET", *path, query=query, headers={"Accept": "*/*"})
