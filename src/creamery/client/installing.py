"""`uv pip install` through a hub.

uv is started at once, with the hub as its one index; whether the hub is there is looked at meanwhile. If it is not, uv
may still end by itself, for what it needs may lie here; else it is stopped while it waits, and what may come from
elsewhere does: what is pinned by hashes, or everything, where whoever calls says so; never a name that the hub has ever
called its own. If the hub is there and its built wheels are not what it says, they are done without.
"""

from __future__ import annotations

import sys
import threading
import time

from creamery.client.finding_uv import uv_version
from creamery.client.launching import Ended, Launch, refuse_unless_safe

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from creamery.client.errors import HubError

JSON_SINCE = (0, 13)
"""uv says what it has changed from then on."""
PROBE_SECONDS = 5.0
"""Longer than a look at the hub takes."""
LATER_SECONDS = 0.02
"""After uv: one that finds everything installed has ended by then, and had its processor to itself."""
TURN_SECONDS = 0.0005
"""How long a thread that imports may keep the one waiting that uv has ended for."""
ALONE_SECONDS = 1.0
"""That uv has for what needs no hub: whoever is stopped while they install leave half of it behind."""
ANSWERED_SECONDS = 10.0
"""Where somebody answers, uv ends soon, well or badly."""
_ELSEWHERE = " It is not asked; what you have configured is."
_FORMAT = ("--output-format", "json")


class Change:
    """What uv did to one package: `installed`, `uninstalled`, `reinstalled`, or as uv calls it."""

    __slots__ = ("action", "name", "version")

    def __init__(self, name: str, version: str, action: str) -> None:
        self.name = name
        self.version = version
        self.action = action


class Installed:
    """How an installation ended.

    Attributes:
        code: uv's.
        seconds: that it took.
        changes: None: this uv does not say.
        fell_back: the hub was away, and what is configured otherwise was asked.
        was_interrupted: somebody has stopped it.
    """

    __slots__ = ("changes", "code", "fell_back", "seconds", "was_interrupted")

    def __init__(
        self,
        code: int,
        seconds: float,
        changes: list[Change] | None,
        *,
        fell_back: bool = False,
        was_interrupted: bool = False,
    ) -> None:
        self.code = code
        self.seconds = seconds
        self.changes = changes
        self.fell_back = fell_back
        self.was_interrupted = was_interrupted


