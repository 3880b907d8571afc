"""What becomes of each build below `creamery install`: somebody's wheel, or one that is built here, and shared.

The broker's answers to the hook. A wheel is decided about by its key, once, and then the same for as long as this
process runs: what was handed out once stays here, so that a build that was told it needs nothing more is never asked to
build after all. Only the build of the wheel itself takes a lease, not the looks at its metadata before it: which of
them an installation takes at last, nobody knows then.

No trouble with a cache ends an installation. What it has not got, it is not asked for again; what is wrong with it is
said once.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from packaging.utils import canonicalize_name

from creamery.client.asking import Asked, CannotTell, read_asked
from creamery.client.caches import Fate, Leases, Made, Offer, WheelCache
from creamery.client.errors import HubError, Refused
from creamery.client.keeping import NotTaken, keep, unpacked_metadata
from creamery.client.leasing import Leasing
from creamery.client.sharing import Sharing
from creamery.client.source import Source, read_source

SHARED = {"SOURCE_DATE_EPOCH": "315532800", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
"""What makes two machines' builds the same bytes; whoever has set one of them for themselves keeps it. zip files know
no time before 1980."""
NO_SYMBOLS = {"CFLAGS": "-g0", "CXXFLAGS": "-g0"}
"""Debugging symbols hold the folder that something was built in, which is another one each time."""
USED = "An earlier build has left parts in its source, and nobody knows of which settings they are."

Kind = Literal["found", "built", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one build.

    Attributes:
        kind: a cache had it, it was built here, or could not be.
        seconds: that its build took, here or where it was built.
        cache: that had it; empty: none.
        key: of the build.
        filename: of the wheel; empty where there is none.
        reason: why it failed.
    """

    kind: Kind
    project: str
    version: str
    filename: str
    key: str
    seconds: float
    cache: str = ""
    reason: str = ""


