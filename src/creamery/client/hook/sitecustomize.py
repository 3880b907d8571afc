"""Stands in for a build backend inside uv's and poetry's builds, and asks whether somebody has built the same already.

This folder is on PYTHONPATH for what `creamery install` and `creamery run` start, so every Python among it runs this
file first. All but those that are started to ask a build backend (PEP 517) go on at once. Those find a stand-in where
they import the backend. It asks the broker, a socket of the `creamery` process that has started all this: what is there
is handed out and the backend is never imported; what is not is built by the real one, whose output is kept as the
build's log. Whatever goes wrong here, the real backend is asked: what breaks costs speed alone.

It runs in any Python that uv builds for, from 3.8 on, before anything else; so it needs nothing but the standard
library, imports little, and leaves every decision to the broker. Three such processes run for each build, and `re`,
`json`, `socket` and `zipfile` take each of them longer than its answer: what there is is mostly found without them.
"""

from __future__ import annotations

import os
import sys

BROKER = "CREAMERY_BROKER"
"""Where the broker listens: a path, or on Windows a port and a word."""
BUILDING = "CREAMERY_BUILDING"
"""What this process is to build, once it has begun anew with the environment that builds have: a number and a log."""
ANSWER_SECONDS = 1_800.0
"""Longer than the broker lets anybody wait for somebody else's build."""
LISTENING_SECONDS = 0.25
"""Until there is a socket in a folder that is there."""

_OF_HOOKS = "_PYPROJECT_HOOKS_BUILD_BACKEND"
"""Names the backend where pyproject_hooks asks it, as poetry has it do (pip and build keep PYTHONPATH from builds)."""
_HOOKS = ("get_requires_for_build_wheel", "prepare_metadata_for_build_wheel", "build_wheel")
_CALLS = ("get_requires_for_build_wheel", "prepare_metadata_for_build_wheel", "backend.build_wheel(")


class Miss(Exception):
    """The real backend is to do it."""


def begin():
    """Put a stand-in where the backend is imported, if this process is to ask one for a wheel."""
    if not os.environ.get(BROKER):
        return
    words = _words()
    if words[1:2] == ["-c"] and words[2:]:
        _begin_for_uv(words[2])
    elif os.path.basename("".join(words[1:2])) == "_in_process.py" and words[2:] and words[2] in _HOOKS:
        module, _, name = os.environ.get(_OF_HOOKS, "").partition(":")
        if module and "." not in name:
            _StandIn(module, name or None).install()


def _begin_for_uv(script):
    if not any(call in script for call in _CALLS):
        return
    for line in script.splitlines():
        words = line.split(" ")
        if len(words) in (4, 6) and words[-2:] == ["as", "backend"] and words[-4] == "import":
            _StandIn(words[1], words[3] if words[0] == "from" else None).install()
            return


