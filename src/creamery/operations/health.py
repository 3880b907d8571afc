"""Can the hub do its work? Every check is bounded in time, so that the answer always comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from creamery.database.schema import find_schema
from creamery.door import Health, HealthCheck, Hub
from creamery.telemetry import log


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks found."""

    checks: tuple[Health, ...]

    @property
    def is_ready(self) -> bool:
        """Does nothing hinder the hub?"""
        return all(check.ok or not check.hinders for check in self.checks)


class Readiness:
    """Asks the hub's own checks and those of its doors."""

    def __init__(self, hub: Hub, doors_checks: Sequence[HealthCheck]) -> None:
        self._hub = hub
        self._checks: list[tuple[str, HealthCheck]] = [
            ("database", self._database),
            ("schema", self._schema),
            ("data", self._data),
            ("disk", self._disk),
            *((getattr(check, "__name__", "check"), check) for check in doors_checks),
        ]

    async def report(self) -> Report:
        """Ask them all at once."""
        return Report(tuple(await asyncio.gather(*(self._bounded(name, check) for name, check in self._checks))))

    async def _bounded(self, name: str, check: HealthCheck) -> Health:
        seconds = self._hub.settings.limits.check_seconds
        try:
            async with asyncio.timeout(seconds):
                return await check()
        except TimeoutError:
            return Health(name, ok=False, detail=f"no answer within {seconds:g} s")
        except Exception as error:  # noqa: BLE001 - a check that fails is what is wrong
            log.warning("operations.check_failed", check=name, error=str(error) or repr(error))
            return Health(name, ok=False, detail="it fails; the log says why")  # it may name hosts and paths

    async def _database(self) -> Health:
        await self._hub.pools.database.run(self._hub.database.check)
        return Health("database", ok=True, detail=f"{self._hub.database.dialect} answers")

    async def _schema(self) -> Health:
        schema = await self._hub.pools.database.run(find_schema, self._hub.database)
        detail = f"revision {schema.revision or 'none'}, this Creamery needs {schema.head}"
        return Health("schema", ok=schema.is_current, detail=detail)

    async def _data(self) -> Health:
        trouble = await self._hub.pools.disk.run(self._hub.blobs.what_hinders_writing)
        return Health("data", ok=trouble is None, detail=trouble or "the data directory can be written")

    async def _disk(self) -> Health:
        """Below the reserve nothing new is kept (507), and what is here is served all the same."""
        free = await self._hub.pools.disk.run(self._hub.blobs.free_bytes)
        return Health("disk", ok=free > 0, detail=f"{free} bytes free above the reserve", hinders=False)