class Watch:
    """A look at the hub while uv is at work.

    Attributes:
        away: why it cannot be installed through; None: it can, or nobody knows yet.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.away: HubError | None = None
        self.looked = threading.Event()

    def start(self) -> None:
        """In a thread of its own."""
        sys.setswitchinterval(TURN_SECONDS)
        threading.Thread(target=self._look, daemon=True, name="watch").start()

    def _look(self) -> None:
        time.sleep(LATER_SECONDS)
        from creamery.client.serving import why_away  # noqa: PLC0415 - while uv is at work

        is_served = False
        try:
            self.away = why_away(self.launch.wish, self.launch.say)
            if self.away is None:
                self.launch.serve()
                is_served = True
        finally:
            if not is_served:
                self.launch.close_broker()  # or builds would wait for an answer
            self.looked.set()
        if self.away is not None:
            from creamery.client.errors import HubUnreachable  # noqa: PLC0415

            self.launch.stop(ALONE_SECONDS if isinstance(self.away, HubUnreachable) else ANSWERED_SECONDS)
        import creamery.client.report  # noqa: F401, PLC0415 - it will be needed as soon as uv has ended


def install(
    launch: Launch, uv: str, arguments: Sequence[str], *, is_pinned: Callable[[], bool], own: Mapping[str, str]
) -> Installed:
    """Let uv install, and tell how it ended.

    Args:
        launch: of the hub.
        uv: the program.
        arguments: of `uv pip install`.
        is_pinned: is everything that is asked for pinned by its hash?
        own: this process's environment.

    Raises:
        HubError: the hub is away, and nothing may be had elsewhere; nothing was installed.
    """
    began = time.monotonic()
    watch = Watch(launch)
    tells = _tells(uv, arguments, own)
    command = [uv, "pip", "install", *(_FORMAT if tells else ()), *arguments]
    ended = launch.call(command, launch.variables(), keeps_output=tells, meanwhile=watch.start)
    away = _why_it_failed(watch, launch) if ended.code and not launch.interrupted else None
    if away is None and ended.code and not launch.interrupted and _is_for_built_wheels(launch, command):
        launch.say("The hub's built wheels cannot be had; what it has of them is built here.")
        ended = launch.call(command, launch.variables(page="i"), keeps_output=tells)
    if away is None:
        done = _installed(launch, ended, began, tells=tells)
        if done.changes or not tells:
            watch.looked.wait(PROBE_SECONDS)  # what the hub says of its names is remembered
        return done
    refuse_unless_safe(launch.wish, away, is_pinned=is_pinned())
    launch.say(away.sentence + _ELSEWHERE)
    return _elsewhere(launch, command, tells=tells, own=own, began=began)


def run(launch: Launch, command: Sequence[str], own: Mapping[str, str]) -> Installed:
    """Run a command that installs, through the hub if it answers now.

    Nobody knows what a command will ask for. So where the hub has names of its own, nothing else is asked in its place.

    Raises:
        HubError: the hub is away, and nothing else may be asked; nothing was run.
        UnusableInput: there is no such program.
    """
    from creamery.client.locks_of_others import variables_for_locks  # noqa: PLC0415
    from creamery.client.serving import recalled_names, why_away  # noqa: PLC0415

    began = time.monotonic()
    away = why_away(launch.wish, launch.say)
    if away is None:
        launch.serve()
        more = variables_for_locks(launch.folder, str(launch.wish.address), command, own)
        ended = launch.call(command, {**launch.variables(), **more})
    else:
        refuse_unless_safe(launch.wish, away)
        if recalled_names(launch.wish):
            away.remedy = "Nothing was run: the hub has names of its own, which no other index may be asked for."
            raise away
        launch.say(away.sentence + _ELSEWHERE)
        ended = launch.call(command, own)
    return _installed(launch, ended, began, tells=False, fell_back=away is not None)


def _why_it_failed(watch: Watch, launch: Launch) -> HubError | None:
    """The hub was away from the beginning, or has gone since; None: it is there, and uv failed for another reason."""
    from creamery.client.serving import why_away  # noqa: PLC0415

    watch.looked.wait(PROBE_SECONDS)
    return watch.away or why_away(launch.wish, launch.say)


def _is_for_built_wheels(launch: Launch, command: Sequence[str]) -> bool:
    """Did uv fail because what the plain index lists of built wheels is wrong, or does not come?

    uv has told its user, and nobody else; so it is asked once more what it would do. It fails over one of them again,
    or has found everything: then what it could not have was a wheel, for no build has failed.
    """
    import subprocess  # noqa: PLC0415 - known already

    if launch.wish.address is None or (launch.builds is not None and launch.builds.has_failed()):
        return False
    again = [*command[:3], "--dry-run", *command[3:]]
    ran = subprocess.run(again, env=launch.variables(), capture_output=True, check=False)  # noqa: S603 - uv, as before
    return not ran.returncode or b"/w/f/" in ran.stderr


def _elsewhere(
    launch: Launch, command: Sequence[str], *, tells: bool, own: Mapping[str, str], began: float
) -> Installed:
    """Without the hub, and without the names that are its own; where pins alone allow it, with nothing unpinned."""
    from creamery.client.elsewhere import kept_out  # noqa: PLC0415
    from creamery.client.pinned import HASHES, must_have_hashes  # noqa: PLC0415
    from creamery.client.places import with_options  # noqa: PLC0415
    from creamery.client.serving import recalled_names  # noqa: PLC0415

    if not launch.wish.may_fall_back and not must_have_hashes(command, {}):
        command = with_options(command, [HASHES])  # else uv takes what pinned packages require from anywhere
    more = kept_out(launch, recalled_names(launch.wish), command[0], [*command[3:]], own)
    ended = launch.call(with_options(command, more), own, keeps_output=tells)
    return _installed(launch, ended, began, tells=tells, fell_back=True)


def once_more(launch: Launch, uv: str, arguments: Sequence[str], own: Mapping[str, str]) -> Installed:
    """Let uv install again, after what has failed: nobody looks at a hub any more, and who answers the hook goes on."""
    began = time.monotonic()
    tells = _tells(uv, arguments, own)
    command = [uv, "pip", "install", *(_FORMAT if tells else ()), *arguments]
    ended = launch.call(command, launch.variables(), keeps_output=tells)
    return _installed(launch, ended, began, tells=tells)


def _tells(uv: str, arguments: Sequence[str], own: Mapping[str, str]) -> bool:
    """Does this uv say in JSON what it has changed, and has nobody asked it for something else?"""
    if any(word.startswith(("--output-format", "--help")) or word == "-h" for word in arguments):
        return False
    return uv_version(uv, own) >= JSON_SINCE


def _installed(launch: Launch, ended: Ended, began: float, *, tells: bool, fell_back: bool = False) -> Installed:
    changes, seconds = _changes(ended) if tells else None, time.monotonic() - began
    return Installed(ended.code, seconds, changes, fell_back=fell_back, was_interrupted=launch.interrupted)


def _changes(ended: Ended) -> list[Change]:
    """What uv has done; nothing where it failed."""
    if b'"name"' not in ended.output:
        return []
    import json  # noqa: PLC0415 - where there is something to tell

    try:
        told = json.loads(ended.output)
        found = [Change(str(each["name"]), str(each["version"]), str(each["action"])) for each in told["changes"]]
    except (ValueError, KeyError, TypeError):
        return []
    return found
