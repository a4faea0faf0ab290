"""Services over a real datastore, and short ways to fill a store. Used by the tests of commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from authz.access.authorization import Authorizer
from authz.audit.query import TrailRecords
from authz.call import Call, Principal
from authz.commands.create_store import CreateStoreQuery, create_store
from authz.commands.directives import Directives
from authz.commands.limits import Limits
from authz.commands.registry import ModelRegistry
from authz.commands.services import Services
from authz.commands.tokens import TokenCodec
from authz.commands.write import WriteQuery, Written, write
from authz.commands.write_model import WriteModelQuery, write_model
from authz.index.registry import IndexRegistry
from authz.store.api import Datastore
from authz.tuples import RelationshipTuple
from schema_dsl import dsl_to_json
from tests.support.budget import index_budget

CALL = Call(principal=Principal("tester"))
MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define owner: [user]
    define viewer: [user, user:*, group#member, user with weekday] or owner
condition weekday(day: string) {
  day != "sunday"
}
"""
UNKNOWN_ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ"


class SettableClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment that was set."""
        return self.moment

    def monotonic(self) -> float:
        """The same moment in seconds."""
        return self.moment.timestamp()

    def move(self, seconds: float) -> None:
        """Let time pass, or go back."""
        self.moment += timedelta(seconds=seconds)


def services_over(datastore: Datastore, limits: Limits | None = None, key: bytes = b"k" * 32) -> Services:
    """Everything below the edge, with a clock to be set."""
    tokens = TokenCodec(key)
    indexes = IndexRegistry(datastore, tokens.decode, budget=index_budget())
    models, clock = ModelRegistry(datastore, indexes), SettableClock()
    rights = Authorizer(indexes, models, clock, enabled=False)
    directives, records = Directives(datastore, clock), TrailRecords(datastore, lambda wanted: wanted, clock)
    return Services(datastore, models, indexes, tokens, clock, limits or Limits(), directives, rights, records)


async def new_store(services: Services, name: str = "shop") -> str:
    """A store without models; returns its id."""
    return (await create_store(services, CALL, CreateStoreQuery(name))).id


async def new_model(services: Services, store_id: str, text: str = MODEL) -> str:
    """Write a model given as DSL; returns its id."""
    body = dsl_to_json(text)
    return (await write_model(services, CALL, WriteModelQuery(store_id, body, len(str(body))))).model_id


async def new_world(services: Services) -> str:
    """A store with the model above; returns its id."""
    store_id = await new_store(services)
    await new_model(services, store_id)
    return store_id


async def put(services: Services, store_id: str, *tuples: RelationshipTuple) -> Written:
    """Write tuples under the newest model."""
    return await write(services, CALL, WriteQuery(store_id, "", writes=tuples))
