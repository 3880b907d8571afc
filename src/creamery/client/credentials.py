"""Who asks: a token or a password, from wherever its owner keeps it.

The first of these that there is counts: the file that a flag names, the environment, the hub's address, a netrc file,
and, where the address names a user, the system's keyring.
What is found is only ever sent to the hub that it was found for, and shown nowhere: not in a text, not in a `repr`.
Reading the environment is left to the command, which hands in what it found.
"""

from __future__ import annotations

import os

from creamery.client.errors import UnusableInput

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from pathlib import Path

    from creamery.client.address import HubAddress, User

LONGEST = 4_096
"""Characters of a token. Whatever is longer is another file than was meant."""

_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-")  # RFC 6750 section 2.1


class Credentials:
    """What a request proves with who asks.

    Attributes:
        header: the value of `Authorization`.
        place: where it was found, for people.
    """

    __slots__ = ("header", "place")

    def __init__(self, header: str, place: str) -> None:
        self.header = header
        self.place = place

    def __repr__(self) -> str:
        return f"Credentials(place={self.place!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and (self.header, self.place) == (other.header, other.place)

    def __hash__(self) -> int:
        return hash((self.header, self.place))

    @classmethod
    def of_token(cls, text: str, place: str) -> Credentials:
        """A token, as it was shown when it was made.

        Raises:
            UnusableInput: it is none.
        """
        token = text.strip()
        if not token:
            raise UnusableInput(f"{place} holds no token.", "Put the token there, or unset it.")
        if len(token) > LONGEST or not _TOKEN.issuperset(token):
            raise UnusableInput(f"What {place} holds is no token.", "A token is one word of letters, digits and '_'.")
        return cls(f"Bearer {token}", place)

    @classmethod
    def of_password(cls, name: str, password: str, place: str) -> Credentials:
        """A name and a password (RFC 7617), or a token in the password's place.

        Raises:
            UnusableInput: they cannot be sent.
        """
        if ":" in name or any(map(_is_hidden, name + password)):
            raise UnusableInput(f"The name or password in {place} cannot be sent.", "Use a token instead.")
        import base64  # noqa: PLC0415 - where there is a password

        pair = base64.b64encode(f"{name}:{password}".encode()).decode()
        return cls(f"Basic {pair}", place)

    @property
    def pair(self) -> tuple[str, str]:
        """The same as a name and a password, for programs that take nothing else."""
        kind, _, value = self.header.partition(" ")
        if kind == "Bearer":
            return "__token__", value
        import base64  # noqa: PLC0415

        name, _, password = base64.b64decode(value).decode().partition(":")
        return name, password


def _is_hidden(character: str) -> bool:
    """Does it end a header, or has UTF-8 none such?"""
    return character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff"


class Sources:
    """Where credentials may be.

    Attributes:
        token_file: the file that a flag names; its first line is a token.
        token: of the environment.
        netrc_file: the file that the environment names; None: `.netrc` in one's home.
    """

    __slots__ = ("netrc_file", "token", "token_file")

    def __init__(
        self, token_file: Path | str | None = None, token: str | None = None, netrc_file: Path | str | None = None
    ) -> None:
        self.token_file = token_file
        self.token = token
        self.netrc_file = netrc_file

    def __repr__(self) -> str:
        return f"Sources(token_file={self.token_file!r}, netrc_file={self.netrc_file!r})"


def find_credentials(address: HubAddress, user: User | None, sources: Sources) -> Credentials | None:
    """What there is for this hub; None: nothing.

    Args:
        address: the hub's.
        user: who its address says asks.
        sources: where else to look.

    Raises:
        UnusableInput: what was named is not there, or is no credential.
    """
    if sources.token_file is not None:
        return Credentials.of_token(_first_line(sources.token_file), str(sources.token_file))
    if sources.token is not None:
        return Credentials.of_token(sources.token, "CREAMERY_TOKEN")
    if user is not None and user.password is not None:
        return Credentials.of_password(user.name, user.password, "the hub's address")
    found = _of_netrc(address.host, None if user is None else user.name, sources.netrc_file)
    if found is None and user is not None:
        from creamery.client.keyring import password_of  # noqa: PLC0415 - where one is named

        password = password_of(address, user.name)
        return None if password is None else Credentials.of_password(user.name, password, "the keyring")
    return found


def _first_line(path: Path | str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib is not imported
            return file.readline(LONGEST + 2)
    except OSError as error:
        raise UnusableInput(f"The token file {path} cannot be read: {error.strerror}.") from error


def _of_netrc(host: str, name: str | None, named: Path | str | None) -> Credentials | None:
    path = named or _at_home()
    if path is None:
        return None
    import netrc  # noqa: PLC0415 - where there is a file

    from creamery.client.netrc_file import login_of  # noqa: PLC0415

    try:
        found = login_of(path, host, name)
    except FileNotFoundError as error:
        if named is None:
            return None
        raise UnusableInput(f"NETRC names {named}, and there is no such file.") from error
    except OSError as error:
        raise UnusableInput(f"{path} cannot be read: {error.strerror}.") from error
    except (netrc.NetrcParseError, UnicodeDecodeError) as error:  # their texts may quote a password
        line = getattr(error, "lineno", None)
        place = f"{path}, line {line}" if line else str(path)
        raise UnusableInput(f"{place}: this is not how a netrc file is written.") from None
    return None if found is None else Credentials.of_password(*found, str(path))


def _at_home() -> str | None:
    path = os.path.expanduser("~/.netrc")  # noqa: PTH111
    return path if os.path.exists(path) else None  # noqa: PTH110
