"""Every setting: creamery.toml, the environment, a command's flags, defaults. The only reader of the environment.

A setting has one name in three spellings: `index.max_age` in creamery.toml (`[index] max_age`),
`CREAMERY_INDEX_MAX_AGE` in the environment, `--index-max-age` where a command takes it. Flags win over the
environment, the environment over the file, the file over the defaults.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from yarl import URL

from creamery import faults
from creamery.cart_sections import Carts
from creamery.cartd_configuration import CartdConfiguration, CartdMisconfigured, read_cartd
from creamery.limits import Limits
from creamery.pip_configuration import pip_index_url
from creamery.sections import (
    WEB_ADDRESS,
    Accounts,
    Cache,
    Egress,
    Hive,
    Index,
    Listen,
    Log,
    Texts,
    Upstream,
    Wheels,
    address_of,
    is_long,
    is_web_address,
    listed,
)

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"})  # noqa: S104 - names to compare with
NO_SUCH_SETTING = "there is no such setting; docs/reference/settings.md lists them all"
PREFIX = "CREAMERY_"
ENVIRONMENT_OF_OTHERS = re.compile(
    r"CREAMERY_(?:TEST_.*"  # what the tests are told
    r"|HUB|TOKEN"  # what users' commands are told
    r"|(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_\w+)?))"  # Kubernetes, for services of such a name
)

_OTHER_PROXY = "Unset {} for the hub, or set egress.https_proxy and egress.http_proxy: they win"
_CERTIFICATE = re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----")  # as OpenSSL begins one
CARTD_PORT = 8081
CARTD_ARCHIVE = "http://127.0.0.1:8080/"
"""Where Cartd finds its archive if nobody says another place."""

_OF_CARTD = {
    "cartd.volume_path": ("", "data"),
    "cartd.lru_buffer_time": ("carts", "lru_buffer_time"),
    "cartd.lru_purge": ("carts", "lru_purge"),
    "cartd.bundle_task": ("carts", "bundle_task"),
    "archiveinterface.url": ("carts", "archives"),
}
_OF_CHERRYPY = {
    "server.socket_host": ("listen", "host"),
    "server.socket_port": ("listen", "port"),
    "log.screen": ("log", "screen"),
    "log.error_file": ("log", "file"),
    "log.access_file": ("log", "requests_file"),
}
_SECRETS = frozenset({"index.passcode", "accounts.oidc_client_secret"})
_PROXY_PASSWORD = re.compile(r"((?<=//)|(?<=^.)(?!\w+://)).*@")  # behind the quote: `user:password@HOST:PORT` will do
_PASSWORD = re.compile(r"(?<=//).*@")  # with the user's name, and whatever else stands before the host


class SettingsError(ValueError):
    """A setting is wrong; the text names it, its value and what it should be."""


class Settings(BaseSettings):
    """All settings of a hub."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
        nested_model_default_partial_update=True,
    )

    data: Path = Field(Path("var"), description="Directory in which the hub keeps everything.")
    database_url: str | None = Field(
        None, description="Database (`postgresql://...`, `mysql://...`); unset: SQLite in the data directory."
    )
    public_url: str | None = Field(None, description="The hub's address as its users see it, for absolute addresses.")
    trusted_proxies: Texts = Field(
        default=(), description="Networks (or `unix`) whose X-Forwarded-For and X-Forwarded-Proto count."
    )
    secret_key: Annotated[SecretStr, AfterValidator(is_long)] | None = Field(
        None,
        description="What cookies and links are signed with, at least 32 characters; unset: `secret` in the data"
        " directory, made at the first start. Hubs on several machines need the same.",
    )
    secret_key_fallbacks: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(listed)] = Field(
        default=(), description="Former values of `secret_key` that are still believed."
    )
    faults: str = Field("", description="Fault points to arm, for tests of crashes; see docs/how-to/test-crashes.md.")
    listen: Listen = Field(default_factory=Listen)
    cache: Cache = Field(default_factory=Cache)
    accounts: Accounts = Field(default_factory=Accounts)
    index: Index = Field(default_factory=Index)
    wheels: Wheels = Field(default_factory=Wheels)
    carts: Carts = Field(default_factory=Carts)
    hive: Hive = Field(default_factory=Hive)
    egress: Egress = Field(default_factory=Egress)
    log: Log = Field(default_factory=Log)
    limits: Limits = Field(default_factory=Limits)

    @field_validator("data")
    @classmethod
    def _is_text(cls, data: Path) -> Path:
        try:
            str(data).encode()
        except UnicodeEncodeError as error:  # it goes into the database's address, and into answers
            raise ValueError("a path in UTF-8, please") from error
        return data

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and (not is_web_address(url) or urlsplit(url).query or urlsplit(url).fragment):
            raise ValueError(f"{WEB_ADDRESS}; it has no query")
        return url

    @field_validator("faults")
    @classmethod
    def _arms_what_exists(cls, specification: str) -> str:
        faults.check(specification)
        return specification

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = _File(settings_cls, toml_file=_config_path(init_settings()))
        return init_settings, env_settings, _OldNames(settings_cls), toml, _Proxies(settings_cls)

    config: Path | None = Field(None, description="The settings' file; unset: `creamery.toml` where there is one.")

    def resolved_database_url(self) -> str:
        """The database's address as SQLAlchemy names it, its driver included."""
        if self.database_url is None:
            return f"sqlite:///{self.data / 'creamery.sqlite3'}"
        return database_driver_url(self.database_url)

    def resolved_upstreams(self) -> tuple[Upstream, ...]:
        """The upstreams in order; where none are set, the one that pip would ask.

        Raises:
            SettingsError: pip's is none that can be asked over http.
        """
        if self.index.upstreams is not None:
            return self.index.upstreams
        configured = pip_index_url(os.environ)
        if configured is None:
            return (_pypi(),)
        url, place = configured
        if not is_web_address(url):
            given = _as_given("index-url", url)
            raise SettingsError(
                f"pip's configuration ({place}): {given}: the hub cannot ask that. Set index.upstreams"
                f" (CREAMERY_INDEX_UPSTREAMS) to what it should ask instead: its address {WEB_ADDRESS}"
            )
        return (_pypi(),) if self._is_this_hub(URL(url)) else (_with_known_files(Upstream(url=url)),)

    def password_files(self) -> dict[str, Path]:
        """The password files, by the door that each is for."""
        files = {"index": self.index.htpasswd, "wheels": self.wheels.htpasswd}
        return {door: file for door, file in files.items() if file is not None}

    def passcodes(self) -> dict[str, str]:
        """The passcodes, by the door that each is for."""
        return {} if self.index.passcode is None else {"index": self.index.passcode.get_secret_value()}

    def secret_keys(self) -> tuple[str, ...]:
        """What signs, then what is still believed; empty where the hub's own secret counts."""
        if self.secret_key is None:
            return ()
        return tuple(key.get_secret_value() for key in (self.secret_key, *self.secret_key_fallbacks))

    def _is_this_hub(self, url: URL) -> bool:
        """pip on this machine may already point at this hub; a hub that asks itself would never answer."""
        public = address_of(self.public_url or "")
        if public is not None and (public.host, public.explicit_port) == (url.host, url.explicit_port):
            return True
        own_names = {*LOOPBACK_NAMES, self.listen.host, platform.node()}  # the last is what `serve` prints
        return url.port == self.listen.port and url.host in own_names


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Read the settings; `flags` are a command's own, by section (`listen={"port": 1}`), and win.

    Raises:
        SettingsError: naming each wrong setting in the spelling of creamery.toml, an unknown one as it was given.
    """
    given: dict[str, Any] = {key: value for key, value in flags.items() if value is not None and value != {}}
    if config is not None:
        given["config"] = config
    named = _named_config(given)
    if named is not None and not named.is_file():
        raise SettingsError(f"{'--config ' if config else 'CREAMERY_CONFIG='}{named}: there is no such file")
    if unknown := _unknown_in_environment():
        raise SettingsError("\n".join(f"{name}: {NO_SUCH_SETTING}" for name in unknown))
    _check_certificates()
    try:
        settings = Settings(**given)
        settings.resolved_upstreams()  # pip's configuration counts as a setting, and may be as wrong
    except SettingsError:
        raise
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(error))) from error
    except ValueError as error:  # tomllib: the file is no TOML
        raise SettingsError(f"the settings' file cannot be read: {error}") from error
    return settings


def load_cartd_settings(
    config: Path | None = None, cpconfig: Path | None = None, **listen: Any
) -> tuple[Settings, CartdConfiguration]:
    """Read the settings as Pacifica Cartd's commands are given them, and what of them is Cartd's own.

    The command's flags win over Cartd's files, those over `CREAMERY_...`, that over Cartd's environment, and that over
    creamery.toml. Where it listens, the first two alone say: a hub may be at home here, too.

    Args:
        config: Cartd's INI file, where the command names one.
        cpconfig: CherryPy's.
        listen: the flags that name an address or a port; None: that one is not given.

    Raises:
        SettingsError: as `load_settings`.
    """
    try:
        found = read_cartd(os.environ, config, cpconfig)
    except CartdMisconfigured as error:
        raise SettingsError(str(error)) from error
    flags: dict[str, Any] = {"index": {"upstreams": []}, "carts": {}, "log": {}}
    for key, (section, name) in _OF_CARTD.items():
        is_set = os.environ.get(environment_name(f"{section}.{name}" if section else name))
        value = found.in_file.get(key) or (None if is_set else found.in_environment.get(key))
        if value is not None:
            (flags[section] if section else flags)[name] = _with_scheme(value) if name == "archives" else value
    if "data" not in flags and isinstance(found.pacifica_database, Path) and not os.environ.get("CREAMERY_DATA"):
        flags["data"] = found.pacifica_database.parent / "var"
    for key, (section, name) in _OF_CHERRYPY.items():
        if key in found.cherrypy:
            flags.setdefault(section, {})[name] = found.cherrypy[key]
    heard = {"host": "127.0.0.1", "port": CARTD_PORT, "uds": None, **flags.get("listen", {})}
    flags["listen"] = heard | {name: value for name, value in listen.items() if value is not None}
    settings = load_settings(**flags)
    if not settings.carts.archives:
        flags["carts"]["archives"] = [CARTD_ARCHIVE]
        settings = load_settings(**flags)
    return settings, found


def load_curd_settings(
    folder: Path, data: Path | None = None, password_file: Path | None = None, *, debug: bool = False, **listen: Any
) -> Settings:
    """Read the settings as `curd-server` is given them; what is not told by its flags counts as on a hub.

    Args:
        folder: the one that is served.
        data: where rows lie; None: CREAMERY_DATA, else a directory of this folder's own in the user's data.
        password_file: who may come in; None: anybody.
        debug: the log tells everything.
        listen: where it listens.

    Raises:
        SettingsError: as `load_settings`.
    """
    if data is None and not os.environ.get("CREAMERY_DATA"):
        data = _data_beside(folder)
    return load_settings(
        data=data,
        index={"upstreams": []},
        wheels={"htpasswd": password_file},
        log={"level": "debug"} if debug else {},
        listen=listen,
    )


def _data_beside(folder: Path) -> Path:
    """In the user's own data (XDG Base Directory Specification), never in the folder."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    whole = folder.absolute()
    digest = hashlib.sha256(os.fsencode(whole)).hexdigest()
    return home / "creamery" / "curd-server" / f"{whole.name}-{digest[:8]}"


