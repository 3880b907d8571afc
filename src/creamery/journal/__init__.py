"""What happened, in order: the audit, and the feed that mirrors and pages follow.

The journal has what changed, who did it and from where. How often something was used is not in it.
"""

from creamery.journal.tables import By, Entry, latest, record, record_by, since

__all__ = ["By", "Entry", "latest", "record", "record_by", "since"]
