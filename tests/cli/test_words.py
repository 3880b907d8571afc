"""Which words of a command line are about the hub, and which are uv's."""

from __future__ import annotations

from pathlib import Path

import pytest

from creamery.cli.words import WrongWords, holds_a_password, read_words
from creamery.client.pinned import is_pinned


@pytest.mark.parametrize(
    ("words", "ours", "rest"),
    [
        ([], {}, []),
        (["-c", "http://h", "x"], {"hub": "http://h"}, ["x"]),
        (["-chttp://h", "x"], {"hub": "http://h"}, ["x"]),
        (["--hub=http://h", "-U", "x"], {"hub": "http://h"}, ["-U", "x"]),
        (["x", "-u", "--report", "r.json"], {"upload": "yes", "report": "r.json"}, ["x"]),
        (["-r", "f.txt", "--constraints", "c.txt"], {}, ["-r", "f.txt", "--constraints", "c.txt"]),
        (["--", "-c", "x"], {}, ["--", "-c", "x"]),
        (["--upgrade", "-p", "3.12"], {}, ["--upgrade", "-p", "3.12"]),
        (["-uc", "http://h", "-uU", "x"], {"hub": "http://h", "upload": "yes"}, ["-U", "x"]),
    ],
)
def test_installations_give_uv_what_is_not_ours(words: list[str], ours: dict[str, str], rest: list[str]) -> None:
    said = read_words("install", words)

    assert (said.ours, said.rest) == (ours, rest)


@pytest.mark.parametrize(
    ("words", "ours", "rest"),
    [
        (["-u", "--", "tox", "-c", "x"], {"upload": "yes"}, ["tox", "-c", "x"]),
        (["tox", "-u"], {}, ["tox", "-u"]),
        (["-c", "http://h", "uv", "sync"], {"hub": "http://h"}, ["uv", "sync"]),
    ],
)
def test_what_is_run_keeps_all_its_words(words: list[str], ours: dict[str, str], rest: list[str]) -> None:
    said = read_words("run", words)

    assert (said.ours, said.rest) == (ours, rest)


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("install", ["-c"], "-c needs a value: -c URL"),
        ("install", ["--token", "x"], "a token does not belong on the command line"),
        ("install", ["--token=x"], "a token does not belong on the command line"),
        ("run", ["--json", "--", "x"], "there is no option --json"),
        ("run", ["--nonsense", "x"], "there is no option --nonsense"),
    ],
)
def test_wrong_words_are_named(command: str, words: list[str], said: str) -> None:
    with pytest.raises(WrongWords, match=said):
        read_words(command, words)


@pytest.mark.parametrize(
    ("url", "holds"),
    [("http://h", False), ("http://ann@h:8000/x", False), ("http://ann:pw@h", True), ("http://cmy_abc@h", True)],
)
def test_a_password_in_an_address_is_seen(url: str, holds: bool) -> None:
    assert holds_a_password(url) == holds


HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("words", "text", "environ", "pinned"),
    [
        (["--require-hashes", "x"], "", {}, True),
        (["x"], "", {"UV_REQUIRE_HASHES": "1"}, True),
        (["x"], "", {"UV_REQUIRE_HASHES": "0"}, False),
        (["-r", "{}"], f"a==1 \\\n  {HASH}\n# b\n\nb==1 {HASH}\n", {}, True),
        (["-r{}", "--python", "3.12"], f"a==1 {HASH}\n", {}, True),
        (["--requirement={}"], f"a==1 {HASH}\n", {}, True),
        (["-r", "{}"], f"a==1 {HASH}\nb==1\n", {}, False),
        (["-r", "{}"], f"-r other.txt\na==1 {HASH}\n", {}, False),
        (["-r", "{}", "x"], f"a==1 {HASH}\n", {}, False),
        (["-r", "{}"], "", {}, False),
        (["-r", "no-such-file"], "", {}, False),
        ([], "", {}, False),
    ],
)
def test_pinned_is_what_has_a_hash_for_all_of_it(
    words: list[str], text: str, environ: dict[str, str], pinned: bool, tmp_path: Path
) -> None:
    path = tmp_path / "pins.txt"
    path.write_text(text)

    assert is_pinned([word.format(path) for word in words], environ) == pinned


def test_a_lock_file_is_pinned(tmp_path: Path) -> None:
    (tmp_path / "pylock.dev.toml").touch()

    assert is_pinned(["-r", str(tmp_path / "pylock.dev.toml")], {})