def _words():
    """What Python itself was told; nothing: this is another Python."""
    words = getattr(sys, "orig_argv", None)  # from 3.10 on
    if words is None and os.path.exists("/proc/self/cmdline"):
        with open("/proc/self/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read().split(b"\0")]
    return words or []


class _StandIn:
    """Of one backend, in one process."""

    def __init__(self, module, name):
        self.module = module
        self.name = name
        self.stubs = []
        self.real = None

    def install(self):
        """Be what is imported under the backend's name, and under the names above it that nobody has imported yet."""
        parts = self.module.split(".")
        above = None
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[:count])
            if name not in sys.modules:
                sys.modules[name] = _stub(name, self)
                self.stubs.append(name)
            if above is not None and above in self.stubs:
                setattr(sys.modules[above], parts[count - 1], sys.modules[name])
            above = name

    def remove(self):
        """Let the real one be imported."""
        for name in self.stubs:
            sys.modules.pop(name, None)
        self.stubs = []

    def backend(self):
        """The real one."""
        if self.real is None:
            import importlib

            self.remove()
            module = importlib.import_module(self.module)
            self.real = module if self.name is None else getattr(module, self.name)
        return self.real

    # What uv asks a backend for

    def attribute(self, wanted):
        """A hook, as `getattr` finds it on the backend."""
        if wanted == "get_requires_for_build_wheel":
            return self.get_requires
        if wanted == "prepare_metadata_for_build_wheel":
            return self.metadata_hook()
        if wanted == "build_wheel":
            return self.build_wheel
        return getattr(self.backend(), wanted)

    def get_requires(self, config_settings=None):
        """Nothing more is needed for what is there already."""
        try:
            self.found({"settings": config_settings, "step": "requires"})
        except Miss:
            hook = getattr(self.backend(), "get_requires_for_build_wheel", None)
            return [] if hook is None else hook(config_settings)
        return []

    def metadata_hook(self):
        """The real backend may have none, and uv asks for that; so it is decided before the hook is called."""
        try:
            metadata = self.found({"step": "metadata"}, "metadata")
        except Miss:
            return self.backend().prepare_metadata_for_build_wheel
        return lambda directory, _=None: _copied(metadata, directory)

    def build_wheel(self, wheel_directory: str, config_settings: object = None, metadata_directory: object = None):
        """Somebody's wheel, or one that is built here."""
        number, _, log = os.environ.pop(BUILDING, "").partition(" ")
        try:
            if not number:
                return _placed(self.found({"settings": config_settings, "step": "wheel"}), wheel_directory)
        except Miss as miss:
            number, log = _begun_anew(miss.args[0])
        arguments = (wheel_directory, config_settings, metadata_directory)
        build = self.backend().build_wheel
        return _built(number, log, build, arguments) if number else build(*arguments)

    def found(self, question, what="wheel"):
        """The path of a wheel, or of the folder that its metadata was unpacked into.

        Raises:
            Miss: there is none; its argument is what the broker has said.
        """
        question["python"] = _python()
        question["backend"] = self.module if self.name is None else self.module + ":" + self.name
        question["environment"] = dict(os.environ)
        answer = _asked({"ask": "wheel", "tree": os.getcwd(), "venv": os.environ.get("VIRTUAL_ENV"), **question})
        if answer.get("refused"):
            sys.stderr.write(answer["refused"] + "\n")
            sys.exit(1)
        path = answer.get(what)
        if not isinstance(path, str):
            raise Miss(answer)
        return path


def _stub(name, stand_in):
    """A module that is the stand-in, or that has it as an attribute."""

    class Backend:
        def __getattr__(self, wanted):
            return stand_in.attribute(wanted)

    class Stub(type(sys)):
        def __getattr__(self, wanted):
            if wanted.startswith("__") and wanted != stand_in.name:
                raise AttributeError(wanted)
            if name == stand_in.module:
                return Backend() if stand_in.name is not None else stand_in.attribute(wanted)
            stand_in.remove()
            return getattr(__import__(name), wanted)

    stub = Stub(name)
    stub.__path__ = []
    return stub


def _python():
    """What decides about the ABI, without imports that take long."""
    from importlib.machinery import EXTENSION_SUFFIXES

    machine = ""
    if hasattr(os, "uname"):
        machine = os.uname().machine
    elif sys.version.rfind("(") > 0:  # Windows: "[MSC v.1929 64 bit (AMD64)]"
        machine = sys.version[sys.version.rfind("(") + 1 :].rstrip(")] ")
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        libc = None
    return {
        "implementation": sys.implementation.name,
        "version": list(sys.version_info[:2]),
        "suffix": EXTENSION_SUFFIXES[0] if EXTENSION_SUFFIXES else "",
        "system": sys.platform,
        "machine": machine,
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "libc": libc,
        "paths": [path for path in sys.path if path.endswith("-packages")],
    }


def _asked(question):
    """What the broker answers; nothing, where it does not."""
    connection = None
    try:
        connection = _connected()
        connection.sendall(_written(question).encode() + b"\n")
        received = b""
        while not received.endswith(b"\n"):
            piece = connection.recv(65536)
            if not piece:
                return {}
            received += piece
        answer = _read(received.decode())
    except (OSError, ValueError):  # it has ended, or was killed: builds go on without it
        return {}
    finally:
        if connection is not None:
            connection.close()
    return answer if isinstance(answer, dict) else {}


