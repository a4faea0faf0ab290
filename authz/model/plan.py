"""What must be looked up to answer whether a kind of user has a relation: the rewrites, flattened and pruned.

A `Plan` is made for one relation (or one operand of an operator) and one kind of user. Computed relations of the same
object are merged into it, and every branch that this kind of user can never come through is left out before any tuple
is read. The engine walks plans forward from an object (check, list users) and backward from a user (list objects); the
index turns their edges into rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from authz.errors import Bug
from authz.model.compile import CompiledModel, Relation
from authz.model.influence import Influence, Pair, influence_on
from authz.model.reach import Reachability
from authz.model.rewrite import (
    Computed,
    Direct,
    Exclusion,
    Intersection,
    Restriction,
    Rewrite,
    TupleToUserset,
    Union,
    parts,
)
from authz.tuples import UserKind

MAX_MERGED = 8
"""How many computed relations of one object are merged into a plan; more are linked."""

STRIDE = 1 << 16
"""Upper bound of plans in a set: (object id, plan) packs into one integer, `object_id * STRIDE + plan.index`."""


class Edge(NamedTuple):
    """All tuples of one shape: the left side's relation, the kind of user, the condition's name (empty for none)."""

    type: str
    relation: str
    user: UserKind
    condition: str = ""


class Hop(NamedTuple):
    """Whoever has `target` on a user named by `edge` has this plan on the edge's object."""

    edge: Edge
    target: Plan


class Gate(NamedTuple):
    """An intersection of all operands, or (`is_exclusion`) the first operand without the second."""

    is_exclusion: bool
    operands: tuple[Plan, ...]


class Plan:
    """The union of: tuples that name the user (`tests`), hops to other objects, links and gates on this one."""

    __slots__ = ("_influence", "gates", "hops", "index", "is_self", "links", "tests", "type")

    def __init__(self, index: int, type_: str) -> None:
        self.index = index
        self.type = type_
        self.tests: tuple[Edge, ...] = ()
        self.hops: tuple[Hop, ...] = ()
        self.links: tuple[Plan, ...] = ()
        """Plans of computed relations that are not merged: they have gates, or are too many."""
        self.gates: tuple[Gate, ...] = ()
        self.is_self = False
        """Whether the userset asked about is this relation itself: `group:1#member` has `member` on `group:1`."""
        self._influence: Influence | None = None

    @property
    def pairs(self) -> frozenset[Pair]:
        """Every (type, relation) whose tuples can influence this plan. Only for a plan that is complete."""
        return self.own_pairs | self.far_pairs

    @property
    def own_pairs(self) -> frozenset[Pair]:
        """Those whose tuples matter on the object that is asked about. Only for a plan that is complete."""
        return self._gathered().own_pairs

    @property
    def far_pairs(self) -> frozenset[Pair]:
        """Those whose tuples matter on objects that others lead to. Only for a plan that is complete."""
        return self._gathered().far_pairs

    @property
    def is_conditional(self) -> bool:
        """Whether a tuple with a condition can influence this plan. Only for a plan that is complete."""
        return self._gathered().is_conditional

    @property
    def nesting(self) -> int:
        """How many gates may be passed one inside another, counted up to `MANY`; a circle counts as that many."""
        return self._gathered().nesting

    def _gathered(self) -> Influence:
        if self._influence is None:
            self._influence = influence_on(self)
        return self._influence

    def edges(self) -> Iterator[Edge]:
        """The edges of this plan itself."""
        yield from self.tests
        for hop in self.hops:
            yield hop.edge

    def beside(self) -> Iterator[Plan]:
        """The plans through which this one holds without passing a gate."""
        for hop in self.hops:
            yield hop.target
        yield from self.links

    def on_this_object(self) -> Iterator[Plan]:
        """The plans on the same object that this one is made of."""
        yield from self.links
        for gate in self.gates:
            yield from gate.operands

    def following(self) -> Iterator[Plan]:
        """The plans that this one is made of."""
        for hop in self.hops:
            yield hop.target
        yield from self.on_this_object()


class PlanSet:
    """All plans of one model for one kind of user, made as they are asked for."""

    def __init__(self, model: CompiledModel, kind: UserKind) -> None:
        self.model = model
        self.kind = kind
        self._reach = Reachability(model, kind)
        self._lock = threading.Lock()
        self._relations: dict[tuple[str, str], Plan] = {}
        self._count = 0
        # INVARIANT: holds a plan only once everything that it refers to is complete, so it is read without the lock.
        self._ready: dict[tuple[str, str], Plan] = {}

    def plan(self, type_: str, relation: str) -> Plan | None:
        """The plan of a relation, or None when this kind of user can never have it. Safe to call from any thread.

        Raises:
            Bug: the model has more plans than fit, which its size limit excludes.

        """
        found = self._ready.get((type_, relation))
        if found is not None or not self._reach.contains(type_, relation):
            return found
        with self._lock:
            try:
                root = self._build(type_, relation)
            except BaseException:
                # What was begun is incomplete, and an incomplete plan under an exclusion excludes nobody: forget it.
                self._relations = dict(self._ready)
                raise
            self._ready.update(self._relations)
        return root

    def _build(self, type_: str, relation: str) -> Plan | None:
        pending: list[Relation] = []
        root = self.request(type_, relation, pending)
        while pending:
            source = pending.pop()
            _Flattening(self, self._relations[source.type, source.name], pending).run(source)
        return root

    def request(self, type_: str, relation: str, pending: list[Relation]) -> Plan | None:
        """The plan of a relation, perhaps still to be filled: then its relation is put into `pending`."""
        key = (type_, relation)
        if not self._reach.contains(type_, relation):
            return None
        found = self._relations.get(key)
        if found is None:
            found = self._relations[key] = self.new(type_)
            pending.append(self.model.types[type_][relation])
        return found

    def new(self, type_: str) -> Plan:
        """An empty plan with the next index."""
        if self._count == STRIDE:
            raise Bug(f"model `{self.model.id}` needs more than {STRIDE} plans")
        self._count += 1
        return Plan(self._count - 1, type_)

    def has_gates(self, type_: str, relation: str) -> bool:
        """Whether the rewrite of a relation holds an intersection or an exclusion."""
        return any(
            isinstance(part, Intersection | Exclusion) for part in parts(self.model.types[type_][relation].rewrite)
        )

    def can_reach(self, type_: str, rewrite: Rewrite) -> bool:
        """Whether this kind of user may come through a rewrite of a relation of the given type."""
        return self._reach.admits(type_, rewrite)


