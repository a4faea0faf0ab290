"""Read the assertions of a model. Called by the edge and the CLI."""

from __future__ import annotations

from typing import NamedTuple

from authz.call import Call
from authz.commands.assertions import Assertion, load_assertions
from authz.commands.services import Services


class ReadAssertionsQuery(NamedTuple):
    """Which model of which store."""

    store_id: str
    model_id: str


async def read_assertions(services: Services, _call: Call, query: ReadAssertionsQuery) -> list[Assertion]:
    """The assertions as they were written; none when none were.

    Raises:
        ModelNotFound: the store has no such model.

    """
    model = await services.models.get(query.store_id, query.model_id)
    body = await services.datastore.read_assertions(query.store_id, model.id)
    return [] if body is None else load_assertions(body)