def _written(value):
    """JSON."""
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return "{" + ", ".join(_written(name) + ": " + _written(each) for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if type(value) is str and value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return '"' + value + '"'
    if type(value) is int:
        return str(value)
    import json

    return json.dumps(value)


def _read(line):
    """JSON."""
    parts = line.split('"')
    names, values, between = parts[1::4], parts[3::4], parts[2:-1:2]
    if "\\" not in line and between == ([": ", ", "] * len(names))[:-1] and (parts[0], parts[-1]) == ("{", "}\n"):
        return dict(zip(names, values))
    import json

    return json.loads(line)


def _connected():
    where = os.environ[BROKER]
    if not where.startswith("tcp:"):
        try:  # as `random` has what it needs of `hashlib`
            from _socket import AF_UNIX, SOCK_STREAM, socket
        except ImportError:
            from socket import AF_UNIX, SOCK_STREAM, socket
        connection = socket(AF_UNIX, SOCK_STREAM)
        connection.settimeout(ANSWER_SECONDS)
        _connect(connection, where)
        return connection
    from socket import create_connection

    _, port, word = where.split(":")
    connection = create_connection(("127.0.0.1", int(port)), timeout=ANSWER_SECONDS)
    connection.sendall(word.encode() + b"\n")
    return connection


def _connect(connection, where):
    """Whoever has started uv listens a few milliseconds later: nearly always long before this."""
    import time

    until = time.monotonic() + LISTENING_SECONDS
    while not os.path.exists(where) and os.path.isdir(os.path.dirname(where)) and time.monotonic() < until:
        time.sleep(0.01)
    connection.connect(where)


def _placed(wheel, directory):
    """Put the wheel where uv wants it."""
    name = os.path.basename(wheel)
    target = os.path.join(directory, name)
    try:
        os.link(wheel, target)  # it lies there for us alone, until the end
    except OSError:
        import shutil

        shutil.copyfile(wheel, target)
    return name


def _copied(above, directory):
    """Copy the one folder that is in there, and say what it is called."""
    for folder, _, files in os.walk(above):
        here = directory + folder[len(above) :]
        os.makedirs(here, exist_ok=True)
        for name in files:
            with open(os.path.join(folder, name), "rb") as file, open(os.path.join(here, name), "wb") as copy:
                copy.write(file.read())
    return os.listdir(above)[0]


def _begun_anew(answer):
    """The number of a build, and where its log goes; empty: it is built, and nobody is told.

    Where builds that are shared have variables of their own, this process begins anew with them.
    """
    number, log = str(answer.get("build") or ""), str(answer.get("log") or "")
    changes, words = answer.get("environment") or {}, getattr(sys, "orig_argv", None)
    if number and words and changes and os.name == "posix":
        changes[BUILDING] = number + " " + log
        os.execve(sys.executable, [sys.executable, *words[1:]], {**os.environ, **changes})
    os.environ.update(changes)
    return number, log


def _built(number, log, build, arguments):
    """Build it, keep what the backend says, and tell the broker how it ended."""
    import time

    began = time.monotonic()
    told = {"number": int(number), "python": _python()}
    try:
        with _Teed(log):
            name = build(*arguments)
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            reason = type(error).__name__ + ": " + str(error)[:2000]
            _asked({"ask": "failed", "reason": reason, "errno": getattr(error, "errno", None), **told})
        raise
    seconds = time.monotonic() - began
    _asked({"ask": "built", "wheel": os.path.join(arguments[0], name), "seconds": seconds, **told})
    return name


class _Teed:
    """What this process and its children write goes into a file too, in the order in which it is written.

    That order is why both of their streams are one meanwhile: uv gets all of it on standard error. A file that cannot
    be written, on a full disk, costs the log alone; where uv has gone, whoever writes hears it as without us.
    """

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        import threading

        try:
            self.log = open(self.path, "wb", buffering=0)
        except OSError:
            self.log = None
        self.kept = [os.dup(1), os.dup(2)]
        self.reads, writes = os.pipe()
        os.dup2(writes, 1)
        os.dup2(writes, 2)
        os.close(writes)
        self.pump = threading.Thread(target=self.run, daemon=True)
        self.pump.start()

    def run(self):
        try:
            while True:
                piece = os.read(self.reads, 65536)
                if not piece:
                    return
                self.keep(piece)
                while piece:
                    piece = piece[os.write(self.kept[1], piece) :]
        except OSError:
            os.close(self.reads)

    def keep(self, piece):
        try:
            if self.log is not None:
                self.log.write(piece)
        except OSError:
            self.log = None

    def __exit__(self, *_):
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(self.kept[0], 1)
        os.dup2(self.kept[1], 2)
        self.pump.join(2.0)  # whoever a backend has left behind may hold it open


def _another():
    """Run the sitecustomize that this one stands before, as if it were not here."""
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if os.path.abspath(path) != here])
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


try:
    begin()
finally:
    _another()
