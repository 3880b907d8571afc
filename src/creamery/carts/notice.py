"""That a cart has come to an end is told by a job, which is written in the transaction that ends it."""

from __future__ import annotations

from sqlalchemy import Connection

from creamery.carts.tables import Cart
from creamery.clock import Micros
from creamery.jobs import enqueue

NOTIFY_JOB = "carts.notify"


def tell(connection: Connection, cart: Cart, now: Micros) -> None:
    """Where somebody wants to hear of it."""
    if cart.webhook is not None:
        enqueue(connection, NOTIFY_JOB, {"cart": cart.id}, now=now, key=f"{NOTIFY_JOB}:{cart.id}")
