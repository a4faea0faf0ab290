"""The model of the rights on the API, and its copy in the datastore. Used by the authorizer, the grants and `app`.

Every process decides by the model that it was built with, so that nodes of two versions can serve one datastore. The
copy is for those who look: it makes the system store readable by the ordinary calls.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import orjson

from authz.access.authorization.names import SYSTEM_STORE
from authz.call import Authentication, Call, Principal
from authz.commands.services import Services
from authz.commands.write_model import WriteModelQuery, write_model
from authz.consistency import Consistency
from authz.model.compile import CompiledModel, compile_model
from authz.tuples import JsonValue
from schema_dsl import dsl_to_json

_FILE = "system.fga"
_PAGE = 50
_ITSELF = Principal("service/start", Authentication.NONE)


@cache
def system_body() -> dict[str, JsonValue]:
    """The model as JSON."""
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    return dsl_to_json(text)


@cache
def system_model() -> CompiledModel:
    """The model, compiled."""
    return compile_model(SYSTEM_STORE, system_body())


async def prepare_system_store(services: Services) -> None:
    """Put this program's model into the system store, unless it is there, and load what was granted.

    Safe when many nodes start at once: at worst two copies of the same model are kept. An older program that starts
    again finds its own model among those of newer ones, and adds nothing.

    Raises:
        Unavailable: the datastore does not answer.

    """
    body = system_body()
    if not await _is_there(services, body):
        size = len(orjson.dumps(body))
        await write_model(services, Call(principal=_ITSELF), WriteModelQuery(SYSTEM_STORE, body, size))
    await services.indexes.view(SYSTEM_STORE, Consistency())  # the first caller need not wait for it


async def _is_there(services: Services, body: dict[str, JsonValue]) -> bool:
    before = ""
    while True:
        page = await services.datastore.list_models(SYSTEM_STORE, before_id=before, limit=_PAGE)
        if any(orjson.loads(record.body) == body for record in page):
            return True
        if len(page) < _PAGE:
            return False
        before = page[-1].id