class _Flattening:
    """Fill one plan from a rewrite; operands of gates become plans of their own."""

    def __init__(self, plans: PlanSet, plan: Plan, pending: list[Relation]) -> None:
        self._plans = plans
        self._plan = plan
        self._pending = pending
        self._tests: dict[Edge, None] = {}
        self._hops: dict[Hop, None] = {}
        self._links: dict[Plan, None] = {}
        self._gates: list[Gate] = []

    def run(self, source: Relation, rewrite: Rewrite | None = None) -> None:
        """Merge `rewrite` (default: the whole relation) and the computed relations it names."""
        merged = set()
        if rewrite is None:
            merged.add(source.name)
        todo: list[tuple[str, Rewrite]] = [(source.name, rewrite or source.rewrite)]
        while todo:
            relation, part = todo.pop()
            match part:
                case Union(operands):
                    todo.extend((relation, operand) for operand in reversed(operands))
                case Computed(name):
                    if name not in merged and not self._link(source.type, name, len(merged)):
                        merged.add(name)
                        todo.append((name, self._plans.model.types[source.type][name].rewrite))
                case Direct(restrictions):
                    for restriction in restrictions:
                        self._direct(source.type, relation, restriction)
                case TupleToUserset(tupleset, computed):
                    self._tuple_to_userset(source.type, tupleset, computed)
                case Intersection() | Exclusion():
                    todo.extend(self._gate(source.type, relation, part))
        self._finish(source.type, merged)

    def _finish(self, type_: str, merged: set[str]) -> None:
        kind = self._plans.kind
        self._plan.tests = tuple(self._tests)
        self._plan.hops = tuple(self._hops)
        self._plan.links = tuple(self._links)
        self._plan.gates = tuple(self._gates)
        self._plan.is_self = bool(kind.relation) and kind.type == type_ and kind.relation in merged

    def _link(self, type_: str, name: str, merged: int) -> bool:
        """Refer to the plan of a computed relation instead of merging it, when merging would repeat too much."""
        if merged < MAX_MERGED and not self._plans.has_gates(type_, name):
            return False
        plan = self._plans.request(type_, name, self._pending)
        if plan is not None and plan is not self._plan:
            self._links[plan] = None
        return True

    def _direct(self, type_: str, relation: str, restriction: Restriction) -> None:
        user, kind = restriction.user, self._plans.kind
        edge = Edge(type_, relation, user, restriction.condition)
        if user == kind or (user.wildcard and not kind.relation and user.type == kind.type):
            self._tests[edge] = None
        if user.relation:
            self._hop(edge, user.type, user.relation)

    def _tuple_to_userset(self, type_: str, tupleset: str, computed: str) -> None:
        for restriction in self._plans.model.types[type_][tupleset].restrictions:
            if self._plans.model.has_relation(restriction.user.type, computed):
                edge = Edge(type_, tupleset, restriction.user, restriction.condition)
                self._hop(edge, restriction.user.type, computed)

    def _hop(self, edge: Edge, type_: str, relation: str) -> None:
        target = self._plans.request(type_, relation, self._pending)
        if target is not None:
            self._hops[Hop(edge, target)] = None

    def _gate(self, type_: str, relation: str, part: Intersection | Exclusion) -> list[tuple[str, Rewrite]]:
        """Add a gate, or return what is left of it when an operand cannot matter."""
        plans = self._plans
        if isinstance(part, Exclusion):
            if not plans.can_reach(type_, part.base):
                return []
            if not plans.can_reach(type_, part.subtract):
                return [(relation, part.base)]
            operands: tuple[Rewrite, ...] = (part.base, part.subtract)
        else:
            operands = part.operands
            if not all(plans.can_reach(type_, operand) for operand in operands):
                return []
        gate = Gate(isinstance(part, Exclusion), tuple(self._operand(type_, relation, operand) for operand in operands))
        self._gates.append(gate)
        return []

    def _operand(self, type_: str, relation: str, rewrite: Rewrite) -> Plan:
        if isinstance(rewrite, Computed):
            shared = self._plans.request(type_, rewrite.relation, self._pending)
            if shared is not None:
                return shared
        plan = self._plans.new(type_)
        _Flattening(self._plans, plan, self._pending).run(self._plans.model.types[type_][relation], rewrite)
        return plan


@lru_cache(maxsize=1024)
def plans_for(model: CompiledModel, kind: UserKind) -> PlanSet:
    """The shared plans of a model for a kind of user."""
    return PlanSet(model, kind)
