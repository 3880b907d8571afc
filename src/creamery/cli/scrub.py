"""`creamery scrub`: read everything that is stored, beside a hub or without one.

The exit codes: 0 all that was read is right, 1 something is not, 2 it could not be read, 10 not a store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from creamery.cli.opening import carry_out, opened, writing
from creamery.cli.options import opens_the_data, settings_from
from creamery.cli.progress import Bar

if TYPE_CHECKING:
    from creamery.settings import Settings

CLEAN, FINDINGS = 0, 1


class _Seconds(click.ParamType[float]):
    """A span: seconds, or minutes, hours and days with a letter behind."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r} is no span; write 90, 90s, 30m, 2h or 1d", param, ctx)
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]


@click.command(name="scrub")
@opens_the_data
@click.option("--max-duration", type=_Seconds(), help="Stop after so long: 90, 30m, 2h; the next run goes on.")
@click.option("--anew", is_flag=True, help="Begin a new pass, whatever the present one has yet to read.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(data: Path | None, config: Path | None, *, max_duration: float | None, anew: bool, as_json: bool) -> None:
    """Read every blob and compare it with its SHA-256, in random order, while the hub runs or not.

    A hub does so by itself, a pass a month; this goes on with the present pass, or begins one where all is read. What
    is wrong moves to `quarantine/` in the data directory and is served no more. Reads limits.scrub_bytes a second.

    Ends with 0 when all that was read is right, 1 when something is not, 2 when it could not be read, 10 when the
    directory is no hub's.
    """
    from creamery.blobs import NotDurable  # noqa: PLC0415 - the help of `scrub` costs click alone

    def work() -> tuple[int, dict[str, Any]]:
        return _scrub(settings_from(config, data=data), max_duration, anew=anew, quiet=as_json)

    carry_out(work, _tell, "it could not be read to the end", as_json=as_json, like_disk=(NotDurable,))


def _scrub(settings: Settings, max_duration: float | None, *, anew: bool, quiet: bool) -> tuple[int, dict[str, Any]]:
    from creamery.blobs import Scrub  # noqa: PLC0415
    from creamery.clock import SECOND, SystemClock  # noqa: PLC0415
    from creamery.hub import offline_holders  # noqa: PLC0415
    from creamery.telemetry import Telemetry  # noqa: PLC0415

    clock = SystemClock()
    with opened(settings, clock) as hub, writing(hub.database, settings, clock) as committer:
        scrub = Scrub(settings.data, hub.database, committer, settings.limits, clock, Telemetry())
        left = scrub.left()
        if anew or not left.blobs:
            left = scrub.begin_pass()
        with Bar("reading", quiet=quiet) as bar:
            bar.begin(left.bytes)
            findings = list(scrub.run(offline_holders(), max_duration, progress=bar.advance))
        left = scrub.left()
    report = {
        "pass_began": datetime.fromtimestamp((left.began or 0) / SECOND, UTC).isoformat(timespec="seconds"),
        "blobs": scrub.blobs,
        "bytes": scrub.bytes,
        "left_blobs": left.blobs,
        "left_bytes": left.bytes,
        "findings": [asdict(finding) for finding in findings],
    }
    return (FINDINGS if findings else CLEAN), report


def _tell(report: Mapping[str, Any]) -> None:
    click.echo(f"Read {report['blobs']} blobs of {report['bytes']} bytes.")
    for finding in report["findings"]:
        kept = " (kept: look for a backup)" if finding["kept"] else ""
        click.echo(f"  {finding['kind']}: {finding['subject']}: {finding['detail']}{kept}")
    if report["left_blobs"]:
        click.echo(
            f"The pass that began {report['pass_began']} has {report['left_blobs']} blobs of {report['left_bytes']}"
            " bytes before it; the hub, or the next `creamery scrub`, goes on."
        )
    else:
        click.echo(f"The pass that began {report['pass_began']} is done.")
