"""`creamery hive`: look after the trees of files. Each command is in a file beside this one."""

from __future__ import annotations

import click

from creamery.cli.hive_check import check
from creamery.cli.hive_export import export
from creamery.cli.hive_import import import_
from creamery.cli.hive_space import space
from creamery.cli.hive_trash import trash
from creamery.cli.hive_usage import usage
from creamery.cli.hive_versions import versions

command = click.Group(
    "hive", commands=[check, export, import_, space, trash, usage, versions], help="Look after the trees of files."
)
