"""What whoever calls `creamery install` or `creamery run` wants. Imports next to nothing: uv is to start at once."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start, and so do dataclasses
if TYPE_CHECKING:
    from creamery.client.address import HubAddress
    from creamery.client.credentials import Credentials


class Wish:
    """How to install.

    Attributes:
        address: the hub's; None: there is none, and what is configured otherwise is asked.
        credentials: of whoever asks it; None: nobody's.
        may_fall_back: if the hub is away, install from what is configured otherwise, whatever is asked for.
        must_have: what the hub has not got is not installed.
        shares: what is built here is sent to the hub.
        quiet: say nothing but what went wrong.
        is_verbose: say of each package where it came from.
        as_json: the report goes to standard output.
        report: a file that it goes to; empty: none.
        declared: variables that count in keys beside those that always do.
    """

    def __init__(  # noqa: PLR0913 - what one may want; all by name
        self,
        address: HubAddress | None,
        credentials: Credentials | None,
        *,
        may_fall_back: bool = False,
        must_have: bool = False,
        shares: bool = False,
        quiet: bool = False,
        is_verbose: bool = False,
        as_json: bool = False,
        report: str = "",
        declared: tuple[str, ...] = (),
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.may_fall_back = may_fall_back
        self.must_have = must_have
        self.shares = shares
        self.quiet = quiet
        self.is_verbose = is_verbose
        self.as_json = as_json
        self.report = report
        self.declared = declared
