"""A process of four gardeners: `python -m tests.doubles.gardening URL FIRST SPACE...`; what was done, and retries."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.doubles.batches import value
from tests.doubles.gardeners import Gardener, settled
from tests.doubles.grove import Grove

WRITERS = 4
DEEDS = 125


def main(url: str, first: int, space_ids: list[int]) -> None:
    grove = Grove(url)

    def garden(number: int) -> int:
        gardener = Gardener(number, space_ids)
        return sum(settled([gardener.do(grove)]) for _ in range(DEEDS))

    with ThreadPoolExecutor(WRITERS) as writers:
        done = sum(writers.map(garden, range(first, first + WRITERS)))
    print(done, value(grove.telemetry, "commit_retries"))
    grove.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), [int(each) for each in sys.argv[3:]])
