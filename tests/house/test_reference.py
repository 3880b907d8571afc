"""The generated pages say what the code says; each setting answers to the names that they give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from creamery.settings import Settings, SettingsError, load_settings
from scripts import reference

SPELT = {
    "data": "elsewhere",
    "database_url": "postgresql://someone@host/name",
    "public_url": "https://hub.example",
    "trusted_proxies": "10.0.0.0/8, unix",
    "listen.host": "localhost",
    "listen.uds": "hub.sock",
    "index.upstreams": "https://packages.example/simple/",
    "index.offline_pages": "all",
    "egress.https_proxy": "http://proxy.example:3128",
    "egress.http_proxy": "http://proxy.example:3128",
    "egress.no_proxy": "intern.example",
    "log.format": "json",
    "log.level": "debug",
    "log.requests": "false",
    "limits.reserve_share": "0.25",
    "limits.sweep_share": "0.25",
}
"""A value other than the default, where a number would not do."""


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No creamery.toml and none of the variables that the settings read."""
    for name in ("DATABASE_URL", "FALLBACK", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.chdir(tmp_path)


def value_of(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("page", reference.PAGES)
def test_a_generated_page_is_current(page: str) -> None:
    written = (reference.REFERENCE / page).read_text(encoding="utf-8")

    assert written == reference.PAGES[page](), "run `make docs` and commit the result"


@pytest.mark.parametrize("name", [name for name in reference.setting_names() if name not in {"config", "faults"}])
@pytest.mark.usefixtures("bare_environment")
def test_a_setting_answers_to_its_name_in_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = value_of(load_settings(), name)

    monkeypatch.setenv(reference.environment_name(name), SPELT.get(name, "7"))

    assert value_of(load_settings(), name) != before


@pytest.mark.usefixtures("bare_environment")
def test_a_setting_of_the_file_gives_way_to_the_environment_and_both_to_a_flag(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('[listen]\nhost = "file"\nport = 1\nuds = "file.sock"\n')
    monkeypatch.setenv("CREAMERY_LISTEN_PORT", "2")
    monkeypatch.setenv("CREAMERY_LISTEN_UDS", "environment.sock")

    listen = load_settings(config, listen={"uds": Path("flag.sock")}).listen

    assert (listen.host, listen.port, listen.uds) == ("file", 2, Path("flag.sock"))


@pytest.mark.usefixtures("bare_environment")
def test_a_setting_that_does_not_exist_is_refused_by_its_name(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text("[index]\nmaxage = 5\n")

    with pytest.raises(SettingsError, match=r"^index\.maxage: there is no such setting"):
        load_settings(config)
