"""The rights of built wheels."""

from __future__ import annotations

from creamery.accounts import ScopeWord

READ = "wheels:read"
"""To find and have built wheels."""

PUSH = "wheels:push"
"""To add wheels that one has built."""

MANAGE = "wheels:manage"
"""To take anybody's wheels away, and to say which ones stay."""

SCOPES = {
    READ: ScopeWord("have built wheels, where not everybody may"),
    PUSH: ScopeWord("push wheels that its user has built"),
    MANAGE: ScopeWord("pin built wheels, and take them away, where its user is an administrator"),
}
"""What tokens may be limited to here."""
