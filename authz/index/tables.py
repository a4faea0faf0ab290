"""The mutable tables behind a view: one per edge, in both directions. Written by the views of `index`."""

from __future__ import annotations

from authz.index.rows import Context, Row
from authz.model.plan import Edge


class Table:
    """Rows of one edge by object (`forward`) and by user (`reverse`).

    Rows are changed in place unless somebody holds a snapshot (`shared`): then a changed row is a new object, and
    the rows that a snapshot has handed out stay as they were.
    """

    __slots__ = ("edge", "forward", "reverse")

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.forward: dict[int, Row] = {}
        self.reverse: dict[int, Row] = {}

    def add(self, object_: int, user: int, context: Context | None, *, shared: bool) -> None:
        """Enter one tuple."""
        _add(self.forward, object_, user, context, shared=shared)
        _add(self.reverse, user, object_, context, shared=shared)

    def add_forward(self, object_: int, user: int, context: Context | None) -> None:
        """Enter one tuple in the forward rows alone."""
        _add(self.forward, object_, user, context, shared=False)

    def add_reverse(self, object_: int, user: int, context: Context | None) -> None:
        """Enter one tuple in the reverse rows alone."""
        _add(self.reverse, user, object_, context, shared=False)

    def remove(self, object_: int, user: int, *, shared: bool) -> bool:
        """Take one tuple out; False when it is not here."""
        return _remove(self.forward, object_, user, shared=shared) and _remove(
            self.reverse, user, object_, shared=shared
        )


def _add(rows: dict[int, Row], key: int, entry: int, context: Context | None, *, shared: bool) -> None:
    row = rows.get(key)
    if context is not None:
        if isinstance(row, dict) and not shared:
            row[entry] = context
        else:
            rows[key] = {**row, entry: context} if isinstance(row, dict) else {entry: context}
    elif row is None:
        rows[key] = entry
    elif isinstance(row, int):
        rows[key] = {row, entry}
    elif isinstance(row, set):
        if shared:
            row = rows[key] = row.copy()
        row.add(entry)


def _remove(rows: dict[int, Row], key: int, entry: int, *, shared: bool) -> bool:
    row = rows.get(key)
    if isinstance(row, int):
        if row != entry:
            return False
        del rows[key]
        return True
    if not isinstance(row, set | dict) or entry not in row:
        return False
    if len(row) == 1:
        del rows[key]
        return True
    if shared:
        row = rows[key] = row.copy()
    if isinstance(row, set):
        row.discard(entry)
    else:
        del row[entry]
    return True
