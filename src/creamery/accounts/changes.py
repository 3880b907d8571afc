"""What every change of rights has in common: who makes it, and that every process hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from creamery.database import announce, bump
from creamery.journal import By, record_by

DOOR = "accounts"
CHANGED = "accounts.changed"
"""What the committer announces when a right has changed."""


def rights_changed(connection: Connection, action: str, subject: str, by: By, detail: Mapping[str, Any]) -> None:
    """Write it down, and let every process believe nothing of what it remembers."""
    bump(connection, "rights")
    announce(connection, CHANGED)
    record_by(connection, DOOR, action, subject, by, detail)
