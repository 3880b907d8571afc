"""All metrics in Prometheus's text format: those that rooms count, and those that are looked up when scraped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from creamery.database import DatabaseUnavailable
from creamery.door import Hub
from creamery.jobs import counts
from creamery.telemetry import log

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


class Metrics:
    """What `/metrics` says. Every sample has the label `process`: behind one address there may be several."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        telemetry = hub.telemetry
        ProcessCollector(namespace="creamery", registry=telemetry.registry)
        self._free = telemetry.gauge("disk_free_bytes", "Free on the disk of the data directory.")
        self._total = telemetry.gauge("disk_total_bytes", "Size of the disk of the data directory.")
        self._writable = telemetry.gauge("disk_writable_bytes", "Free above the reserve and what is promised.")
        self._reserved = telemetry.gauge("disk_reserved_bytes", "Promised to part files and not yet written.")
        self._jobs = telemetry.gauge("job_rows", "Rows of jobs by state.", ["state"])

    def exposition(self) -> bytes:
        """Look up and render; for a thread."""
        disk = shutil.disk_usage(self._hub.settings.data)
        self._free.set(disk.free)
        self._total.set(disk.total)
        self._writable.set(self._hub.blobs.free_bytes())
        self._reserved.set(self._hub.blobs.reserved_bytes())
        self._count_jobs()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Labelled(self._hub.telemetry.registry, str(os.getpid())))
        return generate_latest(registry)

    def _count_jobs(self) -> None:
        try:
            found = self._hub.database.read(counts)
        except DatabaseUnavailable as error:
            log.warning("operations.jobs_uncounted", error=str(error))
            self._jobs.clear()  # better none than old ones
            return
        self._jobs.clear()
        for state, number in found.items():
            self._jobs.labels(state).set(number)


class _Labelled(Collector):
    """The metrics of a registry, with the process on every sample."""

    def __init__(self, registry: CollectorRegistry, process: str) -> None:
        self._registry = registry
        self._process = process

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            labelled = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            for sample in metric.samples:
                if sample.name.endswith("_created"):
                    continue  # when a counter began: a third of the text, and the process's start says as much
                labelled.samples.append(sample._replace(labels={**sample.labels, "process": self._process}))
            yield labelled
