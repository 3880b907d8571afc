"""The one MetaData that every room hangs its tables on, and the column types that all three databases agree about.

Times are integer microseconds (MariaDB drops fractions and zones), digests are 32 bytes, names compare by their
bytes (MariaDB's usual collations hold `A` for `a` and `"x "` for `"x"`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, MetaData, TypeDecorator
from sqlalchemy.dialects.mysql import BINARY, LONGTEXT
from sqlalchemy.types import Text, TypeEngine

from creamery.contract import Digest

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TABLE_OPTIONS: dict[str, Any] = {
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_nopad_bin",
    "mysql_engine": "InnoDB",
}
"""Every `Table(..., **TABLE_OPTIONS)`."""

BigId = BigInteger().with_variant(Integer(), "sqlite")
"""A row's number that the database counts up; SQLite counts only `INTEGER`."""

LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
"""Text without a length; MariaDB's TEXT ends at 64 kB."""


class DigestColumn(TypeDecorator[Digest]):
    """A `Digest` as its 32 bytes."""

    impl = LargeBinary(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(BINARY(32))
        return dialect.type_descriptor(LargeBinary(32))

    def process_bind_param(self, value: Digest | None, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Digest | None:
        return None if value is None else Digest(value.hex())
