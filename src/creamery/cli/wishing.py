"""What the words of a command mean, with what the environment says: which hub, as whom, and how."""

from __future__ import annotations

import sys

from creamery.cli.words import DEFAULT_HUB, holds_a_password

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Mapping

    from creamery.cli.words import Words
    from creamery.client.wishes import Wish


def wish_of(command: str, said: Words) -> Wish:
    """What the words about the hub mean, with what the environment says.

    Raises:
        HubError: an address or a credential cannot be used.
    """
    from creamery.client.address import parse_address  # noqa: PLC0415
    from creamery.client.credentials import Sources, find_credentials  # noqa: PLC0415
    from creamery.client.launching import configured  # noqa: PLC0415
    from creamery.client.wishes import Wish  # noqa: PLC0415

    environ = configured()
    url = said.ours.get("hub", environ.get("CREAMERY_HUB") or DEFAULT_HUB)
    if holds_a_password(said.ours.get("hub", "")):
        warn("everybody on this machine can read a password on the command line (`ps`); CREAMERY_HUB may hold it")
    address, user = parse_address(url)
    sources = Sources(said.ours.get("token_file"), environ.get("CREAMERY_TOKEN"), environ.get("NETRC"))
    return Wish(
        address=address,
        credentials=find_credentials(address, user, sources),
        may_fall_back=said.has("allow_fallback"),
        must_have=said.has("require_cache"),
        shares=said.has("upload"),
        quiet=command == "install" and is_quiet(said),
        is_verbose=command == "install" and not {"-v", "--verbose", "-vv"}.isdisjoint(said.rest),
        as_json=said.has("as_json"),
        report=said.ours.get("report", ""),
        declared=declared_in(environ),
    )


def is_quiet(said: Words) -> bool:
    """Is uv told to be?"""
    return not {"-q", "--quiet", "-qq"}.isdisjoint(said.rest)


def declared_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that count in keys beside those that always do."""
    names = environ.get("CREAMERY_BUILD_ENVIRONMENT", "").split(",")
    return tuple(filter(None, (name.strip() for name in names)))


def warn(sentence: str) -> None:
    """For people, on standard error; one line."""
    sys.stderr.write(f"Warning: {sentence}\n")
    sys.stderr.flush()
