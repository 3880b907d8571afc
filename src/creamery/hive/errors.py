"""What stands in the way of somebody who wants something of a tree; how it looks on the wire is each tongue's affair.

Refused
    NotThere            nothing has that name, for whoever asks
      NoSuchVersion     the file had no such content, or it is gone
      NotInTrash        it is not in the trash, or is on its way out
    ParentMissing       the folder that it would lie in is not there, or is a file
    IsFolder, IsFile    it is the other thing
    Taken               something has that name already
    OntoItself          a thing cannot be moved or copied onto itself, into itself, or over what it lies in
    ConditionFailed     it is not what the request says that it is
    LockedBy            somebody holds a lock, and the request does not bring its token
    LockConflict        somebody holds a lock that does not go with the one that is wanted
    WrongToken          a token is of no lock that covers what is asked for
    TooManyLocks        the space has as many as it may have
    BytesMissing        bytes that should be here are not
    TooManyProperties   the thing has as many as it may have
    OverQuota           the space may not have so much
"""

from __future__ import annotations


class Refused(Exception):
    """Something in the tree, or its absence, stands in the way; nothing was changed."""


class NotThere(Refused):
    """Nothing has that name, or whoever asks may not know of it."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is nothing called {path!r}.")
        self.path = path


class NoSuchVersion(NotThere):
    """A file has no former content of that number, or not any more."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"revision {revision}")
        self.args = (f"The file has no former content of revision {revision}, or it is gone. List those that it has.",)


class NotInTrash(NotThere):
    """It is not in the trash of that space, or is being removed for good."""

    def __init__(self, node_id: int) -> None:
        super().__init__(f"node {node_id} in the trash")
        self.args = (f"Nothing in the trash of this space has the number {node_id}. List what is there.",)


class ParentMissing(Refused):
    """The folder that it would lie in is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"The folder that {path!r} would lie in is not there. Make it first.")
        self.path = path


class IsFolder(Refused):
    """A folder has that name, and a file is wanted."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is a folder.")
        self.path = path


class IsFile(Refused):
    """A file has that name, and a folder is wanted."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is a file.")
        self.path = path


class Taken(Refused):
    """Something has that name already."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is something called {path!r} already.")
        self.path = path


class OntoItself(Refused):
    """Source and target are one, or one lies in the other."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} cannot be brought onto itself, into itself, or over a folder that it lies in.")
        self.path = path


class ConditionFailed(Refused):
    """It is not what the request says that it is: somebody else was faster."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is not what the request takes it for. Look again, then decide.")
        self.path = path


class LockedBy(Refused):
    """Somebody holds a lock, and its token did not come along.

    Attributes:
        path: of the lock's root, from the root of its space down.
    """

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(f"/{'/'.join(path)} is locked. Bring the lock's token, or wait until the lock has ended.")
        self.path = path


class OverQuota(Refused):
    """The space may not have so much.

    Attributes:
        free: bytes that it still may have.
    """

    def __init__(self, wanted: int, free: int) -> None:
        super().__init__(
            f"{wanted} bytes are wanted, and the space has {max(0, free)} left. Delete something, or ask for more."
        )
        self.free = max(0, free)


class LockConflict(Refused):
    """Somebody holds a lock that does not go with the one that is wanted.

    Attributes:
        paths: of these locks' roots, from the root of their space down.
    """

    def __init__(self, paths: list[tuple[str, ...]]) -> None:
        super().__init__(f"/{'/'.join(paths[0]) if paths else ''} is locked already. Wait until that lock has ended.")
        self.paths = paths


class WrongToken(Refused):
    """A token is of no lock that covers what is asked for.

    Attributes:
        is_others: it is, and somebody else has taken it.
    """

    def __init__(self, path: str, *, is_others: bool = False) -> None:
        super().__init__(
            f"The lock on {path!r} is somebody else's." if is_others else f"The token is of no lock on {path!r}."
        )
        self.is_others = is_others


class TooManyLocks(Refused):
    """The space has as many as it may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The space has {most} locks already (limits.dav_locks). Wait until some have ended.")


class BytesMissing(Refused):
    """Bytes that should be here are not: `creamery fsck` tells of them."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"The bytes {digest} are not here. Whoever runs the hub finds out more with `creamery fsck`.")


class TooManyProperties(Refused):
    """The file or folder has as many as it may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"It would have more than {most} properties (limits.dav_properties). Remove some first.")
