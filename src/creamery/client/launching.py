"""How another program is made to install through a hub: uv, pip, and whatever calls them.

They are told by the environment that they read anyway. What stands there every build sees, which runs other people's
code; so no password is in it, but the name of a netrc file that is there for as long as the program runs, and for its
owner alone. It goes before the user's own and has that in it.

`Launch` holds what is there for one such run: a folder of this user's alone, with that file, the broker's socket, and
the wheels that are handed out.
"""

from __future__ import annotations

import os
import signal
import threading

from creamery.client.broker import VARIABLE, Broker
from creamery.client.child import start
from creamery.client.errors import UnusableInput
from creamery.client.leftovers import DIGITS, NAME, hold, remove_leftovers
from creamery.client.netrc_file import netrc_file

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start: uv is waited for
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, TracebackType
    from typing import Any, Self

    from creamery.client.address import HubAddress
    from creamery.client.builds import Builds
    from creamery.client.caches import WheelCache
    from creamery.client.child import Child
    from creamery.client.credentials import Credentials
    from creamery.client.errors import HubError
    from creamery.client.sharing import Sharing
    from creamery.client.wishes import Wish

HOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")  # noqa: PTH100, PTH118, PTH120 - see Broker
"""The folder that is put on PYTHONPATH."""
DECLARE = "CREAMERY_BUILD_ENVIRONMENT"
"""Names of more variables that builds obey, separated by commas."""
STOPPED = 128
"""A program that a signal has ended ends with this and its number, as shells have it."""
GRACE_SECONDS = 5.0
_ROOM = "Name a folder with room in TMPDIR."

_FOR_TOX = f"testenv.pass_env+=PYTHONPATH,XDG_CONFIG_DIRS,{VARIABLE}"
_OURS = frozenset({"CREAMERY_TOKEN", "CREAMERY_HUB"})
"""The latter may hold a password."""


def own_variables() -> dict[str, str]:
    """This process's environment, without what no build is to see."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}


def configured() -> dict[str, str]:
    """What this process's environment says of hubs and credentials."""
    names = ("CREAMERY_HUB", "CREAMERY_TOKEN", "NETRC", DECLARE)
    return {name: os.environ[name] for name in names if name in os.environ}


