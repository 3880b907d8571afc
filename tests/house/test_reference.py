"""The generated pages say what the code says; each setting answers to the names that they give it."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from creamery import faults
from creamery.limits import Limits
from creamery.settings import Settings, SettingsError, environment_name, load_settings, setting_names
from scripts import reference
from tests.doubles.certificates import PEM

SPELT = {
    "data": "elsewhere",
    "database_url": "postgresql://someone@host/name",
    "public_url": "https://hub.example",
    "trusted_proxies": "10.0.0.0/8, unix",
    "secret_key": "0123456789" * 4,
    "accounts.registrations_open": "true",
    "accounts.oidc_issuer": "https://id.example",
    "accounts.oidc_scopes": "openid, groups",
    "accounts.oidc_register": "false",
    "listen.host": "localhost",
    "listen.uds": "hub.sock",
    "index.upstreams": "https://packages.example/simple/",
    "carts.anonymous": "on",
    "carts.bundle_task": "true",
    "carts.lru_purge": "false",
    "carts.use": "admins",
    "carts.webhook_secret": "0123456789abcdef0123456789abcdef",
    "hive.use": "admins",
    "hive.windows_names": "on",
    "index.offline_pages": "all",
    "index.read": "users",
    "index.upload": "admins",
    "wheels.push": "admins",
    "wheels.read": "users",
    "wheels.strangers": "off",
    "wheels.upstreams": "http://hub.example/w/, http://old.example:8000",
    "limits.elf_bytes": "100000000",
    "index.deleted_upstream": "withhold",
    "index.quarantined_upstream": "serve",
    "carts.archives": "https://archive.example/, /srv/data",
    "egress.https_proxy": "http://proxy.example:3128",
    "egress.http_proxy": "http://proxy.example:3128",
    "egress.no_proxy": "intern.example",
    "log.format": "json",
    "log.level": "debug",
    "log.requests": "false",
    "log.screen": "false",
    "limits.reserve_share": "0.25",
    "limits.sweep_share": "0.25",
}
"""A value other than the default, where a number would not do."""

A_PROVIDER = {
    "CREAMERY_ACCOUNTS_OIDC_ISSUER": "https://id.example",
    "CREAMERY_ACCOUNTS_OIDC_CLIENT_ID": "hub",
    "CREAMERY_ACCOUNTS_OIDC_GROUPS_CLAIM": "groups",
}
"""What the other settings of a provider mean nothing without."""


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No creamery.toml, none of the variables that the settings read, and nothing of pip's."""
    for name in (
        "DATABASE_URL",
        "FALLBACK",
        "ARCHIVE_INTERFACE_URL",
        "SECRET_KEY",
        "MELISSI_STORE_LOCATION",
        "PIP_INDEX_URL",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
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


@pytest.mark.parametrize("name", [name for name in setting_names() if name not in {"config", "faults"}])
@pytest.mark.usefixtures("bare_environment")
def test_a_setting_answers_to_its_name_in_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = value_of(load_settings(), name)
    for variable, value in A_PROVIDER.items() if "oidc" in name else ():
        monkeypatch.setenv(variable, value)

    monkeypatch.setenv(environment_name(name), SPELT.get(name, "7"))

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
def test_the_place_of_melissis_store_is_where_data_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MELISSI_STORE_LOCATION", str(tmp_path / "store"))

    assert load_settings().data == tmp_path / "store"
    assert load_settings(data=tmp_path / "own").data == tmp_path / "own"


@pytest.mark.usefixtures("bare_environment")
def test_a_setting_that_does_not_exist_is_refused_by_its_name(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text("[index]\nmaxage = 5\n")

    with pytest.raises(SettingsError, match=r"^index\.maxage: there is no such setting"):
        load_settings(config)


@pytest.mark.usefixtures("bare_environment")
def test_a_settings_file_that_names_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "creamery.toml").write_text('config = "other.toml"\n')

    with pytest.raises(SettingsError, match=r"^config = 'other\.toml': .* --config and CREAMERY_CONFIG"):
        load_settings()


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    "name", ["CREAMERY_DATABSE_URL", "CREAMERY_INDEX_MAXAGE", "creamery_nope", "CREAMERY_LISTEN_", "CREAMERY_LISTEN"]
)
def test_a_variable_that_sets_nothing_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")

    with pytest.raises(SettingsError, match=f"^{name}: there is no such setting"):
        load_settings()


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    "name",
    ["CREAMERY_SERVICE_HOST", "CREAMERY_PORT", "CREAMERY_PORT_8000_TCP_ADDR", "CREAMERY_HUB_SERVICE_PORT_HTTP"],
)
def test_what_kubernetes_says_of_a_service_of_our_name_is_none_of_ours(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:8000")

    assert load_settings().listen.port == 8000


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize("name", ["CREAMERY_HUB", "CREAMERY_TOKEN"])
def test_what_users_commands_are_told_is_no_setting_of_the_hub(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Else a shell that talks to a hub could run no operator's command."""
    monkeypatch.setenv(name, "anything")

    assert load_settings().listen.port == 8000


@pytest.mark.usefixtures("bare_environment")
def test_a_settings_file_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(SettingsError, match=rf"^--config {missing}: there is no such file"):
        load_settings(missing)

    monkeypatch.setenv("CREAMERY_CONFIG", str(missing))
    with pytest.raises(SettingsError, match=rf"^CREAMERY_CONFIG={missing}: there is no such file"):
        load_settings()


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("public_url", "nonsense"),
        ("public_url", "https://hub.example/?a=b"),
        ("public_url", "https://packages.example.org:bad/"),
        ("limits.header_seconds", "inf"),
        ("limits.waiting_seconds", "1e300"),
        ("limits.statement_seconds", "1e10"),
        ("limits.lock_seconds", "0.0001"),
        ("limits.password_seconds", "2e9"),
        ("accounts.oidc_issuer", "id.example"),
        ("accounts.oidc_issuer", "ftp://id.example"),
        ("accounts.oidc_issuer", "https://user:password@id.example"),
        ("accounts.oidc_issuer", "https://id.example/?realm=a"),
        ("accounts.oidc_issuer", "https://id.example/#a"),
        ("accounts.oidc_scopes", "profile, email"),
        ("accounts.oidc_scopes", "openid, a b"),
        ("index.max_age", "nan"),
        ("cache.max_age", "-1"),
        ("listen.port", "65536"),
        ("faults", "blobs.created=explode"),
        ("faults", "blobs.created@x=kill"),
        ("faults", "blobs.created=sleep:long"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(environment_name(name), value)

    with pytest.raises(SettingsError, match=f"^{name} = "):
        load_settings()


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"oidc_issuer": "https://id.example"}, "accounts.oidc_client_id = None: .* set both, or none"),
        ({"oidc_client_id": "hub"}, "accounts.oidc_client_id = 'hub': .* set both, or none"),
        ({"oidc_client_secret": "s3cret"}, "accounts.oidc_client_secret: means nothing without"),
        ({"oidc_groups_claim": "groups"}, "accounts.oidc_groups_claim = 'groups': means nothing without"),
        (
            {"oidc_issuer": "https://id.example", "oidc_client_id": "hub", "oidc_group": "staff"},
            "accounts.oidc_group = 'staff': needs accounts.oidc_groups_claim",
        ),
    ],
)
def test_half_a_provider_is_refused_with_what_is_missing_and_without_its_secret(
    given: dict[str, str], says: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{says}") as caught:
        load_settings(accounts=given)

    assert "s3cret" not in str(caught.value)


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://a:99999/simple/"),
        ("url", "http://a:b/simple/"),
        ("url", "http://a:0/simple/"),
        ("url", "http://a b/simple/"),
        ("url", "http://[::1/simple/"),
        ("url", "http://[]@"),
        ("files.0", "h:abc"),
        ("files.0", "h:0"),
        ("files.0", ""),
        ("files.0", "a, b"),
    ],
)
def test_an_upstream_whose_host_or_port_cannot_be_is_refused_with_its_name(
    tmp_path: Path, field: str, value: str
) -> None:
    """They ended the start with `'' names no host`, of whatever setting."""
    given = {"url": "http://a/simple/", "files": ["a", "b:8443", "http://c:80"]}
    config = tmp_path / "hub.toml"

    def load(**changed: object) -> Settings:
        lines = (f"{name} = {json.dumps(text)}\n" for name, text in {**given, **changed}.items())
        config.write_text("[[index.upstreams]]\n" + "".join(lines))
        return load_settings(config)

    load()
    name = field.partition(".")[0]
    with pytest.raises(SettingsError, match=rf"^index\.upstreams\.0\.{field} = .*: should "):
        load(**{name: value if name == "url" else [value]})