@dataclass
class _Known:
    """All that is known of one key here; `lock` lets one hook decide at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    wheel: Path | None = None
    looked: bool = False
    fate: Fate | None = None


class Builds:
    """The builds of one installation. Asked from many threads.

    Args:
        folder: this user's alone; what is handed out lies there.
        caches: where built wheels may be, the first before the others.
        sharing: gets each wheel that is built; None: nothing is shared.
        note: is told in a sentence what the user should know.
        must_have: what no cache has is not built.
        more: variables that count in keys.
    """

    def __init__(
        self,
        folder: Path,
        caches: Sequence[WheelCache],
        *,
        sharing: Sharing | None,
        note: Callable[[str], object],
        must_have: bool = False,
        more: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder
        self._caches = list(caches)
        self._sharing = sharing
        self._note = note
        self._must_have = must_have
        self._more = more
        self._lock = threading.Lock()
        self._sources: dict[tuple[str, str], tuple[Source | None, Any]] = {}
        self._keys: dict[str, _Known] = {}
        self._running: dict[int, tuple[Asked, str]] = {}
        self._count = 0
        self._said: set[str] = set()
        self._leasing = Leasing(self.say_once)
        self.outcomes: list[Outcome] = []

    # The hook's questions

    def answer(self, question: dict[str, Any]) -> Mapping[str, Any]:
        """What the hook is to do: nothing said: what it would have done without us."""
        try:
            if question.get("ask") == "wheel":
                return self._wheel(question)
            if question.get("ask") == "built":
                self._built(question)
            elif question.get("ask") == "failed":
                self._failed(question)
        except CannotTell:
            return {}
        except Exception as error:  # noqa: BLE001 - a defect here costs speed, and is said; the build goes on
            self.say_once(f"A built wheel could not be looked for ({type(error).__name__}: {error}); it is built.")
        return {}

    def _wheel(self, question: dict[str, Any]) -> Mapping[str, Any]:
        source, settings = self._source(question)
        if source is None:
            return {}
        asked = read_asked(question, source, settings, self._more)
        known = self._known(asked.key)
        with known.lock:
            if known.wheel is None and not known.looked:
                known.looked = True
                known.fate = self._look(asked, known)
            if known.wheel is None and question.get("step") == "wheel" and not self._must_have:
                return self._to_build(asked, known, question)
        if known.wheel is not None:
            metadata = question.get("step") == "metadata"
            return {"metadata": str(unpacked_metadata(known.wheel))} if metadata else {"wheel": str(known.wheel)}
        if self._must_have:
            sentence = f"No cache has a wheel of {asked.title} for this machine, and --require-cache builds none."
            return {"refused": sentence}
        return {}

    def _source(self, question: dict[str, Any]) -> tuple[Source | None, Any]:
        """The tree as it was when its first hook asked, before any backend wrote into it, and the settings."""
        place = (str(question.get("venv")), str(question["tree"]))
        with self._lock:
            known = self._sources.get(place)
        source = read_source(Path(question["tree"])) if known is None else known[0]
        settings = question.get("settings") if "settings" in question else None if known is None else known[1]
        with self._lock:
            self._sources[place] = (source, settings)
        return source, settings

    def _known(self, key: str) -> _Known:
        with self._lock:
            return self._keys.setdefault(key, _Known())

    # What is there

    def _look(self, asked: Asked, known: _Known) -> Fate | None:
        """Ask each cache; what has it ends the look."""
        fate = None
        for cache in self._answering():
            with self._watched(cache):
                fate = cache.look(asked)
                if fate.offer is not None and self._take(asked, known, cache, fate.offer):
                    return fate
                if fate.state == "failed":
                    self._note(f"{asked.title} could not be built elsewhere lately: {_line(fate.told)}")
        return fate

    def _take(self, asked: Asked, known: _Known, cache: WheelCache, offer: Offer) -> bool:
        """Have the wheel here, if it is what is asked for."""
        if wrong := asked.why_not(offer.filename):
            self.say_once(f"What {cache.name} offers for {asked.title} is not taken: {wrong}.")
            return False
        try:
            known.wheel = keep(cache, offer, self._folder)
        except NotTaken as error:
            self.say_once(f"{error.sentence} It is built here.")
            return False
        self._record("found", asked, offer.filename, offer.seconds, cache=cache.name)
        return True

    # What is built

    def _to_build(self, asked: Asked, known: _Known, question: dict[str, Any]) -> Mapping[str, Any]:
        """A number to build under; or, where somebody else has built it meanwhile, their wheel."""
        token = ""
        for number, (begun, held) in list(self._running.items()):
            if begun.key == asked.key:  # its process was killed, or is another one's beside this: it is not waited for
                self._running[number] = begun, ""
                self._leasing.give_back(held)
        is_leased = known.fate is not None and known.fate.state == "leased"
        for cache in self._answering() if self._sharing is not None or is_leased else ():
            if isinstance(cache, Leases):
                with self._watched(cache):
                    fate = self._leasing.wait_for(
                        cache, asked, may_build=self._sharing is not None and not asked.is_used
                    )
                    if fate.offer is not None and self._take(asked, known, cache, fate.offer):
                        return {"wheel": str(known.wheel)}
                    token = token or fate.token
        with self._lock:
            self._count += 1
            number = self._count
            self._running[number] = (asked, token)
        environ = question["environment"]
        changes = {} if self._sharing is None else {**SHARED, **NO_SYMBOLS}
        changes = {name: value for name, value in changes.items() if name not in environ}
        return {"build": number, "log": str(self._folder / f"build-{number}.log"), "environment": changes}

    def _built(self, told: dict[str, Any]) -> None:
        number = int(told["number"])
        asked, token = self._running.pop(number)
        wheel, seconds = Path(told["wheel"]), float(told["seconds"])
        self._record("built", asked, wheel.name, seconds)
        log = self._folder / f"build-{number}.log"
        wrong = asked.why_not(wheel.name)
        if self._sharing is None or wrong is not None:
            self._leasing.give_back(token)
            return
        folder = self._folder / f"built-{number}"
        folder.mkdir()
        kept = folder / wheel.name
        with contextlib.suppress(FileExistsError):
            shutil.copyfile(wheel, kept)
        made = Made(asked, kept, log if log.exists() else None, seconds)
        if asked.is_used:
            self._sharing.keep_back(made, USED)
        else:
            self._sharing.add(made, lambda: self._leasing.has_come(token))

    def _failed(self, told: dict[str, Any]) -> None:
        number = int(told["number"])
        asked, token = self._running.pop(number)
        reason = str(told.get("reason", ""))
        self._record("failed", asked, "", 0.0, reason=reason)
        log = self._folder / f"build-{number}.log"
        passing = told.get("errno") in {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE}
        if self._sharing is not None and not passing and asked.source.project is not None:
            for cache in self._answering():
                if isinstance(cache, Leases):
                    with self._watched(cache):
                        cache.fail(asked, _line(reason), log if log.exists() else None)
        self._leasing.give_back(token)

    def has_failed(self) -> bool:
        """Has a build failed, or was one begun that nobody has heard of again? Once uv has ended."""
        return bool(self._running) or any(each.kind == "failed" for each in self.outcomes)

    def end(self) -> None:
        """Nothing more is built: what was being built is given back to others."""
        self._leasing.end()

    # Telling

    def say_once(self, sentence: str) -> None:
        """What happens for each package alike is news once."""
        with self._lock:
            if sentence in self._said:
                return
            self._said.add(sentence)
        self._note(sentence)

    def _record(self, kind: Kind, asked: Asked, filename: str, seconds: float, **more: str) -> None:
        parts = filename.split("-")
        project = asked.source.project or (canonicalize_name(parts[0]) if filename else "")
        version = parts[1] if filename else asked.source.version or ""
        with self._lock:
            self.outcomes.append(Outcome(kind, str(project), version, filename, asked.key, seconds, **more))

    def _answering(self) -> list[WheelCache]:
        with self._lock:
            return list(self._caches)

    @contextlib.contextmanager
    def _watched(self, cache: WheelCache) -> Iterator[None]:
        """What goes wrong with a cache is said; it is not asked again, unless it has only said no."""
        try:
            yield
        except HubError as error:
            self.say_once(f"{error.sentence} What it may have is built here.")
            if not isinstance(error, Refused):
                with self._lock:
                    self._caches = [each for each in self._caches if each is not cache]
        except OSError as error:
            self.say_once(f"A built wheel could not be kept: {error.strerror}. It is built here.")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
