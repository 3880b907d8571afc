"""The rights of the index, by name."""

from __future__ import annotations

import re

from creamery.accounts import ScopeWord

READ = "index:read"
"""To read what the index has."""

UPLOAD = "index:upload"
"""To add files to a project."""

_SEPARATORS = re.compile(r"[-_.]+")


def _normalised(glob: str) -> str:
    """A pattern of names, as names are compared (PEP 503): `Acme_*` is `acme-*`."""
    return _SEPARATORS.sub("-", glob).lower()


SCOPES = {
    READ: ScopeWord("read the index, where not everybody may"),
    UPLOAD: ScopeWord("upload to projects of such names, such as acme-*", "PROJECT-GLOB", _normalised),
}
"""What tokens may be limited to here."""