class Ended:
    """A program that has ended.

    Attributes:
        code: as shells have it.
        output: what it wrote to standard output, where that was kept.
    """

    __slots__ = ("code", "output")

    def __init__(self, code: int, output: bytes = b"") -> None:
        self.code = code
        self.output = output


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C's wants this process to end.

    Attributes:
        code: what it ends with then.
    """

    def __init__(self, number: int) -> None:
        self.code = STOPPED + number
        super().__init__()


class Launch:
    """One run, from entering to leaving. Whatever stops this process, all but SIGKILL, leaves it.

    What one that was killed has left behind, a later one removes.

    Args:
        wish: how to install.
        own: this process's environment.
        say: is told a sentence for the user, from any thread.

    Attributes:
        caches: where built wheels may be beside the hub.
    """

    def __init__(self, wish: Wish, own: Mapping[str, str], say: Callable[[str], object]) -> None:
        self.wish = wish
        self.say = say
        self.caches: Sequence[WheelCache] = ()
        self.builds: Builds | None = None
        self.sharing: Sharing | None = None
        self.interrupted = False
        self._has_ended = threading.Event()
        self._own = own
        self._running: Child | subprocess.Popen[bytes] | None = None
        self._answering = threading.Lock()
        self._is_over = False

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in _signals()}
        try:
            for number in self._before:
                if number != signal.SIGINT:
                    signal.signal(number, _stop_here)
            try:
                self._prepare(_temporary(self._own))
            except OSError:  # full, or not to be written to
                self._prepare(_another_temporary())
        except BaseException as error:
            self._handle_as_before()
            if isinstance(error, OSError):
                raise UnusableInput(f"No temporary folder can be written to: {error.strerror}.", _ROOM) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._before:  # whoever presses Ctrl-C twice must not leave the password behind
            signal.signal(number, signal.SIG_IGN)
        self._broker.close()
        _remove(self.folder)
        if self._held is not None:
            remove_leftovers(os.path.dirname(self.folder), self._held, _remove)  # noqa: PTH120 - see Broker
            os.close(self._held)
        self._handle_as_before()
        with self._answering:
            self._is_over = True
        if self.builds is not None:
            self.builds.end()

    def variables(self, page: str = "w/i") -> dict[str, str]:
        """The environment of a program that installs through the hub; `page`: the index with built wheels, or `i`."""
        before = self._own.get("PYTHONPATH")
        found = {
            **self._own,
            **self.indexes(page),
            "PYTHONPATH": HOOK if not before else f"{HOOK}{os.pathsep}{before}",
            VARIABLE: self._broker.address,
        }
        if not before:  # tox gives its environments few variables; one of the user's own it is not given because of us
            theirs = self._own.get("TOX_OVERRIDE")
            found["TOX_OVERRIDE"] = _FOR_TOX if not theirs else f"{theirs};{_FOR_TOX}"
        return found | self.netrc_variable()

    def netrc_variable(self) -> dict[str, str]:
        """Where the credentials of those who are asked are."""
        return {"NETRC": self._netrc} if self._netrc else {}

    def indexes(self, page: str = "w/i") -> dict[str, str]:
        """What of that environment is about indexes."""
        if self.wish.address is None:
            return {}
        index = f"{self.wish.address}/{page}/"
        return {"UV_DEFAULT_INDEX": index, "PIP_INDEX_URL": index}

    def known_hosts(self) -> list[tuple[HubAddress, Credentials]]:
        """Who is asked as whom by what runs here."""
        wish = self.wish
        return [] if wish.address is None or wish.credentials is None else [(wish.address, wish.credentials)]

    def serve(self) -> None:
        """Answer the hook, out of the hub and with what is built here."""
        self._listen()
        self._broker.serve(self._answer)

    def close_broker(self) -> None:
        """Nobody answers the hook; builds go on without it."""
        self._broker.close()

    def call(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        keeps_output: bool = False,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Ended:
        """Run a program until it ends; what would stop this process stops that one first.

        Args:
            command: the program and what it is told.
            environment: its own.
            keeps_output: what it writes to standard output is returned.
            meanwhile: called once it runs.

        Raises:
            UnusableInput: there is no such program.
        """
        kept = {number: signal.signal(number, self._relay) for number in _signals()}
        try:
            self._has_ended.clear()
            running = self._running = start(command, environment, keeps_output=keeps_output)
            self._listen()
            meanwhile()
            said = running.communicate()[0] or b""
            code = running.returncode or 0
            return Ended(code if code >= 0 else STOPPED - code, said)
        except FileNotFoundError as error:
            raise UnusableInput(
                f"There is no program {command[0]}.", "Write it as you would call it yourself."
            ) from error
        except OSError as error:
            raise UnusableInput(f"{command[0]} cannot be run: {error.strerror}.") from error
        finally:
            self._running = None
            self._has_ended.set()
            for number, handler in kept.items():
                signal.signal(number, handler)

    def stop(self, grace_seconds: float = 0.0) -> None:
        """Let the program end that is running, unless it does so by itself."""
        running = self._running
        self._has_ended.wait(grace_seconds)
        if running is not None and running.poll() is None:
            running.terminate()
            timer = threading.Timer(GRACE_SECONDS, running.kill)
            timer.daemon = True
            timer.start()

    def _listen(self) -> None:
        try:
            self._broker.listen()
        except OSError as error:
            self._broker.close()
            self.say(f"What others have built cannot be handed to builds: {error.strerror}.")

    def _handle_as_before(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _relay(self, number: int, _: FrameType | None) -> None:
        """Ctrl-C reaches all programs of a terminal; everything else reaches this process alone."""
        self.interrupted = True
        if number != signal.SIGINT:
            self.stop()
        elif self._running is not None and not _is_in_front():
            self._running.send_signal(number)

    def be_ready(self) -> Builds | None:
        """What answers the hook, and shares: made when it is first needed. None: this has ended.

        To import it takes as long as to look at the hub, and most installations build nothing.
        """
        with self._answering:
            if self.builds is None and not self._is_over:
                from creamery.client.serving import serve  # noqa: PLC0415 - see above

                self.builds, self.sharing = serve(self)
        return self.builds

    def _answer(self, question: dict[str, Any]) -> Mapping[str, Any]:
        builds = self.be_ready()
        return {} if builds is None else builds.answer(question)

    def _prepare(self, above: str) -> None:
        """The folder and what is in it.

        Raises:
            OSError: not there.
        """
        self.folder = os.path.join(above, f"{NAME}{os.urandom(DIGITS // 2).hex()}")  # noqa: PTH118 - see Broker
        os.mkdir(self.folder, 0o700)  # noqa: PTH102
        self._held = hold(self.folder)
        try:
            known, theirs = self.known_hosts(), self._own.get("NETRC") or ""
            self._netrc = netrc_file(self.folder, known, theirs, self.say) if known else ""
            self._broker = Broker(self.folder)
        except BaseException:
            _remove(self.folder)
            raise


def refuse_unless_safe(wish: Wish, away: HubError, *, is_pinned: bool = False) -> None:
    """The hub is away: may what is asked for come from elsewhere?

    Raises:
        HubError: it may not.
    """
    if wish.must_have or not (wish.may_fall_back or is_pinned):
        away.remedy = (
            "Nothing was installed: another index may have other packages under the same names. Start the hub, or say"
            " --allow-fallback."
        )
        raise away


def _temporary(own: Mapping[str, str]) -> str:
    """Where a folder for this user alone is made."""
    above = own.get("TMPDIR") or "/tmp"  # noqa: S108 - a name of its own, made with its rights in one step
    return above if os.name == "posix" and os.path.isdir(above) else _another_temporary()  # noqa: PTH112 - see Broker


def _another_temporary() -> str:
    """The first of this system's that has room; raises OSError where there is none."""
    from tempfile import gettempdir  # noqa: PLC0415 - 4 ms, and elsewhere alone

    return gettempdir()


def _remove(folder: str) -> None:
    try:
        for name in ("broker", "netrc"):
            path = os.path.join(folder, name)  # noqa: PTH118
            if os.path.lexists(path):
                os.unlink(path)  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106
    except OSError:  # wheels lie there, too
        from shutil import rmtree  # noqa: PLC0415 - seldom

        rmtree(folder, ignore_errors=True)


def _signals() -> tuple[signal.Signals, ...]:
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    if threading.current_thread() is not threading.main_thread():
        return ()
    found = (getattr(signal, name) for name in names if hasattr(signal, name))
    return tuple(number for number in found if signal.getsignal(number) != signal.SIG_IGN)  # as nohup wants it


def _is_in_front() -> bool:
    """Is this program one of those that a terminal's Ctrl-C goes to?"""
    if os.name != "posix":
        return True
    try:
        with open("/dev/tty", "rb") as terminal:  # noqa: PTH123 - see Broker
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:  # none of any terminal's
        return False


def _stop_here(number: int, _: FrameType | None) -> None:
    raise Stopped(number)
