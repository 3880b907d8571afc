"""What an installation tells: where each package came from, what was built, and what that has saved."""

from __future__ import annotations

from creamery.client.errors import HubError
from creamery.client.places import place_words
from creamery.client.serving import known_wheels
from creamery.client.site_packages import direct_of, seen

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: this is waited for
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal

    from creamery.client.builds import Outcome
    from creamery.client.installing import Installed
    from creamery.client.launching import Launch
    from creamery.client.serving import KnownWheel

    From = Literal["index", "built wheel", "built here", "elsewhere"]

SCHEMA = 1

DRY = "--dry-run"
_NAMED = ("-e", "--editable", ".")
ADDED = {"installed", "reinstalled", "updated", "upgraded", "downgraded"}


def make_report(
    launch: Launch, installed: Installed, uv: str, arguments: Sequence[str], own: Mapping[str, str]
) -> dict[str, Any]:
    """All of it, for programs: `docs/reference/install-report.schema.json` describes each field."""
    outcomes = [] if launch.builds is None else list(launch.builds.outcomes)
    shared = [] if launch.sharing is None else list(launch.sharing.outcomes)
    troubles = {str(each.made.asked.key): each.trouble for each in shared if each.made.asked is not None}
    uploaded = [each.made.wheel.name for each in shared if each.made.asked is None and not each.trouble]
    origins = {(each.project, _version(each.version)): each for each in outcomes if each.kind != "failed"}
    changes = installed.changes or []
    added = [(each.name, each.version) for each in changes if each.action in ADDED]
    listed, direct, is_told = (
        ({}, frozenset(), True) if installed.fell_back else _origins(launch, added, uv, arguments, own)
    )
    packages: list[dict[str, Any]] = []
    for change in changes:
        name = change.name  # normalised, as uv writes all names
        place = (name, _version(change.version)) if origins or listed else ("", "")
        outcome, known = origins.get(place), listed.get(place)
        came: From = "elsewhere" if installed.fell_back or name in direct else "index"
        seconds = None
        if outcome is not None:
            came, seconds = "built here" if outcome.kind == "built" else "built wheel", outcome.seconds
        elif known is not None:
            came, seconds = "built wheel", known.seconds
        is_added = change.action in ADDED or change.action.startswith("would")
        packages.append(
            {
                "name": name,
                "version": change.version,
                "action": change.action,
                "from": came if is_added else None,
                "build_seconds": seconds,
            }
        )
    saved = sum(p["build_seconds"] or 0 for p in packages if p["from"] == "built wheel")
    if DRY in arguments:
        saved = 0
    elif installed.changes is None:
        saved = sum(each.seconds for each in outcomes if each.kind == "found")
    return {
        "schema": SCHEMA,
        "hub": None if launch.wish.address is None else str(launch.wish.address),
        "code": installed.code,
        "seconds": round(installed.seconds, 3),
        "fell_back": installed.fell_back,
        "packages": None if installed.changes is None else packages,
        "origins_known": is_told,
        "builds": _builds(outcomes, troubles),
        "uploaded": uploaded,
        "saved_seconds": round(saved, 3),
    }


def _builds(outcomes: Sequence[Outcome], troubles: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": each.project,
            "version": each.version,
            "outcome": each.kind,
            "key": each.key,
            "filename": each.filename or None,
            "seconds": round(each.seconds, 3),
            "reason": each.reason or None,
            "shared": each.key in troubles and not troubles[each.key],
            "not_shared": troubles.get(each.key) or None,
        }
        for each in outcomes
    ]


def summary(report: Mapping[str, Any]) -> str:
    """The same in one line, for people; empty: there is nothing to tell."""
    packages, builds = report["packages"], report["builds"]
    parts = []
    if packages is not None:
        added = [package for package in packages if package["from"] is not None]
        wheels = sum(package["from"] == "built wheel" for package in added)
        here = [package for package in added if package["from"] == "built here"]
        elsewhere = sum(package["from"] == "elsewhere" for package in added)
        index = len(added) - wheels - len(here) - elsewhere
        total = len(added)
    else:
        wheels = sum(build["outcome"] == "found" for build in builds)
        here = [build for build in builds if build["outcome"] == "built"]
        index = elsewhere = total = 0
    if index:
        parts.append(f"{index} from the index" + ("" if report["origins_known"] else " (or built by others)"))
    if elsewhere:
        parts.append(f"{elsewhere} from elsewhere")
    if wheels:
        parts.append(f"{wheels} built by others")
    if here:
        names = {package["name"] for package in here}  # what was built to build others is no package of this
        built = [build for build in builds if build["outcome"] == "built" and build["name"] in names]
        took = sum(build["seconds"] for build in built)
        shared = sum(build["shared"] for build in built)
        parts.append(f"{len(here)} built here in {took:.1f} s" + (f", {shared} of them shared" if shared else ""))
    if report["uploaded"]:
        parts.append(f"{len(report['uploaded'])} of the index's uploaded")
    if not parts:
        return ""
    begin = "" if packages is None else f"{total} package{'' if total == 1 else 's'}: "
    saved = report["saved_seconds"]
    return begin + ", ".join(parts) + (f"; {saved:.1f} s saved" if saved else "") + "."


def details(report: Mapping[str, Any]) -> list[str]:
    """A line for each package that comes from somewhere, and for each build."""
    found = []
    for package in report["packages"] or ():
        if package["from"] is not None:
            took = f", {package['build_seconds']:.1f} s" if package["build_seconds"] else ""
            found.append(f"{package['name']} {package['version']}: {package['from']}{took}")
    for build in report["builds"]:
        shared = "shared" if build["shared"] else build["not_shared"] or build["reason"] or "not shared"
        state = "found" if build["outcome"] == "found" else f"{build['outcome']}, {shared}"
        found.append(f"build {build['key'][:12]} of {build['name']} {build['version']}: {state}")
    return found


def _origins(
    launch: Launch, added: list[tuple[str, str]], uv: str, arguments: Sequence[str], own: Mapping[str, str]
) -> tuple[Mapping[tuple[str, str], KnownWheel], frozenset[str], bool]:
    """Built wheels that the index lists, names of what was asked for by its address, and whether the hub told."""
    is_told = True
    try:
        known = known_wheels(launch.wish, added) if added else {}
    except HubError:  # it has gone since; the packages are here, and where they came from is of less interest
        known, is_told = {}, False
    if not known and DRY not in arguments and (folder := seen(arguments, own)) is not None:
        return {}, direct_of(folder, [name for name, _ in added]), is_told
    words = set(arguments).difference(place_words(arguments))
    if not known and not any(word in _NAMED or "/" in word or "\\" in word for word in words):
        return {}, frozenset(), is_told
    from creamery.client.origins import fitting, found_there  # noqa: PLC0415 - see _version

    if DRY in arguments:
        return fitting(known, uv, arguments, own), frozenset(), is_told
    return *found_there(known, added, uv, arguments, own), is_told


def _version(text: str) -> str:
    from packaging.utils import canonicalize_version  # noqa: PLC0415 - 6 ms, where something was built

    return canonicalize_version(text)