@pytest.mark.usefixtures("bare_environment")
def test_a_list_in_the_environment_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREAMERY_INDEX_UPSTREAMS", "[]")
    monkeypatch.setenv("CREAMERY_TRUSTED_PROXIES", " [] ")

    settings = load_settings()

    assert settings.resolved_upstreams() == ()
    assert settings.trusted_proxies == ()


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize("url", ["http://u:p@ss@/simple", "ftp://u:p@ss@hub/", "ftp://u:p //ss@hub/"])
def test_no_password_is_shown_of_a_wrong_address(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CREAMERY_INDEX_UPSTREAMS", f"http://ok/simple, {url}")
    monkeypatch.setenv("HTTPS_PROXY", url.replace("http", "socks5"))
    monkeypatch.setenv("HTTP_PROXY", "u:p'@ss@hub:bad")

    with pytest.raises(
        SettingsError, match=r"^index\.upstreams\.1\.url = .*\nHTTPS_PROXY = .*\nHTTP_PROXY = "
    ) as caught:
        load_settings()

    assert "u:p" not in str(caught.value)


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "proxy.example:bad", "http://", "http://[]@"])
def test_a_proxy_that_cannot_be_used_is_refused_by_the_name_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: str
) -> None:
    """The desktop's ALL_PROXY was refused as egress.https_proxy, which nobody had set."""
    config = tmp_path / "hub.toml"
    config.write_text(f"[egress]\nhttp_proxy = {json.dumps(proxy)}\n")
    with pytest.raises(SettingsError, match=r"^egress\.http_proxy = .*: a proxy should begin with http"):
        load_settings(config)

    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingsError, match=r"^ALL_PROXY = .*\. Unset ALL_PROXY .* or set egress\.https_proxy") as said:
        load_settings()
    assert "\n" not in str(said.value)

    monkeypatch.setenv("https_proxy", f"x{proxy}")
    with pytest.raises(SettingsError, match=r"^https_proxy = .*\nALL_PROXY = "):
        load_settings()