def _with_scheme(url: str) -> str:
    """Cartd's documents leave it out."""
    return url if "://" in url else f"http://{url}"


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The settings that come in groups, such as `index`, by name."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def setting_names() -> Iterator[str]:
    """Every setting as creamery.toml spells it, limits included."""
    grouped = dict(sections())
    yield from (name for name in Settings.model_fields if name not in grouped)
    for name, section in grouped.items():
        yield from (f"{name}.{inner}" for inner in section.model_fields)


def environment_name(setting: str) -> str:
    """`index.max_age` as the environment spells it."""
    return PREFIX + setting.upper().replace(".", "_")


def database_driver_url(url: str) -> str:
    """`postgres://`, `postgresql://`, `mysql://`, `mariadb://` with the driver that the hub brings."""
    scheme, separator, rest = url.partition("://")
    drivers = {
        "postgres": "postgresql+psycopg",
        "postgresql": "postgresql+psycopg",
        "mysql": "mysql+pymysql",
        "mariadb": "mysql+pymysql",
    }
    return drivers.get(scheme, scheme) + separator + rest


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        wrong = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            lines.append(f"{name}: {NO_SUCH_SETTING}")
        elif variable := _proxy_variable(name, problem["input"]):
            lines.append(f"{_as_given(variable, problem['input'])}: {wrong}. {_OTHER_PROXY.format(variable)}")
        else:
            lines.append(f"{_as_given(name, problem['input'])}: {wrong}")
    return list(dict.fromkeys(lines))  # ALL_PROXY is wrong for both schemes, and is one variable


