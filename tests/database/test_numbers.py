"""Numbers without gaps, from a row that stays locked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from creamery.clock import SystemClock
from creamery.database import Committer, Database, Generations, take_number
from creamery.database.generation import generation
from creamery.limits import Limits
from creamery.telemetry import Telemetry


def test_two_processes_that_begin_together_share_out_the_numbers(database_url: str) -> None:
    databases = [Database(database_url, Limits()) for _ in range(2)]
    committers = [Committer(one, Generations(one), Limits(), SystemClock(), Telemetry()) for one in databases]
    for committer in committers:
        committer.start()

    with ThreadPoolExecutor(8) as threads:
        numbers = list(
            threads.map(
                lambda turn: committers[turn % 2].write(lambda connection: take_number(connection, generation.c.index)),
                range(60),
            )
        )
    for committer, database in zip(committers, databases, strict=True):
        committer.close()
        database.close()

    assert sorted(numbers) == list(range(1, 61))
