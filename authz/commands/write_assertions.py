"""Replace the assertions of a model. Called by the edge and the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.assertions import Assertion, dump_assertions
from authz.commands.services import Services
from authz.errors import EntityLimitExceeded, InvalidRequest
from authz.model.compile import CompiledModel
from authz.model.tuples import check_question, check_tuple


class WriteAssertionsQuery(NamedTuple):
    """The assertions of a model; `size` is their length in bytes on the wire, which the limit is about."""

    store_id: str
    model_id: str
    assertions: Sequence[Assertion]
    size: int


async def write_assertions(services: Services, call: Call, query: WriteAssertionsQuery) -> None:
    """Replace all assertions of a model. They are kept, not run.

    Raises:
        ModelNotFound: the store has no such model.
        EntityLimitExceeded: too many bytes.
        InvalidRequest: an assertion asks for what the model does not define.

    """
    model = await services.models.get(query.store_id, query.model_id)
    allowed = services.limits.max_assertions_bytes
    if query.size > allowed:
        raise EntityLimitExceeded(f"the assertions have {query.size} bytes: at most {allowed} are allowed")
    for number, assertion in enumerate(query.assertions):
        _check(model, assertion, number)
    body = dump_assertions(query.assertions)
    now = services.clock.now()
    await services.datastore.write_assertions(query.store_id, query.model_id, body, now=now, by=call.origin)


def _check(model: CompiledModel, assertion: Assertion, number: int) -> None:
    try:
        check_question(model, assertion.key.object, assertion.key.relation, assertion.key.user)
        for tuple_ in assertion.contextual_tuples:
            check_tuple(model, tuple_)
    except InvalidRequest as error:
        raise InvalidRequest(f"assertion {number}: {error.message}") from error
