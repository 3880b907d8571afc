"""Built wheels and sdists as the rules see them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from creamery.clock import Micros
from creamery.contract import Digest, ProjectName, digest_of, parse_filename
from creamery.index import ListedFile
from creamery.wheels.offering import Candidate

LINUX = "manylinux_2_17_x86_64"


def sdist(filename: str = "demo-1.0.tar.gz", **said: Any) -> ListedFile:
    """An sdist on the index's page."""
    file = ListedFile(filename, f"http://upstream/{filename}", digest_of(filename.encode()), size=1)
    return replace(file, **{"upload_time": "2024-05-01T10:00:00.000000Z", **said})


def wheel(filename: str) -> ListedFile:
    """A wheel that the project has published."""
    return sdist(filename)


def candidate(filename: str = f"demo-1.0-cp311-cp311-{LINUX}.whl", number: int = 1, **said: Any) -> Candidate:
    """A built wheel, of neutral settings and in the reader's own ring."""
    project, version = ProjectName("demo"), "1.0"
    if "odd" not in filename:
        named = parse_filename(filename)
        project, version = named.project, str(named.version)
    made = Candidate(
        filename=filename,
        project=project,
        version=version,
        digest=Digest(digest_of(b"%d" % number)),
        size=100 + number,
        metadata_digest=digest_of(b"metadata %d" % number),
        metadata_size=10,
        requires_python=None,
        source=None,
        ring="main",
        rank=0,
        is_neutral=True,
        libc=("glibc", 2, 36),
        pushed=Micros(number),
        id=number,
    )
    return replace(made, **said)