def _as_given(name: str, value: object) -> str:
    """A setting or a variable as it was written, but for what is secret in it."""
    if name.startswith("secret_key") or name in _SECRETS:
        return name
    password = _PROXY_PASSWORD if name.lower().endswith("_proxy") else _PASSWORD
    return f"{name} = {password.sub('***@', repr(value))}"


def _unknown_in_environment() -> list[str]:
    """A misspelt name would otherwise leave the default in force without a word."""
    known = {environment_name(name) for name in setting_names()}
    named = (name for name in os.environ if name.upper().startswith(PREFIX))
    return sorted(name for name in named if name.upper() not in known and not ENVIRONMENT_OF_OTHERS.fullmatch(name))


def _check_certificates() -> None:
    """SSL_CERT_FILE is OpenSSL's to read, and where it cannot it trusts nobody without a word.

    Raises:
        SettingsError: the file is missing, or nothing in it looks like a certificate.
    """
    path = os.environ.get("SSL_CERT_FILE")
    if not path:
        return
    try:
        if _CERTIFICATE.search(Path(path).read_bytes()):
            return
        wrong = "it holds no certificate"
    except OSError as error:
        wrong = f"it cannot be read ({error.strerror})"
    raise SettingsError(
        f"SSL_CERT_FILE = {path!r}: {wrong}; name a file with the certificates (PEM) of the authorities that upstreams"
        " have theirs from, or unset it for the hub"
    )


