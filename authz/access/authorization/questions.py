"""What a principal holds in the system store, asked of the engine. Called by the authorizer.

The groups of the caller's token, and the place of a store or module within the service, are true by themselves: they
are laid over the stored grants as contextual tuples.
"""

from __future__ import annotations

from authz.access.authorization.names import MEMBER, SERVICE, STORE, group_object, principal_user
from authz.access.authorization.system import system_model
from authz.call import Call, Principal
from authz.clock import Clock
from authz.commands.decision import Question, decide, overlaid
from authz.commands.evaluate import evaluate
from authz.commands.listing import Walk, asking
from authz.engine.budget import Budget
from authz.engine.list_objects import Emit, list_objects
from authz.errors import DeadlineExceeded
from authz.index import rows
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.tuples import RelationshipTuple, object_type, split_object

View = TupleIndex | PartialView


async def holds(clock: Clock, call: Call, view: View, action: str, object_: str) -> bool:
    """Whether the caller may do something to the service or a store. `view` was chosen since the last await.

    Raises:
        Unavailable, DeadlineExceeded, Cancelled: it cannot be told.

    """
    user = principal_user(call.principal.id)
    if user is None:
        return False
    contextual = _memberships(call.principal, user, view)
    if object_type(object_) == STORE:
        contextual.append(RelationshipTuple(object_, "service", SERVICE))
    model, question = system_model(), Question(object_, action, user, contextual, {})
    return await evaluate(clock, call, view, lambda view, budget: decide(view, model, budget, question))


async def objects_held(clock: Clock, call: Call, view: View, action: str, type_: str) -> frozenset[str]:
    """The ids of all stores or modules on which the caller itself was given an action, as encoded. See `holds`."""
    user = principal_user(call.principal.id)
    if user is None:
        return frozenset()
    model, contextual = system_model(), _memberships(call.principal, user, view)

    def walk(view: rows.View, budget: Budget, emit: Emit) -> Walk | None:
        below = overlaid(view, contextual)
        return list_objects(below, model, budget, emit, type_=type_, relation=action, user=user, context={})

    listing = await evaluate(clock, call, view, asking(walk, limit=0))
    if listing.truncated:
        raise DeadlineExceeded("the deadline passed before the rights of the caller were known")
    return frozenset(split_object(name)[1] for name in listing.found)


def _memberships(principal: Principal, user: str, view: View) -> list[RelationshipTuple]:
    """The groups of the token as tuples; groups that no grant names make no difference, and may be many."""
    groups = map(group_object, principal.groups)
    return [
        RelationshipTuple(group, MEMBER, user) for group in groups if group is not None and view.find(group) is not None
    ]
