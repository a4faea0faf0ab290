"""The chains of the audit trail: their heads and segments. Called by `datastore`, and by `recording` for changes.

Whoever adds to a chain holds the lock of its head row first; a chain without a row is begun by inserting one, which
only one of several can do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, String, bindparam, delete, insert, select, tuple_, update
from sqlalchemy.sql.compiler import SQLCompiler

from authz.errors import Bug, WriteConflict
from authz.store.sql.failures import Raced
from authz.store.sql.instants import to_microseconds
from authz.store.sql.tables import IS_LONG, LONG_SEGMENT, chains, segments
from authz.store.trail import Head, Segment, SegmentPosition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine, Insert, Select, Update

    from authz.store.sql.dialect import Dialect


_COUNTED = {"preserve_rowcount": True}
"""Lets the rows of an INSERT be counted."""
_LONG = timedelta(microseconds=LONG_SEGMENT)
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)

_h, _s = chains.c, segments.c
_CHAIN = bindparam("chain", type_=String())
_BASE = bindparam("base", type_=BigInteger())
_SIZE = bindparam("size", type_=BigInteger())

_head = [_h[name] for name in Head._fields]
_segment = [_s[name] for name in Segment._fields]
_position = tuple_(_s.ended_at, _s.chain, _s.first)

_find_head = select(*_head).where(_h.chain == _CHAIN)
_lock_head = select(*_head).where(_h.chain == _CHAIN).with_for_update()
_heads = select(*_head).where(_h.chain > bindparam("after", type_=String())).order_by(_h.chain).limit(_SIZE)
_move_head = (
    update(chains)
    .where(_h.chain == bindparam("name", type_=String()))
    .values({column.name: bindparam(column.name) for column in chains.c if not column.primary_key})
)
_advance = (
    update(chains)
    .where(
        _h.chain == bindparam("name"),
        _h.sequence == bindparam("end"),
        _h.base_sequence == bindparam("base"),
        _h.base_mac == bindparam("base_code"),
    )
    .values({name: bindparam(name) for name in ("sequence", "mac", "key_id", "seal")})
)
_add_segment = insert(segments)
_behind = select(*_segment).where(_s.chain == _CHAIN, _s.last > _BASE).order_by(_s.chain, _s.last).limit(_SIZE)
_next_first = select(_s.first).where(_s.chain == _CHAIN, _s.last > _BASE).order_by(_s.last).limit(1)
_remove = delete(segments).where(_s.chain == _CHAIN, _s.last <= _BASE)
_newest = select(*_segment).order_by(_s.ended_at.desc(), _s.chain.desc(), _s.first.desc()).limit(_SIZE)
_oldest = select(*_segment).order_by(_s.ended_at, _s.chain, _s.first).limit(_SIZE)


class _Prepared:
    """A statement compiled once, given to the driver as it is: a third of the cost, at each flush of the trail. Values
    have the form that the driver stores."""

    def __init__(self, statement: Insert | Update, engine: Engine) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        assert isinstance(compiled, SQLCompiler)
        self._text = str(compiled)
        self._order = compiled.positiontup

    def run(self, connection: Connection, values: dict[str, Any]) -> int:
        """Execute; returns how many rows were changed."""
        bound = values if self._order is None else tuple([values[name] for name in self._order])
        return connection.exec_driver_sql(self._text, bound).rowcount


class Trail:
    """The statements that change chains."""

    def __init__(self, dialect: Dialect) -> None:
        self._add_head = dialect.insert_missing(chains)
        self._advance = _Prepared(_advance, dialect.writer)
        self._add_segment = _Prepared(_add_segment, dialect.writer)

    def lock(self, connection: Connection, chain: str) -> Head | None:
        """The head of a chain, held until the transaction ends; None when the chain is to be begun."""
        row = connection.execute(_lock_head, {"chain": chain}).first()
        return None if row is None else Head._make(row)

    def extend(self, connection: Connection, before: Head | None, segment: Segment, head: Head) -> None:
        """Add a segment to a chain that is locked, or begin the chain with it.

        Raises `Raced` when another transaction has begun the chain since it was found missing, and `Bug` when the
        segment does not follow on the chain.
        """
        _require_sequel(before, segment, head)
        if before is not None:
            _move(connection, head)
        elif connection.execute(self._add_head, head._asdict(), execution_options=_COUNTED).rowcount != 1:
            raise Raced
        self._add(connection, segment)

    def append_segment(self, connection: Connection, segment: Segment, head: Head) -> None:
        """See `TrailStore`."""
        if segment.first <= segment.last == head.sequence and self._advanced(connection, segment, head):
            self._add(connection, segment)
            return
        before = self.lock(connection, segment.chain)
        end = 0 if before is None else before.sequence
        if end != segment.first - 1 or _base(before) != _base(head):
            raise WriteConflict(f"another writer has extended or cut the audit chain `{segment.chain}`")
        self.extend(connection, before, segment, head)

    def _advanced(self, connection: Connection, segment: Segment, head: Head) -> bool:
        """Lock, compare and move a head in one statement; whether it was where the segment follows."""
        values = {
            "name": segment.chain,
            "end": segment.first - 1,
            "base": head.base_sequence,
            "base_code": head.base_mac,
            "sequence": head.sequence,
            "mac": head.mac,
            "key_id": head.key_id,
            "seal": head.seal,
        }
        return head.chain == segment.chain and self._advance.run(connection, values) == 1

    def _add(self, connection: Connection, segment: Segment) -> None:
        values = segment._asdict()
        values["started_at"] = to_microseconds(segment.started_at)
        values["ended_at"] = to_microseconds(segment.ended_at)
        self._add_segment.run(connection, values)

    def cut_chain(self, connection: Connection, head: Head) -> int:
        """See `TrailStore`."""
        before = self.lock(connection, head.chain)
        is_same = before is not None and (before.sequence, before.mac) == (head.sequence, head.mac)
        if before is None or not is_same or head.base_sequence < before.base_sequence:
            raise WriteConflict(f"another writer has extended or cut the audit chain `{head.chain}`")
        place = {"chain": head.chain, "base": head.base_sequence}
        following = connection.execute(_next_first, place).scalar()
        if head.base_sequence > head.sequence or (following is not None and following <= head.base_sequence):
            raise Bug("an audit chain can only be cut between two segments")
        _move(connection, head)
        return connection.execute(_remove, place).rowcount


def chain_head(connection: Connection, chain: str) -> Head | None:
    """The head of a chain."""
    row = connection.execute(_find_head, {"chain": chain}).first()
    return None if row is None else Head._make(row)


def chain_heads(connection: Connection, after: str, limit: int) -> Sequence[Head]:
    """Heads by the name of their chain."""
    return [Head._make(row) for row in connection.execute(_heads, {"after": after, "size": limit})]


def chain_segments(connection: Connection, chain: str, after: int, limit: int) -> Sequence[Segment]:
    """Segments of a chain with a record beyond `after`, in order."""
    found = connection.execute(_behind, {"chain": chain, "base": after, "size": limit})
    return [Segment._make(row) for row in found]


def newest_segments(
    connection: Connection,
    *,
    since: datetime | None,
    until: datetime | None,
    before: SegmentPosition | None,
    limit: int,
) -> Sequence[Segment]:
    """Segments that reach into a window of time, newest first."""
    statement = _newest
    if since is not None:
        statement = statement.where(_s.ended_at >= since)
    if before is not None:
        statement = statement.where(_position < before)
    if until is None:
        return _segments(connection, statement, limit)
    # What begins in the window ends soon after it, but for the long ones: those have an index of their own. Else all
    # that is newer than the window would have to be passed over.
    statement, soon = statement.where(_s.started_at <= until), until + min(_LONG, _END_OF_TIME - until)
    ends_soon = _segments(connection, statement.where(_s.ended_at <= soon), limit)
    ends_late = _segments(connection, statement.where(IS_LONG, _s.ended_at > soon), limit)
    return [*ends_late, *ends_soon][:limit]


def segments_after(connection: Connection, position: SegmentPosition, limit: int) -> Sequence[Segment]:
    """Segments behind a position, oldest first."""
    return _segments(connection, _oldest.where(_position > position), limit)


def _segments(connection: Connection, statement: Select[Any], limit: int) -> list[Segment]:
    return [Segment._make(row) for row in connection.execute(statement, {"size": limit})]


def _require_sequel(before: Head | None, segment: Segment, head: Head) -> None:
    first = 1 if before is None else before.sequence + 1
    is_whole = segment.first == first and segment.first <= segment.last == head.sequence
    if not is_whole or segment.chain != head.chain or _base(before) != _base(head):
        raise Bug("a segment of the audit trail does not follow on its chain")


def _base(head: Head | None) -> tuple[int, bytes]:
    return (0, b"") if head is None else (head.base_sequence, head.base_mac)


def _move(connection: Connection, head: Head) -> None:
    values = head._asdict()
    values["name"] = values.pop("chain")
    connection.execute(_move_head, values)
