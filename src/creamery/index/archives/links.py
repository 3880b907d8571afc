"""Links inside an sdist: where they may lead."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from creamery.index.archives.paths import Tree
from creamery.index.archives.refusal import BadArchive, shown

_LONGEST_CHAIN = 40  # as many as Linux follows


def check_links(tree: Tree, files: AbstractSet[bytes], links: Mapping[bytes, bytes]) -> None:
    """See that each symbolic link (its path and target) leads to a file or folder of the archive.

    A target is followed segment by segment, and never through another link: `a/..` is the root by its letters, and
    outside of it where `a` is a link to the root. Letter by letter, too: `A/..` passes that link on a disk that
    does not tell the two apart, and leads nowhere on another.

    Raises:
        BadArchive: one leads out, to nothing, in circles, or through another link.
    """
    passed: set[bytes] = set()
    leads = {path: _lead(path, target, tree, passed) for path, target in links.items()}
    for path, target in links.items():
        at = path
        for _ in range(_LONGEST_CHAIN):
            at = leads.get(at, at)
        if at in leads or (at not in files and not tree.is_folder(at)):
            raise BadArchive(
                f"{shown(path)} is a link to {shown(target)}, which is no file or folder of the archive. Put the file"
                " itself there."
            )


def _lead(path: bytes, target: bytes, tree: Tree, passed: set[bytes]) -> bytes:
    """Where a link leads, as a path from the archive's beginning; the first segment is the root, and stays.

    What is left again by `..` has to be a folder of the archive; of all else on the way the end tells that it is one.

    Args:
        passed: folders that links were followed through before, for the next one.
    """
    at = path.rpartition(b"/")[0]
    for segment in target.removesuffix(b"/").split(b"/"):
        is_through = True
        if segment == b"..":
            is_through = at in passed or tree.is_folder(at)
            passed.add(at)
            at = at.rpartition(b"/")[0]
        elif segment != b".":
            at = b"%b/%b" % (at, segment)
        if not segment or not at or not is_through:
            raise BadArchive(
                f"{shown(path)} is a link to {shown(target)}, which leads out of the sdist's folder, or through another"
                " link or what is no folder. Put the file itself there."
            )
    return at
