"""Write docs/reference/ from the code: settings, limits, commands, routes. `--check` fails where a page is stale.

A page is a function that returns its text; `PAGES` lists them all.
"""

from __future__ import annotations

import inspect
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from creamery.cli import main as creamery
from creamery.cli.curd import main as curd
from creamery.door import Door
from creamery.hub import build
from creamery.limits import GIB, KIB, MIB, Limits
from creamery.settings import Settings, environment_name, sections
from scripts.permissions import credentials, outcome, rules

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
NOTICE = "<!-- Written by `make docs`; edit what it is made from. -->"
HELP_WIDTH = 100


def settings_page() -> str:
    """Every setting but the limits: its three spellings, its default, what it does."""
    lines = [
        NOTICE,
        "# Settings",
        "",
        "A setting has one name in three spellings: `index.max_age` is `max_age` under `[index]` in creamery.toml,",
        "`CREAMERY_INDEX_MAX_AGE` in the environment, and `--index-max-age` where a command takes it. A command's flag",
        "wins over the environment, the environment over the file, the file over the default. The file is the one that",
        "`--config` or `CREAMERY_CONFIG` names, else `creamery.toml` in the directory that the command is called in.",
        'Lists are `a, b` in the environment and `["a", "b"]` in the file. An unknown or wrong setting ends the start',
        "with a line that names it. The limits have [a page of their own](limits.md).",
        "",
    ]
    grouped = dict(sections())
    tops = {name: field for name, field in Settings.model_fields.items() if name not in grouped}
    lines += ["## The hub", "", *_table("", tops)]
    for name, section in grouped.items():
        if section is not Limits:
            lines += [f"## {name}", "", _sentence(section), "", *_table(name, section.model_fields)]
    lines += [
        "## index.upstreams, one by one",
        "",
        "In the environment `CREAMERY_INDEX_UPSTREAMS` lists addresses; in creamery.toml each upstream can have a",
        "table `[[index.upstreams]]` of its own:",
        "",
        *_table("upstream", _upstream().model_fields, environment=False),
        "## carts.archives, one by one",
        "",
        "The same for `CREAMERY_CARTS_ARCHIVES` and tables `[[carts.archives]]`:",
        "",
        *_table("archive", _archive().model_fields, environment=False),
    ]
    lines += [
        "## Names from elsewhere",
        "",
        "`DATABASE_URL` is read as `database_url`; `FALLBACK` and `PASSCODE` (Havarti's) as the one upstream and as",
        "`index.passcode`; `ARCHIVE_INTERFACE_URL` (Cartd's) as the one archive of `carts.archives`, with `http://`",
        "before it where there is no scheme; `SECRET_KEY`, `SECRET_KEY_FALLBACKS`, `MELISSI_STORE_LOCATION` and",
        "`MELISSI_REGISTRATIONS_OPEN` (Melissi's) as `secret_key`, `secret_key_fallbacks`, `data` and",
        "`accounts.registrations_open`; `HTTPS_PROXY`, `HTTP_PROXY`,",
        "`ALL_PROXY` and `NO_PROXY` as the settings of `egress`. The setting's own name wins.",
        "",
        "Without `index.upstreams` the hub asks what `pip install` on its machine would ask: `PIP_INDEX_URL`, else",
        "`index-url` under `[install]`, else under `[global]`, in the files that pip reads. Where that is no http or",
        "https address (`file:///...`), the hub does not start until `index.upstreams` is set.",
        "",
        "`SSL_CERT_FILE` and `SSL_CERT_DIR` name the certificates that upstreams' are checked against; see",
        "[Certificates](../explanation/egress.md#certificates).",
    ]
    return "\n".join(lines) + "\n"


def limits_page() -> str:
    """Every limit: how much, how long."""
    lines = [
        NOTICE,
        "# Limits",
        "",
        "How much of anything, and how long for anything. Each is [a setting](settings.md): `header_bytes` under",
        "`[limits]` in creamery.toml, `CREAMERY_LIMITS_HEADER_BYTES` in the environment. Names tell the unit:",
        "`_seconds` are seconds, `_bytes` bytes; the rest are counts or shares.",
        "",
        *_table("limits", Limits.model_fields),
    ]
    return "\n".join(lines).rstrip() + "\n"


