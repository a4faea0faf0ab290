"""Plans as the short way walks them: nodes with their rows, for questions where nothing is open. Kept by a view.

Only what has no condition anywhere below, and gates that are not entangled, has nodes. Made for `engine.lean`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from authz.engine.binding import Get
from authz.engine.flattened import Flattened, can_be_flattened
from authz.index.memory import TupleIndex
from authz.index.rows import View
from authz.model.compile import CompiledModel
from authz.model.influence import MANY
from authz.model.plan import Edge, Gate, Plan, plans_for
from authz.tuples import UserKind


class Node:
    """A plan with its rows. Empty until `Lean.fill`, which a walk calls on its first visit (`is_filled`)."""

    __slots__ = ("direct", "gates", "groups", "has_more", "hops", "is_filled", "leads_on", "links", "plan", "wildcards")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.is_filled = False
        self.direct: tuple[Get, ...] = ()
        self.wildcards: tuple[Get, ...] = ()
        self.hops: tuple[tuple[Get, Node], ...] = ()
        self.groups: tuple[tuple[Get, Node, Flattened], ...] = ()
        """Hops to groups that are known from the user's side."""
        self.links: tuple[Node, ...] = ()
        self.gates: tuple[NodeGate, ...] = ()
        self.has_more = False
        """Whether there is a link or a gate."""
        self.leads_on = False
        """Whether there is anything besides tuples that name the user."""

    def release(self) -> None:
        """Lead nowhere any more."""
        self.hops, self.groups, self.links, self.gates = (), (), (), ()
        self.is_filled = False


class NodeGate(NamedTuple):
    """A gate over nodes."""

    is_exclusion: bool
    operands: tuple[Node, ...]


class Route(NamedTuple):
    """Where the questions for one relation and one kind of user begin."""

    plan: Plan
    node: Node | None
    """None when the general evaluation must answer."""
    is_conditional: bool


def is_lean(plan: Plan, kind: UserKind) -> bool:
    """Whether a plan may be asked about here, for users of its kind."""
    return not kind.relation and not kind.wildcard and not plan.is_conditional and plan.nesting < MANY


class Lean:
    """The nodes of one model over one view."""

    def __init__(self, view: View, model: CompiledModel) -> None:
        self._view = view
        self._model = model
        self._nodes: dict[Plan, Node] = {}
        self._flattened: dict[Plan, Flattened] = {}
        self.routes: dict[tuple[str, str, str | UserKind], Route | Literal[False]] = {}
        """By type, relation, and kind of user (its type alone for plain objects); False: never allowed."""

    def route(self, key: tuple[str, str, str | UserKind]) -> Route | Literal[False]:
        """The route of a key that is not in `routes` yet."""
        type_, relation, user = key
        kind = UserKind(user) if isinstance(user, str) else user
        plan = plans_for(self._model, kind).plan(type_, relation)
        found: Route | Literal[False] = False
        if plan is not None:
            node = self._node(plan) if is_lean(plan, kind) else None
            if node is not None:
                self.fill(node)
            found = Route(plan, node, plan.is_conditional)
        self.routes[key] = found
        return found

    def _node(self, plan: Plan) -> Node:
        found = self._nodes.get(plan)
        if found is None:
            found = self._nodes[plan] = Node(plan)
        return found

    def fill(self, node: Node) -> None:
        """Look the rows of a node up."""
        plan = node.plan
        node.direct = tuple(get for edge in plan.tests if not edge.user.wildcard for get in self._rows(edge))
        node.wildcards = tuple(get for edge in plan.tests if edge.user.wildcard for get in self._rows(edge))
        hops: list[tuple[Get, Node]] = []
        groups: list[tuple[Get, Node, Flattened]] = []
        for edge, target in plan.hops:
            flattened = self._flatten(edge, target)
            for get in self._rows(edge):
                if flattened is None:
                    hops.append((get, self._node(target)))
                else:
                    groups.append((get, self._node(target), flattened))
        node.hops, node.groups = tuple(hops), tuple(groups)
        node.links = tuple(self._node(linked) for linked in plan.links)
        node.gates = tuple(self.gate(gate) for gate in plan.gates)
        node.has_more = bool(node.links or node.gates)
        node.leads_on = bool(hops or groups or node.has_more)
        node.is_filled = True

    def release(self) -> None:
        """See `Derived`."""
        for node in self._nodes.values():
            node.release()
        self._nodes.clear()
        self._flattened.clear()
        self.routes.clear()

    def gate(self, gate: Gate) -> NodeGate:
        """The gate over nodes."""
        return NodeGate(gate.is_exclusion, tuple(self._node(operand) for operand in gate.operands))

    def _rows(self, edge: Edge) -> list[Get]:
        return [rows.get for rows in self._view.forward(edge)]

    def _flatten(self, edge: Edge, target: Plan) -> Flattened | None:
        """The users of a hop by user, where that is worth while: a userset of groups that hold other groups.

        A tupleset is walked forward: an object has few parents, but a parent may have any number of objects.
        """
        view = self._view
        if not edge.user.relation or not isinstance(view, TupleIndex):
            return None
        holds_groups = any(hop.edge.user.relation for hop in target.hops)
        if not holds_groups or not can_be_flattened(target):
            return None
        found = self._flattened.get(target)
        if found is None:
            found = self._flattened[target] = Flattened(view, target)
        return found


def lean_for(view: View, model: CompiledModel) -> Lean:
    """The nodes of a model that the view keeps."""
    found = view.bindings.get(model)
    if not isinstance(found, Lean):
        found = Lean(view, model)
        view.bindings[model] = found
    return found
