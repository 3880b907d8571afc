"""Whatever an upstream does to a file: a client gets the right bytes, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import hub_over
from tests.clients.prepare import NAMES
from tests.clients.programs import Client, Pip, install
from tests.doubles.loopback import Answerer
from tests.doubles.upstream import Upstream, close_at, hang, lie_about_length, status, wrong_bytes

pytestmark = pytest.mark.installed

WHEEL = "heavy-1.0-py3-none-any.whl"
QUICK = {"upstream_silent_seconds": 0.5}


@pytest.mark.parametrize("fault", [close_at(0.99), hang(0.5), status(503)], ids=["99 %", "silent", "503"])
@pytest.mark.parametrize("client", ["pip", "uv"], indirect=True)
def test_a_transfer_that_broke_goes_on_and_the_client_gets_every_byte(
    client: Client, fault: Answerer, upstream: Upstream, tmp_path: Path
) -> None:
    made = upstream.add("heavy", "1.0", size=2_000_000)
    upstream.misbehave(f"*/{WHEEL}", fault, once=True)

    with hub_over(upstream, tmp_path, limits=QUICK) as hub:
        environment = install(client, f"{hub.base}/i/", "heavy")
        kept = hub.download("heavy", WHEEL)

    assert environment.installed() == {"heavy": "1.0"}
    assert (environment.packages / "heavy" / "payload.bin").stat().st_size == 2_000_000
    assert kept == made.content


@pytest.mark.parametrize(
    ("client", "fault"),
    [(name, wrong_bytes()) for name in NAMES] + [("pip-2023", lie_about_length(-1_000))],
    indirect=["client"],
    ids=[*(f"{name}-wrong bytes" for name in NAMES), "pip-2023-too short"],
)
def test_a_wrong_file_is_installed_nowhere_and_the_right_one_afterwards(
    client: Client, fault: Answerer, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.add("heavy", "1.0", size=2_000_000)
    upstream.misbehave(f"*/{WHEEL}", fault)
    impatient = ("--retries", "0") if isinstance(client, Pip) else ()  # it would go on trying for two minutes

    with hub_over(upstream, tmp_path, limits=QUICK) as hub:
        ran, environment = client.try_install(f"{hub.base}/i/", *impatient, "heavy")
        is_here = hub.is_here(WHEEL)
        upstream.behave()
        hub.wait_until(lambda: hub.get(f"/i/heavy/{WHEEL}").status_code == 200)
        later = install(client, f"{hub.base}/i/", "heavy")

    assert ran.code != 0, ran.output
    assert environment.installed() == {}
    assert not is_here
    assert later.installed() == {"heavy": "1.0"}
