"""What may lie where a plain file should: everything that `open`, `unlink` or a look at its size stumbles over."""

from __future__ import annotations

import os
from pathlib import Path

OBSTACLES = ("loop", "dangling link", "link to the same bytes", "fifo", "full folder", "empty folder")


def obstruct(path: Path, obstacle: str) -> None:
    """Put one of them in the place of whatever lies there; its bytes, for the link to lead to, go beside `blobs/`."""
    elsewhere = path.parents[3] / f"bytes-of-{path.name}"
    if path.exists():
        path.rename(elsewhere)
    path.parent.mkdir(parents=True, exist_ok=True)
    match obstacle:
        case "loop":
            path.symlink_to(path.name)
        case "dangling link":
            path.symlink_to("nowhere")
        case "link to the same bytes":
            path.symlink_to(elsewhere)
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()
    if obstacle == "full folder":
        (path / "inside").write_bytes(b"not ours")