def commands_page() -> str:
    """Every command's help, as it prints it."""
    lines = [
        NOTICE,
        "# Commands",
        "",
        "After `make serve` they are in the clone's `.venv/bin`: call `.venv/bin/creamery`, or put that folder on your",
        'PATH. In an environment of your own, `pip install "PATH-OF-THE-CLONE[server]"` brings them all; without',
        "`[server]` it brings the client, for machines that do not run the hub.",
        "",
        "`pacifica-cartd` and `pacifica-cartd-cmd` are [Pacifica Cartd's](../how-to/cartd.md), with its options.",
        "`curd-server` and `curd` are [Curdling's](../how-to/curdling.md).",
        "",
    ]
    for path, text in [*_helps(creamery, None, "creamery"), *_helps(curd, None, "curd")]:
        lines += [f"## {path}", "", "```text", text, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def routes_page() -> str:
    """Every route of every door: its methods, its path, who may come, what it does."""
    lines = [
        NOTICE,
        "# Routes",
        "",
        "What the hub answers. GET brings HEAD; OPTIONS is answered everywhere. `{name}` stands for one segment of a",
        "path, or for a part of it. The right is what who asks must have; `hub:see` has anyone.",
        "",
    ]
    for door in _doors():
        rows = [["methods", "path", "right", "what it answers"], ["---"] * 4]
        for route in door.routes:
            what = route.says or (inspect.getdoc(route.endpoint) or "").partition("\n")[0]
            if not what:
                raise ValueError(f"{route.path}: its endpoint has no docstring that says what it answers")
            rows.append([", ".join(route.methods), f"`{route.path}`", f"`{route.needs.action}`", what])
        lines += [f"## {door.name}", "", *_rows(rows)]
    return "\n".join(lines).rstrip() + "\n"


def permissions_page() -> str:
    """Who may do what: every right, every kind of credential, for every way in which the right may be given."""
    lines = [
        NOTICE,
        "# Permissions",
        "",
        "Which right each route needs stands in [routes](routes.md). Here is who has it: `yes`; `401`, who asks is",
        "asked for credentials; `403`, who asks is known and may not. Each cell is asked of a running hub in",
        "`tests/operations/test_permissions.py`. `hub:see` has anyone, and nobody's credentials are looked at.",
        "",
    ]
    for action, rule in sorted((action, rule) for door in _doors() for action, rule in door.rules.items()):
        columns = rules(action, rule)
        rows = [["credential", *(f"`{text}`" for text in columns)], ["---"] * (len(columns) + 1)]
        for name, principal in credentials(action).items():
            rows.append([name, *(outcome(column, action, principal) for column in columns.values())])
        default = f"By default: `{rule.who}`." if len(columns) > 1 else f"Always: `{rule.who}`."
        lines += [f"## {action}", "", default, "", *_rows(rows)]
    return "\n".join(lines).rstrip() + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "limits.md": limits_page,
    "commands.md": commands_page,
    "routes.md": routes_page,
    "permissions.md": permissions_page,
}


def is_current(name: str) -> bool:
    """Whether a page's text is what the code says now."""
    path = REFERENCE / name
    return path.is_file() and path.read_text(encoding="utf-8") == PAGES[name]()


def write() -> None:
    """Write every page."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


def _doors() -> tuple[Door, ...]:
    with tempfile.TemporaryDirectory() as data:
        return build(Settings(data=Path(data))).doors


def _upstream() -> type[BaseModel]:
    from creamery.sections import Upstream  # noqa: PLC0415 - the one section that is an item of a list

    return Upstream


def _archive() -> type[BaseModel]:
    from creamery.cart_sections import Archive  # noqa: PLC0415 - the other one

    return Archive


def _table(section: str, fields: Mapping[str, FieldInfo], *, environment: bool = True) -> list[str]:
    heads = ["setting", "in the environment", "default", "what it does"]
    rows = [heads if environment else [heads[0], *heads[2:]]]
    rows.append(["---"] * len(rows[0]))
    for name, field in fields.items():
        if field.description is None:
            raise ValueError(f"{section}.{name} has no description: say in its Field what it does")
        setting = f"{section}.{name}" if section else name
        row = [f"`{name}`", f"`{environment_name(setting)}`", _default(field), field.description]
        rows.append(row if environment else [row[0], *row[2:]])
    return _rows(rows)


def _rows(rows: Iterable[Iterable[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in rows] + [""]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == "":
        return "unset"
    if value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and (size := _size(value)):
        return f"`{value}` ({size})"
    return f"`{value}`"


def _size(value: int) -> str | None:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if value >= unit and value % unit == 0:
            return f"{value // unit} {name}"
    return None


def _sentence(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip()


def _helps(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, parent, name, terminal_width=HELP_WIDTH, **command.context_settings)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _helps(found, context, inner)


def _main(arguments: list[str]) -> int:
    if arguments != ["--check"]:
        write()
        return 0
    names = [name for name in PAGES if not is_current(name)]
    if names:
        print(f"docs/reference/: {', '.join(names)}: not what the code says now; run `make docs` and commit the result")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
