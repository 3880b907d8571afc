"""The rights of the index, by name."""

from __future__ import annotations

from creamery.accounts import ScopeWord

READ = "index:read"
"""To read what the index has."""

SCOPES = {READ: ScopeWord("read the index, where not everybody may")}
"""What tokens may be limited to here."""
