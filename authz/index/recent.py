"""Which rows changed lately: whether one that was read as of some revision still holds. Used by `index.shared` and
`index.decisions`."""

from __future__ import annotations

from collections import deque

REMEMBERED = 4096
"""Changes of rows that are remembered: about 0.7 MB."""


class RecentChanges:
    """The newest revision at which a row changed, for the newest changes: all those after `complete_after`.

    Keys are kept by hash: two that share one are only thought to have changed when they have not.
    """

    def __init__(self, revision: int) -> None:
        """Begin with the changes after `revision`."""
        self.complete_after = revision
        self._newest: dict[int, int] = {}
        self._order: deque[tuple[int, int]] = deque()

    def note(self, key: tuple[str, ...], revision: int) -> None:
        """A row changed; revisions come in order."""
        hashed = hash(key)
        self._newest[hashed] = revision
        self._order.append((hashed, revision))
        if len(self._order) > REMEMBERED:
            hashed, self.complete_after = self._order.popleft()
            if self._newest.get(hashed) == self.complete_after:
                del self._newest[hashed]

    def may_have_changed(self, key: tuple[str, ...], revision: int) -> bool:
        """Whether a row may have changed after a revision."""
        # INVARIANT: `complete_after` is raised before a key is dropped, and read after it is looked for, so that other
        # threads may ask while changes are noted.
        return self._newest.get(hash(key), 0) > revision or revision < self.complete_after
