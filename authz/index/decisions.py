"""Decisions remembered until a tuple that could change them changes. Carried by an index, asked by `engine.check`.

A decision is a function of the plan (a model, a relation, a kind of user), the object, the user, and some tuples: those
of the plan's own pairs on the object, and those of its far pairs on any object. Names are texts, so that it does not
matter which ids an index gives them. With L the revision at which one of these tuples last changed (or the index was
loaded, if that is later), they are the same at every revision from L to the index's own. So a decision found at
revision f holds at a view's revision r whenever L <= f and L <= r; neither is beyond the index's own revision. A write
that shares one document leaves the decisions on all other documents in place. What each kind of read gets:

- the live index, however fresh it was asked to be (minimize-latency, at-least-as-fresh, fully-consistent): freshness is
  settled by the index's revision before anything is looked up here, and a hit is what an evaluation at that very
  revision would say;
- an exact snapshot: the same if its revision is not below L, and nothing if it is;
- a snapshot of the index on another thread: what it finds is remembered with the snapshot's revision, so that a change
  applied meanwhile makes it invalid from the start.

Where L is not known exactly it is taken to be later. Where a condition, a context or contextual tuples have a say,
`engine.check` asks for nothing and remembers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from authz.index.ration import Ration
from authz.index.recent import RecentChanges
from authz.model.influence import Pair
from authz.model.plan import Plan

DECISIONS: Final = 100_000
"""How many decisions an index remembers unless told otherwise: about 25 MB."""
DECISION_BYTES: Final = 400
"""What a decision takes at most, with usual names."""

_Key = tuple[Plan, str, str]


class Tally:
    """How many questions were answered from what is remembered, and how many were not; outlives indexes."""

    __slots__ = ("hits", "misses")

    def __init__(self) -> None:
        self.hits = self.misses = 0


class Decisions:
    """A bounded memory of decisions in two generations: what is used stays, what is not is gone by the second turn.

    Any thread may ask and remember: each access is one operation on a dict, and what two threads that turn the
    generations at once may lose are only entries.
    """

    def __init__(
        self,
        changed: Mapping[tuple[str, str], int],
        loaded: int,
        capacity: int = DECISIONS,
        tally: Tally | None = None,
        ration: Ration | None = None,
    ) -> None:
        """Remember up to `capacity` decisions, none when it is below two.

        Args:
            changed: the index's record of when tuples of each (type, relation) last changed; kept, not copied.
            loaded: the revision at which that record begins.
            capacity: how many entries there may be.
            tally: where it is counted what they are good for.
            ration: what the decisions of all indexes may take together.

        """
        self._changed = changed
        self._loaded = loaded
        self._generation = capacity // 2
        # Each entry is `revision * 2 + allowed`: one small object instead of three.
        self._young: dict[_Key, int] = {}
        self._old: dict[_Key, int] = {}
        self._recent = RecentChanges(loaded)
        # Plan -> when tuples of its far and of its own pairs last changed, as worked out since the index last moved.
        self._settled: dict[Plan, tuple[int, int]] = {}
        self.tally = Tally() if tally is None else tally
        self.ration = Ration() if ration is None else ration
        """What all memories that are derived from tuples share."""
        self.ration.join(self)

    @property
    def is_on(self) -> bool:
        """Whether anything is ever remembered."""
        return self._generation > 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, plan: Plan, object_: str, user: str, revision: int) -> bool | None:
        """The decision of a plan for an object and a user at a view's revision; None when it is not known."""
        key = (plan, object_, user)
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None)
            if entry is not None:
                self._enter(key, entry)
        if entry is not None:
            known = min(entry >> 1, revision)
            far, own = self._last_changes(plan)
            if far <= known and (own <= known or not self._recent.may_have_changed((object_,), known)):
                if own > known:
                    # It holds at the view's revision as well: what is used does not grow too old to be known.
                    self._young[key] = revision * 2 + (entry & 1)
                self.tally.hits += 1
                return bool(entry & 1)
        self.tally.misses += 1
        return None

    def remember(self, plan: Plan, object_: str, user: str, *, allowed: bool, revision: int) -> None:
        """Keep a decision that was found over a view of the index at a revision."""
        if self._generation:
            self._enter((plan, object_, user), revision * 2 + allowed)

    def note(self, object_: str, revision: int) -> None:
        """A tuple on an object changes; `changed` knows of it too."""
        self._recent.note((object_,), revision)

    def moved(self) -> None:
        """The index has moved forward: what it noted is complete up to its new revision."""
        # INVARIANT: what another thread worked out while changes were applied went into the dict that ends here.
        self._settled = {}

    def last_changed(self, plan: Plan) -> int:
        """The revision at which a tuple of any of the plan's pairs last changed, or at which the index was loaded."""
        return max(self._last_changes(plan))

    def turn(self) -> None:
        """Forget what was not used lately. Called from any thread."""
        self._old = self._young
        self._young = {}

    def forget(self) -> None:
        """Forget everything: nobody asks any more."""
        self.turn()
        self.turn()

    def _enter(self, key: _Key, entry: int) -> None:
        self.ration.spend(DECISION_BYTES)
        if len(self._young) >= self._generation:
            self.turn()
        self._young[key] = entry

    def _last_changes(self, plan: Plan) -> tuple[int, int]:
        """When tuples of the plan's far and of its own pairs last changed; the former is not before the load."""
        settled = self._settled
        last = settled.get(plan)
        if last is None:
            last = settled[plan] = (max(self._newest(plan.far_pairs), self._loaded), self._newest(plan.own_pairs))
        return last

    def _newest(self, pairs: Iterable[Pair]) -> int:
        return max((self._changed.get(pair, 0) for pair in pairs), default=0)
