"""One engine, one writer, one MetaData that the rooms hang their tables on."""

from creamery.database.committer import Committer, DiskFull, WritesBusy, announce
from creamery.database.engine import Database, DatabaseUnavailable
from creamery.database.generation import Generations, bump
from creamery.database.metadata import TABLE_OPTIONS, BigId, DigestColumn, LongText, metadata

__all__ = [
    "TABLE_OPTIONS",
    "BigId",
    "Committer",
    "Database",
    "DatabaseUnavailable",
    "DigestColumn",
    "DiskFull",
    "Generations",
    "LongText",
    "WritesBusy",
    "announce",
    "bump",
    "metadata",
]
