"""How much an archive may inflate to.

The ratio is PyPI's: 50 to 1 beyond the first 64 MiB. Wheels of numpy or torch inflate to three or four times their
size; what compresses 50 to 1 in such amounts is padding, and a packager can leave it out.
"""

from __future__ import annotations

from creamery.index.archives.refusal import BadArchive
from creamery.limits import Limits


def check_inflated(inflated: int, compressed: int, limits: Limits) -> None:
    """See that an archive, or what was read of it, is no bomb.

    Raises:
        BadArchive: it inflates to too much, in bytes or for its size.
    """
    if inflated > limits.archive_bytes:
        raise BadArchive(
            f"The archive inflates to {inflated} bytes or more; limits.archive_bytes are {limits.archive_bytes}. Split"
            " the distribution, or have the hub's operator raise the limit."
        )
    if inflated > limits.archive_ratio_bytes + limits.archive_ratio * compressed:
        raise BadArchive(
            f"The archive inflates to {inflated} bytes from {compressed}, as a bomb does: beyond"
            f" {limits.archive_ratio_bytes} bytes it may be {limits.archive_ratio} to 1 (limits.archive_ratio). Leave"
            " out what is padding, or have the hub's operator raise the limit."
        )


def check_members(count: int, limits: Limits) -> None:
    """See that an archive has not more members than may be looked at.

    Raises:
        BadArchive: it has.
    """
    if count > limits.archive_members:
        raise BadArchive(
            f"The archive has {count} members or more; limits.archive_members are {limits.archive_members}. Split the"
            " distribution, or have the hub's operator raise the limit."
        )


def check_names(count: int, limits: Limits) -> None:
    """See that the names of an archive's members do not fill the memory.

    Raises:
        BadArchive: they do.
    """
    if count > limits.archive_directory_bytes:
        raise BadArchive(
            f"The names of the archive's members take {count} bytes or more; limits.archive_directory_bytes are"
            f" {limits.archive_directory_bytes}. Give its files and folders shorter names."
        )
