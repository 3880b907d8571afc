"""One engine, one writer, one MetaData that the rooms hang their tables on."""

from creamery.database.committer import Committer, announce
from creamery.database.engine import Database
from creamery.database.errors import DatabaseUnavailable, DiskFull, WritesBusy
from creamery.database.gathering import gather, gathered, loaded, write_gathered
from creamery.database.generation import Generations, bump
from creamery.database.inserting import insert_unless_there
from creamery.database.many import execute_many
from creamery.database.metadata import TABLE_OPTIONS, BigId, DigestColumn, LongText, metadata
from creamery.database.numbers import take_number
from creamery.database.prepared import Prepared
from creamery.database.settling import Settling

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
    "Prepared",
    "Settling",
    "WritesBusy",
    "announce",
    "bump",
    "execute_many",
    "gather",
    "gathered",
    "insert_unless_there",
    "loaded",
    "metadata",
    "take_number",
    "write_gathered",
]
