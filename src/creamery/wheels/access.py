"""The rights of built wheels."""

from __future__ import annotations

from creamery.accounts import ScopeWord

READ = "wheels:read"
"""To find and have built wheels."""

PUSH = "wheels:push"
"""To add wheels that one has built."""

SCOPES = {
    READ: ScopeWord("have built wheels, where not everybody may"),
    PUSH: ScopeWord("push wheels that its user has built"),
}
"""What tokens may be limited to here."""
