"""One level of a relation's definition as a tree. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from authz.call import Call
from authz.commands.decision import overlaid
from authz.commands.evaluate import evaluate
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.engine.budget import Budget
from authz.engine.expand import Expand, Node
from authz.errors import InvalidExpand
from authz.index.rows import View
from authz.model.tuples import check_contextual_tuples, check_target
from authz.tuples import RelationshipTuple


class ExpandQuery(NamedTuple):
    """What to expand. The empty model id means the newest model."""

    store_id: str
    model_id: str
    object: str
    relation: str
    contextual_tuples: Sequence[RelationshipTuple] = ()
    consistency: Consistency = Consistency()


Tree = TypeVar("Tree")


class Expanded(NamedTuple, Generic[Tree]):
    """The tree, and the model and revision at which it holds."""

    tree: Tree
    model_id: str
    revision: int


async def expand(services: Services, call: Call, query: ExpandQuery) -> Expanded[Node]:
    """Expand.

    Raises:
        AuthzError: as `expand_as`.

    """
    return await expand_as(services, call, query, lambda tree: tree)


async def expand_as(
    services: Services, call: Call, query: ExpandQuery, convert: Callable[[Node], Tree]
) -> Expanded[Tree]:
    """Expand, and convert the tree where it was made: on a thread of its own if it is large.

    Raises:
        InvalidExpand: no object or no relation is given.
        ModelNotFound, LatestModelNotFound: there is no such model.
        InvalidRequest, InvalidTuple: a name is malformed, not defined or not allowed by the model.
        InvalidConsistencyToken, DeadlineExceeded, Cancelled: as they say.

    """
    if not query.object or not query.relation:
        raise InvalidExpand("expand needs an object and a relation")
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    check_target(model, query.object, query.relation)
    check_contextual_tuples(model, query.contextual_tuples)
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision

    def ask(view: View, budget: Budget) -> Callable[[], Tree | None]:
        over = overlaid(view, query.contextual_tuples)
        expansion = Expand(over, model, budget, object_=query.object, relation=query.relation)

        def run() -> Tree | None:
            tree = expansion.run()
            return None if tree is None else convert(tree)

        return run

    tree: Tree = await evaluate(services.clock, call, view, ask)
    return Expanded(tree, model.id, revision)
