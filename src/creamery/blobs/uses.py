"""When a blob was last read, and which ones are being read: in memory, for eviction.

Uses are not journal: they are written every few seconds, in one transaction, and a crash may lose seconds of them.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from creamery.blobs import tables
from creamery.clock import Clock, Micros
from creamery.contract import Digest
from creamery.database import Committer, DatabaseUnavailable, DiskFull, WritesBusy
from creamery.telemetry import log


class Uses:
    """Counts uses and leases. Every method may be called from any thread."""

    def __init__(self, committer: Committer, clock: Clock, every_seconds: float) -> None:
        self._committer = committer
        self._clock = clock
        self._every_seconds = every_seconds
        self._uses: dict[Digest, Micros] = {}
        self._leases: Counter[Digest] = Counter()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="blob-uses", daemon=True)

    def start(self) -> None:
        """Begin to write uses down every few seconds."""
        self._thread.start()

    def close(self) -> None:
        """Write down what is left, and end; uses of the last seconds are not worth an end that fails."""
        self._ending.set()
        self._thread.join()
        try:
            self.flush()
        except (WritesBusy, DiskFull, DatabaseUnavailable) as error:
            log.warning("blobs.uses_lost", blobs=len(self._uses), error=str(error))

    def note(self, digest: Digest) -> None:
        """It was read just now."""
        with self._lock:
            self._uses[digest] = self._clock.now()

    def flush(self) -> None:
        """Write down all uses since the last time, in one transaction; nothing is written where there are none.

        Raises:
            WritesBusy, DiskFull, DatabaseUnavailable: nothing is written, nothing is forgotten.
        """
        with self._lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            self._committer.write(lambda connection: tables.set_used(connection, uses))
        except BaseException:
            with self._lock:
                self._uses = uses | self._uses
            raise

    @contextlib.contextmanager
    def lease(self, digest: Digest) -> Iterator[None]:
        """While this lasts, the blob is not evicted by this process."""
        with self._lock:
            self._leases[digest] += 1
        try:
            yield
        finally:
            with self._lock:
                self._leases[digest] -= 1
                if not self._leases[digest]:
                    del self._leases[digest]

    def is_leased(self, digest: Digest) -> bool:
        """Is somebody reading it under a lease?"""
        return digest in self._leases

    def _run(self) -> None:
        while not self._ending.wait(self._every_seconds):
            try:
                self.flush()
            except (WritesBusy, DiskFull, DatabaseUnavailable) as error:
                log.warning("blobs.uses_wait", error=str(error))  # the next round takes them along
