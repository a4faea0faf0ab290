"""Which groups a user is in, through others too, kept until a tuple that makes them changes. Used by `engine.lean`.

A check that comes to groups asks whether the user is in any of them. Downward, that walks all groups inside them;
upward from the user there are usually few. So the groups of a user are gathered once, over the reverse rows, and later
checks only intersect. Where a user is in too many groups to gather in passing, the walk goes downward as it does
elsewhere.
"""

from __future__ import annotations

from authz.engine.binding import Get
from authz.index.memory import TupleIndex
from authz.index.rows import MISSING, Row, members
from authz.model.plan import Edge, Plan
from authz.model.reverse import reverse_plan

MAX_GROUPS = 100
"""Groups of a user that are gathered in passing: some tens of microseconds."""
MAX_REMEMBERED = 100_000
"""Groups that are remembered for all users of a plan together: about 10 MB."""
_WEIGHT = 5
"""What remembering a user costs beside the groups, in groups."""
_GROUP_BYTES = 100
"""What remembering a group takes."""

Groups = frozenset[int] | set[int]


def can_be_flattened(plan: Plan) -> bool:
    """Whether tuples alone decide a plan, so that the reverse rows lead to exactly the objects on which it holds."""
    return plan.nesting == 0 and not plan.is_conditional


class Flattened:
    """The objects on which one plan holds, by user, over a live index.

    INVARIANT: what is remembered was gathered from the rows of the plan's pairs as they still are. Ids are safe as
    keys: as long as those rows are the same, an id in them stands for the same name, and one that is not in them has
    no groups, whatever it stands for.
    """

    def __init__(self, index: TupleIndex, plan: Plan) -> None:
        self._index = index
        self._plan = plan
        self._revision = index.revision
        self._last_changed = index.decisions.last_changed(plan)
        self._young: dict[int, Groups | None] = {}
        self._old: dict[int, Groups | None] = {}
        self._weight = 0
        self._ration = index.decisions.ration
        self._ration.join(self)
        reverse = reverse_plan(plan)
        self._starts = [(self._rows(edge), edge.user, following) for edge, following in reverse.starts]
        self._arrivals = {
            arrived: [(self._rows(edge), following) for edge, following in arrivals]
            for arrived, arrivals in reverse.arrivals.items()
        }
        self._links = reverse.links

    def _rows(self, edge: Edge) -> Get:
        (rows,) = self._index.reverse(edge)
        return rows.get

    def of(self, user: int) -> Groups | None:
        """The ids on which the plan holds for a user; None when there are too many to know, or rows are not here."""
        if self._revision != self._index.revision:
            self._follow()
        found = self._young.get(user, self)
        if isinstance(found, Flattened):
            old = self._old
            found = old[user] if user in old else self._gather(user)
            self._remember(user, found)
        return found

    def _follow(self) -> None:
        """The index has moved: forget everything, unless no tuple of the plan has changed."""
        last = self._index.decisions.last_changed(self._plan)
        if last != self._last_changed:
            self._last_changed = last
            self._young, self._old, self._weight = {}, {}, 0
        self._revision = self._index.revision

    def turn(self) -> None:
        """Forget what was not used lately. Called from any thread."""
        self._young, self._old, self._weight = {}, self._young, 0

    def _remember(self, user: int, found: Groups | None) -> None:
        weight = _WEIGHT + (len(found) if found else 0)
        self._ration.spend(weight * _GROUP_BYTES)
        if self._weight + weight > MAX_REMEMBERED // 2:
            self.turn()
        self._weight += weight
        self._young[user] = found

    def _gather(self, user: int) -> Groups | None:
        queue: list[tuple[Plan, int]] = []
        seen: set[tuple[Plan, int]] = set()
        for get, kind, plan in self._starts:
            start = self._index.find(f"{kind.type}:*") if kind.wildcard else user
            if start is not None and not _push(queue, seen, plan, get(start)):
                return None
        for plan, object_ in queue:
            for get, following in self._arrivals.get(plan, ()):
                if not _push(queue, seen, following, get(object_)):
                    return None
            for linked in self._links.get(plan, ()):
                if not _push(queue, seen, linked, object_):
                    return None
        return frozenset(object_ for plan, object_ in queue if plan is self._plan)


def _push(queue: list[tuple[Plan, int]], seen: set[tuple[Plan, int]], plan: Plan, row: Row) -> bool:
    """Queue the ids of a row; False when they are too many, or the row is not in memory."""
    if row is None:
        return True
    if row is MISSING:
        return False
    found = members(row)
    if len(queue) + len(found) > MAX_GROUPS:
        return False
    for object_ in found:
        fact = (plan, object_)
        if fact not in seen:
            seen.add(fact)
            queue.append(fact)
    return True
