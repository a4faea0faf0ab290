"""A whole store at a revision in columns, one row of the database per page of tuples. Called by `datastore`.

The database joins the names of a page into one text, and the text is cut where the separators are: nothing is done per
tuple but that, and the driver waits for one row without holding the interpreter's lock, while the event loop takes in
the page before. Control characters that a name itself may hold make the pieces too many: such a page is read plainly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, String, bindparam, case, cast, func, select

from authz.store.api import TupleColumns
from authz.store.sql.reading import alive, require_readable
from authz.store.sql.tables import BY_POSITION, tuples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Executable, Select

PAGE = 20_000
"""Tuples per page: large beside what a statement costs, small beside what a store holds; some megabytes."""

_CELL, _GROUP = "\x1f", "\x1e"
_FIELDS = 5


class Page(NamedTuple):
    """Some tuples, and the position to go on from; None after the last page."""

    columns: Sequence[TupleColumns]
    last: int | None


def column_page(connection: Connection, store_id: str, revision: int, after: int, size: int) -> Page:
    """Up to `size` tuples behind position `after`.

    Raises `InvalidConsistencyToken` when the revision is no longer kept.
    """
    parameters = {"store_id": store_id, "revision": revision, "after": after, "size": size}
    count, last, groups, text = connection.execute(_joined, parameters).one()
    columns = cut(text, groups) if count else ()
    if columns is None:
        columns = _grouped(connection.execute(_plain, parameters))
    require_readable(connection, store_id, revision)
    return Page(columns, last if count == size else None)


def cut(text: str, groups: int) -> Sequence[TupleColumns] | None:
    """The columns in a text as `_joined` makes it, of so many groups; None when a name holds a separator."""
    fields = text.split(_GROUP)
    if len(fields) != groups * _FIELDS:
        return None
    found = []
    for start in range(0, len(fields), _FIELDS):
        count, object_type, relation, condition, body = fields[start : start + _FIELDS]
        width = 3 if condition else 2
        cells = body.split(_CELL)
        if len(cells) != int(count) * width:
            return None
        contexts = cells[2::width] if condition else []
        found.append(TupleColumns(object_type, relation, condition, cells[::width], cells[1::width], contexts))
    return found


def _statements() -> tuple[Executable, Executable]:
    c = tuples.c
    condition = func.coalesce(c.condition_name, "").label("condition")
    shape = (c.object_type, c.relation, condition)
    context = func.coalesce(c.condition_context, "")
    # One text per tuple: were each column joined by itself, only the database's habits would keep them in step.
    cells = c.object_type + ":" + c.object_id + _CELL + c.tuple_user
    cells += case((condition == "", ""), else_=_CELL + context)
    group = _page(*shape, cells.label("cells")).subquery("page").c
    grouped = (
        select(
            group.object_type,
            group.relation,
            group.condition,
            func.count().label("size"),
            func.max(group.position).label("last"),
            func.aggregate_strings(group.cells, _CELL).label("body"),
        )
        .group_by(group.object_type, group.relation, group.condition)
        .subquery("grouped")
        .c
    )
    line: ColumnElement[str] = cast(grouped.size, String)
    for field in (grouped.object_type, grouped.relation, grouped.condition, grouped.body):
        line = line + _GROUP + field
    joined = select(func.sum(grouped.size), func.max(grouped.last), func.count(), func.aggregate_strings(line, _GROUP))
    return _page(*shape, c.object_id, c.tuple_user, context), joined


def _page(*columns: ColumnElement[Any]) -> Select[Any]:
    """A page of tuples by position, which is the first column."""
    place = tuples.c.position
    return (
        select(place, *columns)
        .where(*alive, place > bindparam("after", type_=BigInteger()), BY_POSITION)
        .order_by(place)
        .limit(bindparam("size", type_=BigInteger()))
    )


_plain, _joined = _statements()


def _grouped(rows: Iterable[Sequence[Any]]) -> Sequence[TupleColumns]:
    found: dict[tuple[str, str, str], TupleColumns] = {}
    for _, object_type, relation, condition, name, user, context in rows:
        shape = (object_type, relation, condition)
        columns = found.get(shape)
        if columns is None:
            columns = found[shape] = TupleColumns(*shape, [], [], [])
        columns.objects.append(f"{object_type}:{name}")
        columns.users.append(user)
        if condition:
            columns.contexts.append(context)
    return list(found.values())
