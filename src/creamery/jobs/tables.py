"""The rows of jobs and schedules, and the questions about them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    RowMapping,
    String,
    Table,
    delete,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.exc import IntegrityError

from creamery.clock import Micros
from creamery.database import TABLE_OPTIONS, BigId, LongText, announce, metadata

State = Literal["new", "running", "done", "failed", "canceled"]
STATES: tuple[State, ...] = get_args(State)

NAME_LENGTH = 64
KEY_LENGTH = 191

job = Table(
    "job",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("kind", String(NAME_LENGTH), nullable=False),
    Column("payload", LongText, nullable=False),
    Column("key", String(KEY_LENGTH)),
    # The key while the job waits, NULL once it has begun: unique among waiting jobs on all three databases.
    Column("waiting_key", String(KEY_LENGTH), unique=True),
    Column("state", String(8), nullable=False),
    Column("run_at", BigInteger, nullable=False),
    Column("lease_owner", String(NAME_LENGTH)),
    Column("lease_until", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("finished", BigInteger),
    Column("error", LongText),
    Index(None, "state", "run_at"),
    **TABLE_OPTIONS,
)

schedule = Table(
    "schedule",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("next_at", BigInteger, nullable=False),
    **TABLE_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job, as those see it who look after the hub.

    Attributes:
        id: the row's number; later ones are larger.
        kind: which handler does it.
        state: `new`: it waits; `running`; `done`; `failed`: its attempts are used up; `canceled`: it was taken back.
        key: of one key at most one job waits.
        payload: what its handler gets.
        attempts: how often it has begun.
        run_at: not before.
        created, started, finished: when it was enqueued, began last, ended.
        error: what its last attempt ended with; None where that is done, or there was none.
    """

    id: int
    kind: str
    state: State
    key: str | None
    payload: Mapping[str, Any]
    attempts: int
    run_at: Micros
    created: Micros
    started: Micros | None
    finished: Micros | None
    error: str | None


_SEEN = tuple(job.c[name] for name in JobRow.__dataclass_fields__)


def enqueue(
    connection: Connection,
    kind: str,
    payload: Mapping[str, Any],
    *,
    now: Micros,
    key: str | None = None,
    run_at: Micros | None = None,
) -> int | None:
    """Write a job in the caller's transaction; it runs once that is committed.

    A job with a `key` is not written while another one with that key waits: that one will see all that the caller's
    transaction has written, because it cannot begin before the transaction ends.

    Args:
        connection: the caller's, within a transaction.
        kind: which handler does it.
        payload: anything that JSON can say; ids rather than things.
        now: the time.
        key: at most one waiting job has it.
        run_at: not before; at once where not given.

    Returns:
        The job's number, or None where one with that key waits already.
    """
    key = _fitting(key)
    row = {
        "kind": kind,
        "payload": orjson.dumps(dict(payload)).decode(),
        "key": key,
        "waiting_key": key,
        "state": "new",
        "run_at": now if run_at is None else run_at,
        "attempts": 0,
        "created": now,
    }
    number = _insert(connection, row) if key is None else _insert_once(connection, key, row)
    if number is not None:
        announce(connection, "jobs")
    return number


def counts(connection: Connection) -> dict[str, int]:
    """How many jobs are in each state (one look through the index)."""
    found = connection.execute(select(job.c.state, func.count()).group_by(job.c.state))
    return dict.fromkeys(STATES, 0) | {state: int(number) for state, number in found}


def jobs(
    connection: Connection,
    *,
    state: State | None = None,
    kind: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[JobRow]:
    """The newest jobs with smaller numbers than `before`, the newest first.

    One range of the primary key, read backwards past whatever does not match; by state, of the index.
    """
    question = select(*_SEEN).order_by(job.c.id.desc()).limit(limit)
    if state is not None:
        question = question.where(job.c.state == state)
    if kind is not None:
        question = question.where(job.c.kind == kind)
    if before is not None:
        question = question.where(job.c.id < before)
    return [_seen(row) for row in connection.execute(question).mappings()]


def find_job(connection: Connection, number: int, *, lock: bool = False) -> JobRow | None:
    """A job by its number (one point read); locked, nobody else changes it until the transaction ends."""
    question = select(*_SEEN).where(job.c.id == number)
    row = connection.execute(question.with_for_update() if lock else question).mappings().first()
    return None if row is None else _seen(row)


def is_due(connection: Connection, kinds: Sequence[str], now: Micros) -> bool:
    """Does a job of these kinds wait for somebody? One look into the index."""
    question = select(job.c.id).where(job.c.state == "new", job.c.run_at <= now, job.c.kind.in_(kinds)).limit(1)
    return connection.execute(question).first() is not None


def is_running(connection: Connection, key: str) -> bool:
    """Does a job with this key run? Few rows are `running` at any time."""
    question = select(job.c.id).where(job.c.state == "running", job.c.key == _fitting(key)).limit(1)
    return connection.execute(question).first() is not None


def thin(connection: Connection, state: State, *, keep: int, finished_before: Micros, at_most: int) -> int:
    """Delete rows in `state` beyond the newest `keep`, and those older; at most so many. Returns how many went."""
    newest_to_go = select(job.c.id).where(job.c.state == state).order_by(job.c.id.desc()).offset(keep).limit(1)
    threshold = connection.execute(newest_to_go).scalar()
    is_old = job.c.finished < finished_before
    goes = is_old if threshold is None else or_(is_old, job.c.id <= threshold)
    chosen = connection.execute(select(job.c.id).where(job.c.state == state, goes).order_by(job.c.id).limit(at_most))
    numbers = [int(number) for number in chosen.scalars()]
    connection.execute(delete(job).where(job.c.id.in_(numbers)))
    return len(numbers)


def _seen(row: RowMapping) -> JobRow:
    return JobRow(**(dict(row) | {"payload": orjson.loads(row["payload"])}))


def _insert(connection: Connection, row: Mapping[str, Any]) -> int:
    key: Any = connection.execute(insert(job).values(**row)).inserted_primary_key
    return int(key[0])


def _insert_once(connection: Connection, key: str, row: Mapping[str, Any]) -> int | None:
    """Insert unless one waits; a waiting row is locked, so that it cannot begin before the caller commits.

    Each turn that does not end it means that another process has enqueued the same key and begun it in between.
    """
    waiting = select(job.c.id).where(job.c.waiting_key == key).with_for_update()
    while connection.execute(waiting).first() is None:
        savepoint = connection.begin_nested()
        try:
            number = _insert(connection, row)
            savepoint.commit()
        except IntegrityError:  # another process was faster: its row is there now, or has begun already
            savepoint.rollback()
        else:
            return number
    return None


def _fitting(key: str | None) -> str | None:
    """A key may be made from a name that somebody sent; whatever its length, it has a place in the column."""
    if key is None or len(key) <= KEY_LENGTH:
        return key
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
