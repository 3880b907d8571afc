"""The hub's secret by itself: its file, signatures, and how it is replaced."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import structlog

from creamery.accounts import Secret, SecretFile, SecretUnreadable
from creamery.clock import SECOND, Micros
from creamery.limits import Limits
from creamery.settings import SettingsError, load_settings
from tests.doubles.hand_clock import HandClock

LIMITS = Limits(secret_seconds=100)
HOUR = 3_600


def opened(data: Path, clock: HandClock, *keys: str) -> Secret:
    secret = Secret(data, LIMITS, clock, keys=keys)
    secret.open()
    return secret


def test_the_first_start_makes_one_that_its_user_alone_can_read(tmp_path: Path) -> None:
    clock = HandClock()
    signed = opened(tmp_path, clock).sign("session", "text")

    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert opened(tmp_path, clock).signed("session", signed, seconds=HOUR) == "text", "the next start goes on with it"


def test_one_that_others_could_read_is_closed_and_said(tmp_path: Path) -> None:
    SecretFile(tmp_path).make(Micros(1))
    (tmp_path / "secret").chmod(0o644)

    with structlog.testing.capture_logs() as logs:
        opened(tmp_path, HandClock())

    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [line["event"] for line in logs] == ["secret.closed"]


@pytest.mark.parametrize("content", [b"", b"short 1\n", b"\xff\xfe", b"0" * 64 + b"\n", b"0" * 64 + b" 1\nand more\n"])
def test_one_that_is_damaged_ends_the_start_with_a_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)

    with pytest.raises(SecretUnreadable, match=r"secret cannot be used: .*remove it: a new one is made"):
        opened(tmp_path, HandClock())


def test_what_was_signed_for_one_purpose_is_worthless_for_another(tmp_path: Path) -> None:
    secret = opened(tmp_path, HandClock())
    signed = secret.sign("session", "text")

    assert secret.signed("form", signed, seconds=HOUR) is None
    for other in ("", signed[:-1], signed + "a", f"x{signed}", signed.replace("text", "tent"), "\udcff", "a.b.c"):
        assert secret.signed("session", other, seconds=HOUR) is None


def test_a_signature_ends_with_its_time(tmp_path: Path) -> None:
    clock = HandClock()
    secret = opened(tmp_path, clock)
    signed = secret.sign("session", "text")

    clock.advance(5)
    assert secret.signed("session", signed, seconds=10) == "text"
    clock.advance(10)
    assert secret.signed("session", signed, seconds=10) is None


def test_what_a_process_signed_whose_clock_is_ahead_is_believed(tmp_path: Path) -> None:
    ahead, behind = HandClock(), HandClock()
    ahead.jump(HOUR)

    signed = opened(tmp_path, ahead).sign("session", "text")

    assert opened(tmp_path, behind).signed("session", signed, seconds=10) == "text"


def test_a_link_that_leads_nowhere_ends_the_start_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to(tmp_path / "nowhere")

    with pytest.raises(SecretUnreadable, match="secret cannot be used"):
        opened(tmp_path, HandClock())


def test_a_replaced_secret_is_believed_for_a_while_by_hubs_that_run(tmp_path: Path) -> None:
    clock = HandClock()
    running, file = opened(tmp_path, clock), SecretFile(tmp_path)
    before = running.sign("session", "text")

    assert file.rotate(clock.now(), keep_from=Micros(clock.now() - 100 * SECOND)) == 1
    after = running.sign("session", "text")

    assert after.rpartition(".")[2] != before.rpartition(".")[2], "the new one signs"
    assert {running.signed("session", one, seconds=HOUR) for one in (before, after)} == {"text"}
    clock.advance(101)
    assert running.signed("session", before, seconds=HOUR) is None, "limits.secret_seconds"
    assert running.signed("session", after, seconds=HOUR) == "text"
    assert file.rotate(clock.now(), keep_from=Micros(clock.now() - 100 * SECOND)) == 1, "the first one is gone"


def test_a_secret_that_leaked_is_dropped_at_once(tmp_path: Path) -> None:
    clock = HandClock()
    running = opened(tmp_path, clock)
    before = running.sign("session", "text")

    assert SecretFile(tmp_path).rotate(clock.now(), keep_from=Micros(clock.now() + 1)) == 0

    assert running.signed("session", before, seconds=HOUR) is None


def test_a_hub_goes_on_with_the_one_it_knows_when_the_file_goes(tmp_path: Path) -> None:
    secret = opened(tmp_path, HandClock())
    signed = secret.sign("session", "text")

    (tmp_path / "secret").unlink()

    assert secret.signed("session", signed, seconds=HOUR) == "text"


def test_keys_that_are_set_take_the_files_place(tmp_path: Path) -> None:
    clock = HandClock()
    old, new = "an old one " * 4, "a new one " * 4
    signed = opened(tmp_path, clock, old).sign("session", "text")

    assert opened(tmp_path, clock, new, old).signed("session", signed, seconds=HOUR) == "text"
    assert opened(tmp_path, clock, new).signed("session", signed, seconds=HOUR) is None
    assert list(tmp_path.iterdir()) == []


def test_secret_key_is_read_from_the_environment_and_never_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "0123456789" * 4)
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", "former one, and an older one")

    settings = load_settings()

    assert settings.secret_keys() == ("0123456789" * 4, "former one", "and an older one")
    assert "0123456789" not in repr(settings)
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    with pytest.raises(SettingsError, match=r"^secret_key: should have at least 32 characters") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)
