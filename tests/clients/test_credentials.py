"""Every client gets into an index that is closed: with credentials from its address, from netrc, from a keyring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from creamery.accounts import By, Passwords, Scope, add_user, create_token
from creamery.clock import Micros
from tests.clients.conftest import INSTALLED
from tests.clients.machine import Machine
from tests.clients.prepare import prepared
from tests.clients.programs import Client, Uv, client_called, install
from tests.doubles.running import RunningHub
from tests.doubles.upstream import Upstream

pytestmark = pytest.mark.installed

PASSWORD = "correct horse/battery@staple"
BY = By(Micros(1_700_000_000_000_000))


@pytest.fixture
def closed(upstream: Upstream, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that only its users may read."""
    data = tmp_path / "data"
    data.mkdir()
    with RunningHub(data, index={"upstreams": [upstream.url], "read": "users"}) as hub:
        committer = hub.built.hub.committer
        hashed = Passwords(hub.settings.limits).hash(PASSWORD)
        committer.write(lambda connection: add_user(connection, "alice", hashed, BY))
        yield hub


@pytest.fixture
def token(closed: RunningHub) -> str:
    scopes = [Scope("index:read")]
    text, _ = closed.built.hub.committer.write(lambda c: create_token(c, "alice", "a test's", scopes, None, BY))
    return text


def with_credentials(hub: RunningHub, credentials: str) -> str:
    return f"{hub.base.replace('://', f'://{credentials}@')}/simple/"


@pytest.mark.parametrize("credentials", ["__token__:TOKEN", "TOKEN:", "alice:correct%20horse%2Fbattery%40staple"])
def test_a_client_gets_in_with_what_its_address_says(
    client: Client, closed: RunningHub, token: str, credentials: str
) -> None:
    index = with_credentials(closed, credentials.replace("TOKEN", token))

    assert install(client, index, "app").installed() == INSTALLED


def test_a_client_gets_in_with_a_password_beyond_ascii(client: Client, closed: RunningHub) -> None:
    """uv sends UTF-8; pip and poetry send Latin-1, whatever the challenge says (RFC 7617 section 2.1)."""
    hashed = Passwords(closed.settings.limits).hash("pässwörd1")
    closed.built.hub.committer.write(lambda connection: add_user(connection, "zoe", hashed, BY))

    index = with_credentials(closed, f"zoe:{quote('pässwörd1')}")

    assert install(client, index, "app").installed() == INSTALLED


def test_a_client_gets_in_with_what_netrc_says(
    client: Client, closed: RunningHub, token: str, machine: Machine
) -> None:
    netrc = machine.home / ".netrc"
    netrc.write_text(f"machine {urlsplit(closed.base).hostname}\nlogin __token__\npassword {token}\n")
    netrc.chmod(0o600)

    assert install(client, f"{closed.base}/simple/", "app").installed() == INSTALLED


@pytest.mark.parametrize("name", ["pip", "uv"])
def test_a_client_gets_in_with_what_its_keyring_says(
    name: str, closed: RunningHub, token: str, machine: Machine
) -> None:
    keyring = prepared("keyring")
    index = with_credentials(closed, "alice")
    path, backend = f"{keyring}:{machine.variables()['PATH']}", "keyrings.alt.file.PlaintextKeyring"
    host = urlsplit(closed.base).netloc
    store = f"import keyring; keyring.set_password('{host}', 'alice', '{token}')"
    machine.succeed(keyring / "python", "-c", store, PYTHON_KEYRING_BACKEND=backend)
    client = client_called(name, machine)
    environment = machine.environment()
    asks = ("--keyring-provider", "subprocess")
    into: tuple[str | Path, ...] = ("--python", environment.python, *asks)
    command = ("pip", "install", *into, "--default-index") if name == "uv" else (*into, "install", "--index-url")

    machine.succeed(client.program, *command, index, "app", PATH=path, PYTHON_KEYRING_BACKEND=backend)

    assert environment.installed() == INSTALLED


@pytest.mark.parametrize("credentials", ["", "alice:wrong-password@", "__token__:cmy_nonsense@"])
def test_a_client_that_may_not_installs_nothing(client: Client, closed: RunningHub, credentials: str) -> None:
    index = f"{closed.base.replace('://', f'://{credentials}')}/simple/"

    ran, environment = client.try_install(index, "app")

    assert ran.code != 0
    assert environment.installed() == {}
    if isinstance(client, Uv):  # pip says that there is no such project, poetry asks its keyring
        assert "401" in ran.output
