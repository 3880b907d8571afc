"""Is a wheel the one that a package was installed from? Its name does not say: indexes have others under the same."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

_NOT_AS_IT_WAS = re.compile(r"[^/]+\.dist-info/RECORD(\.jws|\.p7s)?|[^/]+\.data/.*", re.DOTALL)
"""What installers write anew, or put elsewhere (PEP 427)."""


def is_installed_from(record: Path, wheel: Path) -> bool:
    """Has each of a wheel's files been installed?

    Args:
        record: of the package, as its installer has written it: it has each file's digest.
        wheel: one that can be unpacked.
    """
    try:
        with record.open(encoding="utf-8", newline="") as file:
            installed = {row[0]: row[1] for row in csv.reader(file) if len(row) > 1}
    except (OSError, ValueError, csv.Error):
        return False
    return all(installed.get(name) == digest for name, digest in _digests(wheel))


def _digests(wheel: Path) -> Iterator[tuple[str, str]]:
    """As a RECORD has them."""
    with zipfile.ZipFile(wheel) as archive:
        for each in archive.infolist():
            if not each.is_dir() and not _NOT_AS_IT_WAS.fullmatch(each.filename):
                with archive.open(each) as content:
                    digest = hashlib.file_digest(content, "sha256").digest()  # type: ignore[arg-type] # it reads
                yield each.filename, f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
