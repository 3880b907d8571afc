"""`creamery hive`: look after the trees of files. Each command is in a file beside this one."""

from __future__ import annotations

import click

from creamery.cli.hive_check import check

command = click.Group("hive", commands=[check], help="Look after the trees of files.")
