"""The mutable tables behind a view: one per edge, in both directions. Written by the views of `index`."""

from __future__ import annotations

from collections.abc import Sequence

from authz.index.rows import Context, Row
from authz.model.plan import Edge

LONGEST_LIST = 256
"""Entries up to which a reverse row is a list: 8 bytes an entry where a set takes 32 to 107, and a search of it costs
some microseconds."""
_SPARSE = 160
"""Bytes per entry from which on a set that has lost entries is made anew: one just built has at most 107."""


class Table:
    """Rows of one edge by object (`forward`) and by user (`reverse`).

    Forward rows of several entries are sets, for they are searched; reverse rows are only walked over, and are lists
    as long as they are short. Rows are changed in place unless somebody holds a snapshot (`shared`): then a changed
    row is a new object, and the rows that a snapshot has handed out stay as they were.
    """

    __slots__ = ("edge", "forward", "reverse")

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.forward: dict[int, Row] = {}
        self.reverse: dict[int, Row] = {}

    def add(self, object_: int, user: int, context: Context | None, *, shared: bool) -> None:
        """Enter one tuple; one that is here already changes nothing but its context."""
        if add_entry(self.forward, object_, user, context, shared=shared):
            add_entry(self.reverse, user, object_, context, shared=shared, is_list=True)
        elif context is not None:
            add_entry(self.reverse, user, object_, context, shared=shared)

    def add_many(self, objects: Sequence[int], users: Sequence[int], contexts: Sequence[Context]) -> None:
        """Enter tuples that are not here and that nobody reads yet; `contexts` has one for each, or none at all."""
        if contexts:
            for object_, user, context in zip(objects, users, contexts, strict=True):
                self.add(object_, user, context, shared=False)
            return
        _enter_many(self.forward, objects, users)
        _enter_many(self.reverse, users, objects, is_list=True)

    def remove(self, object_: int, user: int, *, shared: bool) -> bool:
        """Take one tuple out; False when it is not here."""
        return remove_entry(self.forward, object_, user, shared=shared) and remove_entry(
            self.reverse, user, object_, shared=shared
        )


def add_entry(
    rows: dict[int, Row], key: int, entry: int, context: Context | None, *, shared: bool, is_list: bool = False
) -> bool:
    """Put an entry into the row of a key; a row of several becomes a list if `is_list`, else a set.

    Returns: whether the entry is new. In a list it must be.
    """
    row = rows.get(key)
    if row is None:
        rows[key] = entry if context is None else {entry: context}
        return True
    if isinstance(row, int):
        if row == entry:
            return False
        rows[key] = [row, entry] if is_list else {row, entry}
        return True
    if isinstance(row, set):
        if entry in row:
            return False
        if shared:
            row = rows[key] = row.copy()
        row.add(entry)
        return True
    if isinstance(row, list):
        if len(row) >= LONGEST_LIST:
            rows[key] = {*row, entry}
        elif shared:
            rows[key] = [*row, entry]
        else:
            row.append(entry)
        return True
    return _add_conditional(rows, key, entry, context, shared=shared)


def _add_conditional(rows: dict[int, Row], key: int, entry: int, context: Context | None, *, shared: bool) -> bool:
    row = rows[key]
    assert isinstance(row, dict)
    assert context is not None
    is_new = entry not in row
    if shared:
        rows[key] = {**row, entry: context}
    else:
        row[entry] = context
    return is_new


def _enter_many(rows: dict[int, Row], keys: Sequence[int], entries: Sequence[int], *, is_list: bool = False) -> None:
    """As `add_entry` for each, without contexts, at a third of the cost."""
    find = rows.get
    for key, entry in zip(keys, entries, strict=True):
        row = find(key)
        if row is None:
            rows[key] = entry
        elif isinstance(row, int):
            rows[key] = [row, entry] if is_list else {row, entry}
        elif isinstance(row, list) and len(row) < LONGEST_LIST:
            row.append(entry)
        elif isinstance(row, set):
            row.add(entry)
        else:
            add_entry(rows, key, entry, None, shared=False, is_list=is_list)


def remove_entry(rows: dict[int, Row], key: int, entry: int, *, shared: bool) -> bool:
    """Take an entry out of the row of a key; False when it is not there."""
    row = rows.get(key)
    if isinstance(row, int):
        if row != entry:
            return False
        del rows[key]
        return True
    if not isinstance(row, set | dict | list) or entry not in row:
        return False
    if len(row) == 1:
        del rows[key]
        return True
    if shared:
        row = rows[key] = row.copy()
    if isinstance(row, set):
        row.discard(entry)
    elif isinstance(row, list):
        row.remove(entry)
    else:
        del row[entry]
    _compact(rows, key, row)
    return True


def _compact(rows: dict[int, Row], key: int, row: set[int] | list[int] | dict[int, Context]) -> None:
    """Give back what a row that has lost entries holds beyond its need; a row never does so by itself."""
    if len(row) == 1 and not isinstance(row, dict):
        (rows[key],) = row
    elif row.__sizeof__() > _SPARSE * len(row) + 500:
        rows[key] = row.copy()