@pytest.mark.usefixtures("bare_environment")
def test_the_settings_of_a_proxy_win_over_a_variable_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('[egress]\nhttps_proxy = "proxy.example:3128"\nhttp_proxy = ""\n')
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")

    egress = load_settings(config).egress

    assert (egress.https_proxy, egress.http_proxy) == ("proxy.example:3128", "")


@pytest.mark.usefixtures("bare_environment")
def test_certificates_that_are_not_there_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They showed only as `unable to get local issuer certificate`, at each request."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nope.pem"))
    with pytest.raises(SettingsError, match=r"^SSL_CERT_FILE = '.*nope\.pem': it cannot be read \(No such file"):
        load_settings()

    (tmp_path / "nope.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(SettingsError, match=r"^SSL_CERT_FILE = '.*nope\.pem': it holds no certificate"):
        load_settings()

    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    load_settings()


@pytest.mark.usefixtures("bare_environment")
def test_without_upstreams_the_one_that_pip_would_ask_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CREAMERY_INDEX_UPSTREAMS", raising=False)
    configuration = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))

    def asked(index_url: str) -> str:
        configuration.write_text(f"[global]\nindex-url = {index_url}\n")
        return load_settings().resolved_upstreams()[0].url

    mirror = asked("http://mirror.example/simple")
    ourselves = asked("http://127.0.0.1:8000/simple/")
    by_name = asked(f"http://{socket.gethostname()}:8000/simple/")

    assert mirror == "http://mirror.example/simple/"
    assert "8000" not in ourselves + by_name  # a hub that asks itself would never answer
    monkeypatch.setenv("PIP_INDEX_URL", "http://first.example/simple/")
    assert asked("http://mirror.example/simple") == "http://first.example/simple/"


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("[global]\nindex_url = http://a/", "http://a/"),
        ("[global]\n--Index-URL = http://a/", "http://a/"),
        ("[install]\nindex-url = http://a/", "http://a/"),
        ("[install]\nindex-url = http://a/\n[global]\nindex-url = http://b/", "http://a/"),
        ("[install]\nindex-url =\n[global]\nindex-url = http://b/", "http://b/"),
        ("[download]\nindex-url = http://a/", "http://venv/"),
    ],
)
def test_pips_files_are_read_as_pip_reads_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, url: str
) -> None:
    """Only `[global] index-url` was read, and a PIP_CONFIG_FILE did not stand in for the user's own file."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "pip.conf").write_text("[global]\nindex-url = http://venv/\n")
    (tmp_path / "home" / "pip").mkdir(parents=True)
    (tmp_path / "home" / "pip" / "pip.conf").write_text("[install]\nindex-url = http://nobody/\n")
    (tmp_path / "pip.conf").write_text(text)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))

    assert load_settings().resolved_upstreams()[0].url == url


@pytest.mark.usefixtures("bare_environment")
def test_a_user_without_a_home_has_no_file_of_pips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's made-up user id: the start ended with `Could not determine home directory`."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("PIP_CONFIG_FILE")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)

    assert load_settings().resolved_upstreams()


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize("url", ["nonsense", "file:///opt/x/simple", "http://u:p@mirror:bad/simple"])
def test_an_index_of_pips_that_the_hub_cannot_ask_is_refused_with_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    """It ended the start in pydantic's words, after the database had been upgraded."""
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nindex-url = {url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    with pytest.raises(
        SettingsError, match=rf"^pip's configuration \({configuration}\): index-url = .* Set index\.upstreams"
    ):
        load_settings()

    monkeypatch.setenv("PIP_INDEX_URL", url)
    with pytest.raises(
        SettingsError, match=r"^pip's configuration \(PIP_INDEX_URL\): index-url = .* Set index\.upstreams"
    ) as caught:
        load_settings()

    assert "u:p" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert load_settings(index={"upstreams": []}).resolved_upstreams() == ()


@pytest.mark.usefixtures("bare_environment")
def test_a_fault_point_that_nobody_passes_is_refused_and_those_that_there_are_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was armed without a word, and a crash that never came looked like one survived."""
    monkeypatch.setenv("CREAMERY_FAULTS", "blobs.created@3=kill, nowhere.point=kill")

    with pytest.raises(
        SettingsError, match=r"^faults = .*no fault point nowhere\.point; there are backup\.before_manifest,"
    ):
        load_settings()

    monkeypatch.setenv("CREAMERY_FAULTS", "blobs.created@3=kill, sweep.gone=ENOSPC, egress.read@0=sleep:0.5")
    assert load_settings().faults


def test_the_list_of_fault_points_is_that_of_the_code() -> None:
    source = Path(faults.__file__).parent
    passed = re.compile(r'\breach\("([^"]+)"\)')

    found = {point for path in source.rglob("*.py") for point in passed.findall(path.read_text(encoding="utf-8"))}

    assert found == faults.POINTS


def test_a_fault_may_wait_until_the_hub_listens() -> None:
    faults.arm("blobs.created@+2=EIO")
    try:
        faults.reach("blobs.created")
        faults.reach("blobs.created")
        faults.listening()
        faults.reach("blobs.created")
        with pytest.raises(OSError, match=r"fault point blobs\.created"):
            faults.reach("blobs.created")
    finally:
        faults.disarm()


def test_every_limit_is_named_in_a_test() -> None:
    tests = Path(__file__).parents[1]
    text = "".join(path.read_text(encoding="utf-8") for path in tests.rglob("*.py"))

    assert [name for name in Limits.model_fields if name not in text] == []
