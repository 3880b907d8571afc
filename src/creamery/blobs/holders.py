"""What a door says about the blobs that its tables refer to.

A reference is `kept` (somebody's only copy) or `cached` (it can be fetched again). Class belongs to the reference and
not to the bytes: a blob that any `kept` reference holds stays, a blob that only `cached` ones hold may be evicted, a
blob that nobody holds is garbage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, false, or_

from creamery.contract import Digest


@dataclass(frozen=True, slots=True)
class Holder:
    """The references of one door.

    Making a reference takes the blob's row in the same transaction: inside `Blobs.keep`, or by `Blobs.refer`. A
    reference made otherwise may lose its bytes to a sweep.

    Attributes:
        name: the door's name, or the table's.
        kept: an `EXISTS` over a column of digests: does a kept reference hold it? One point read a digest.
        cached: the same for references to what can be fetched again.
        forget: in the evicting transaction, cached references to these digests become "known, not here".
        audit: every reference, kept or cached, with a name that people know it by.
    """

    name: str
    kept: Callable[[ColumnElement[Digest]], ColumnElement[bool]]
    cached: Callable[[ColumnElement[Digest]], ColumnElement[bool]]
    forget: Callable[[Connection, Sequence[Digest]], None]
    audit: Callable[[Connection], Iterator[tuple[Digest, str]]]


def kept_by(holders: Sequence[Holder], column: ColumnElement[Digest]) -> ColumnElement[bool]:
    """Does anybody hold it as the only copy?"""
    return or_(false(), *(holder.kept(column) for holder in holders))


def cached_by(holders: Sequence[Holder], column: ColumnElement[Digest]) -> ColumnElement[bool]:
    """Does anybody hold it as what can be fetched again?"""
    return or_(false(), *(holder.cached(column) for holder in holders))


def held_by(holders: Sequence[Holder], column: ColumnElement[Digest]) -> ColumnElement[bool]:
    """Does anybody hold it at all?"""
    return or_(kept_by(holders, column), cached_by(holders, column))
