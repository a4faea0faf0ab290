"""The order of changes: whole revisions, none left out. Used by the indexes that take them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from authz.errors import Bug
from authz.store.api import Change


def in_order(changes: Iterable[Change], revision: int) -> Iterator[Change]:
    """The changes after a revision; those up to it are passed over.

    Raises:
        Bug: a revision is left out.

    """
    reached = revision
    for change in changes:
        if change.revision <= revision:
            continue
        if change.revision > reached + 1:
            raise Bug(f"the changelog goes from revision {reached} to {change.revision}")
        reached = change.revision
        yield change