def _named_config(given: dict[str, Any]) -> Path | None:
    path = given.get("config") or os.environ.get("CREAMERY_CONFIG")
    return Path(path) if path else None


def _config_path(given: dict[str, Any]) -> Path | None:
    here = Path("creamery.toml")
    return _named_config(given) or (here if here.is_file() else None)


class _File(TomlConfigSettingsSource):
    """creamery.toml."""

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()
        if "config" in found:  # it would be taken for the name of this file, and read by nobody
            raise SettingsError(
                f"{_as_given('config', found['config'])}: a settings' file cannot name another; --config and"
                " CREAMERY_CONFIG name the one that is read"
            )
        return found


class _OldNames(PydanticBaseSettingsSource):
    """The environment's names of the originals, and the one that hosting services set."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        names = {"MELISSI_STORE_LOCATION": "data"}  # Melissi's, with the next; SECRET_KEY_FALLBACKS is Django's
        names |= {name: name.lower() for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL")}
        found: dict[str, Any] = {known: os.environ[name] for name, known in names.items() if os.environ.get(name)}
        index: dict[str, Any] = {}
        if url := os.environ.get("FALLBACK"):  # Havarti's upstream
            index["upstreams"] = [{"url": url}]
        if passcode := os.environ.get("PASSCODE"):  # Havarti's
            index["passcode"] = passcode
        accounts: dict[str, Any] = {}
        if registrations := os.environ.get("MELISSI_REGISTRATIONS_OPEN"):
            accounts["registrations_open"] = registrations
        carts: dict[str, Any] = {}
        if url := os.environ.get("ARCHIVE_INTERFACE_URL"):  # Cartd's; its documents leave the scheme out
            carts["archives"] = [{"kind": "pacifica", "url": _with_scheme(url)}]
        sections = {"index": index, "accounts": accounts, "carts": carts}
        return found | {name: values for name, values in sections.items() if values}


class _Proxies(PydanticBaseSettingsSource):
    """HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, in either case, as the rest of the machine's programs read them."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        proxies = getproxies_environment()
        found: dict[str, Any] = {
            "https_proxy": proxies.get("https") or proxies.get("all"),
            "http_proxy": proxies.get("http") or proxies.get("all"),
            "no_proxy": proxies.get("no"),
        }
        return {"egress": {key: value for key, value in found.items() if value}}


def _proxy_variable(setting: str, value: object) -> str | None:
    """The variable that a wrong proxy was read from, where it was: nobody knows a setting that he did not write."""
    if setting not in {"egress.https_proxy", "egress.http_proxy"}:
        return None
    names = {setting.removeprefix("egress."), "all_proxy"}
    return next((name for name, found in os.environ.items() if name.lower() in names and found == value), None)


def _pypi() -> Upstream:
    from pip._internal.models.index import PyPI  # noqa: PLC0415 - PyPI's addresses are pip's constants

    return Upstream(url=PyPI.simple_url + "/", files=(PyPI.file_storage_domain,))


def _with_known_files(upstream: Upstream) -> Upstream:
    """PyPI keeps its files on a second host; a mirror of one's own serves both or names the second in `files`."""
    pypi = _pypi()
    if urlsplit(upstream.url).hostname == urlsplit(pypi.url).hostname:
        return upstream.model_copy(update={"files": pypi.files})
    return upstream
