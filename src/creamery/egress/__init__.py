"""The only way out: every request that the hub makes goes through `Egress`.

It decides which addresses may be reached, keeps credentials with the origin they were configured for, follows
redirects itself, and gives every wait a deadline and every body a limit. See docs/explanation/egress.md.
"""

from creamery.egress.addresses import Lookup, Origin
from creamery.egress.client import Answer, Egress
from creamery.egress.errors import (
    BadAnswer,
    EgressError,
    ForbiddenAddress,
    TooLarge,
    TooManyRedirects,
    TooSlow,
    Unreachable,
    public_reason,
)
from creamery.egress.pace import MinimumRate

__all__ = [
    "Answer",
    "BadAnswer",
    "Egress",
    "EgressError",
    "ForbiddenAddress",
    "Lookup",
    "MinimumRate",
    "Origin",
    "TooLarge",
    "TooManyRedirects",
    "TooSlow",
    "Unreachable",
    "public_reason",
]
