"""What an upload must be before it is published: a sound archive of the distribution that its name promises.

`check` is a pure rule: it reads an open file and answers with an `Artefact`, or with a `BadArchive` that tells the
packager what to do. It extracts nothing, asks nobody, and is made for a thread: its long steps let the interpreter go.
"""

from creamery.index.archives.checking import Artefact, check
from creamery.index.archives.filename import read_promise
from creamery.index.archives.paths import is_metadata_of
from creamery.index.archives.refusal import BadArchive

__all__ = ["Artefact", "BadArchive", "check", "is_metadata_of", "read_promise"]
