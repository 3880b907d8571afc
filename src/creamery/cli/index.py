"""`creamery index`: look after the projects of a hub's index, over HTTP, as whoever the token belongs to.

The commands are in the files beside this one: `index_files`, what a project has; `index_names`, whose names are;
`index_owners`, who may change a project; `index_fetch`, what is there before anybody asks, and what stays. What each
may do is the hub's to decide: nothing is checked here that it checks.
"""

from __future__ import annotations

import click

from creamery.cli.index_fetch import pin, pins, prefetch, unpin
from creamery.cli.index_files import delete, explain, show, status, unyank, yank
from creamery.cli.index_names import assign, claim, merge, reserve, reserved, unreserve
from creamery.cli.index_owners import owner

command = click.Group(
    "index",
    commands=[
        *(show, explain, yank, unyank, delete, status),
        *(claim, merge, assign, reserve, unreserve, reserved),
        owner,
        *(prefetch, pin, unpin, pins),
    ],
    help="""Look after the projects of a hub's index.

    These commands ask the hub that --hub or CREAMERY_HUB names. They end with 0: done; 1: the hub refuses, and says
    why; 2: called wrongly; 3: the hub cannot be reached. What only the hub can judge, such as a pattern, a reason or
    what files are for, it refuses: that is 1.
    """,
)
