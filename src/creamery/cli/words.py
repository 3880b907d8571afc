"""The words of `creamery install` and `creamery run` that are about the hub; all others are uv's, or the command's.

They are read here and not by click, which would take a third of the time that uv needs for everything: uv's options are
not known here, and what is not ours goes to it as it stands. The same table is `--help` (`through.py`). What is
imported on the way to uv's start has no dataclasses either, for the same reason.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start
if TYPE_CHECKING:
    from collections.abc import Sequence


class Option:
    """One of ours.

    Attributes:
        name: what it is called here.
        spelt: how it is written.
        value: what it takes, as its help shows it; empty: it is a switch.
        told: for its help.
        commands: that have it.
    """

    __slots__ = ("commands", "name", "spelt", "told", "value")

    def __init__(
        self, name: str, spelt: tuple[str, ...], value: str, told: str, commands: tuple[str, ...] = ("install", "run")
    ) -> None:
        self.name = name
        self.spelt = spelt
        self.value = value
        self.told = told
        self.commands = commands


class WrongWords(Exception):
    """The command was called wrongly; the text says how."""


DEFAULT_HUB = "http://127.0.0.1:8000"

OPTIONS = (
    Option(
        "hub",
        ("-c", "--hub"),
        "URL",
        f"The hub. uv's own -c (constraints) goes by its long name here.  [CREAMERY_HUB, else {DEFAULT_HUB}]",
    ),
    Option(
        "token_file",
        ("--token-file",),
        "FILE",
        "A file whose first line is the token.  [CREAMERY_TOKEN, else the address's user, ~/.netrc, keyring]",
    ),
    Option("upload", ("-u", "--upload"), "", "Share what is built here: the next machine need not build it."),
    Option(
        "allow_fallback",
        ("--allow-fallback",),
        "",
        "If the hub is away, install from what is configured otherwise. What is pinned by hashes does so anyway.",
    ),
    Option(
        "require_cache",
        ("--require-cache",),
        "",
        "Build nothing here, and if the hub is away, install nothing.",
    ),
    Option("report", ("--report",), "FILE", "Write what was installed, and where it came from, as JSON.", ("install",)),
    Option("as_json", ("--json",), "", "The same on standard output, for programs.", ("install",)),
)


def holds_a_password(url: str) -> bool:
    """Would everybody read one in it who sees this process's words? A token may stand as the name."""
    user, at, _ = url.partition("//")[2].rpartition("@")
    return bool(at) and (":" in user or "cmy_" in user)


_NOT_HERE = (
    "a token does not belong on the command line, where everybody on this machine can read it (`ps`), and the shell"
    " remembers it: put it in CREAMERY_TOKEN, or in a file that --token-file names"
)


class Words:
    """What was said.

    Attributes:
        ours: by the options' names; of what was said twice, the last.
        rest: everything else, as it stood.
    """

    __slots__ = ("_all", "ours", "rest")

    def __init__(self, ours: list[tuple[str, str]], rest: list[str]) -> None:
        self._all = ours
        self.ours = dict(ours)
        self.rest = rest

    def has(self, name: str) -> bool:
        """Was the option given?"""
        return name in self.ours

    def every(self, name: str) -> list[str]:
        """All that was said of an option, in order."""
        return [value for known, value in self._all if known == name]


def read_words(command: str, words: Sequence[str], options: Sequence[Option] = OPTIONS) -> Words:
    """Tell ours from the others. Of `run` only those before the command are ours, of `install` all before `--`.

    Raises:
        WrongWords: a value is missing, or a token stands there.
    """
    known = {spelt: option for option in options if command in option.commands for spelt in option.spelt}
    ours: list[tuple[str, str]] = []
    rest: list[str] = []
    words = list(words)
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--" or (command == "run" and not word.startswith("-")):
            rest += words[at - (word != "--" or command == "install") :]
            break
        option, value = _match(known, word)
        if option is None:
            _refuse(command, word)
            rest.append(word)
        elif not option.value:
            ours.append((option.name, "yes"))
            if word not in known:  # more letters behind it: -uc is -u -c
                words.insert(at, f"-{word[2:]}")
        elif value is not None:
            ours.append((option.name, value))
        elif at < len(words):
            ours.append((option.name, words[at]))
            at += 1
        else:
            raise WrongWords(f"{word} needs a value: {word} {option.value}")
    return Words(ours, rest)


def _match(known: dict[str, Option], word: str) -> tuple[Option | None, str | None]:
    """The option that a word is, and the value that stands in the same word."""
    if word in known:
        return known[word], None
    head, equals, value = word.partition("=")
    if equals and head.startswith("--") and head in known and known[head].value:
        return known[head], value
    if not word.startswith("--") and word[:2] in known:
        option = known[word[:2]]
        return option, word[2:].removeprefix("=") if option.value else None
    return None, None


def _refuse(command: str, word: str) -> None:
    if word == "--token" or word.startswith("--token="):
        raise WrongWords(_NOT_HERE)
    if command == "run":
        raise WrongWords(f"there is no option {word}; what is to be run stands behind --")
