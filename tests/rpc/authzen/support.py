"""Calls of AuthZEN as JSON through the whole chain, without a socket. Used by the tests in this folder."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from authz.call import Call
from authz.http.answers import printer_for
from authz.http.reading import read_body
from authz.rpc.chain import compose
from authz.rpc.edge import Edge
from authz.rpc.exchange import Exchange
from authz.rpc.methods import AUTHZEN, methods_for
from authz.telemetry import Telemetry
from tests.commands.support import new_model, new_store, put, services_over
from tests.rpc.support import Everybody, recorder

if TYPE_CHECKING:
    from authz.commands.limits import Limits
    from authz.commands.services import Services
    from authz.rpc.exchange import Failure
    from authz.store.api import Datastore
    from authz.tuples import RelationshipTuple

Json = dict[str, Any]
Metadata = tuple[tuple[str, str], ...]
_numbers = itertools.count()


@dataclass
class Answer:
    """What a call was answered with: a body, or a failure."""

    body: Json = field(default_factory=dict)
    failure: Failure | None = None
    headers: dict[str, str] = field(default_factory=dict)
    exchange: Exchange | None = None


class World:
    """One store, asked by way of AuthZEN."""

    def __init__(self, services: Services, store_id: str, default: str = "") -> None:
        self.services = services
        self.store_id = store_id
        edge = Edge(services, Everybody(), recorder(), Telemetry.off(services.clock), raise_bugs=True)
        self._methods = {each.name: each for each in methods_for(default) if each.service == AUTHZEN}
        self._calls = {name: (compose(edge, each), printer_for(each)) for name, each in self._methods.items()}

    async def ask(self, name: str, body: Json | str, *metadata: tuple[str, str], store: str | None = None) -> Answer:
        """Make a call; `store` is the one in the path, if not this one."""
        proceed, to_json = self._calls[name]
        payload = (body if isinstance(body, str) else json.dumps(body)).encode()
        scoped = self.store_id if store is None else store
        fields = {"store_id": scoped} if scoped else {}
        call = Call(request_id=f"request-{next(_numbers)}")
        exchange = Exchange(self._methods[name], call, metadata, payload, 30.0)
        exchange.read = lambda type_, raw: read_body(type_, raw, fields)
        answer = await proceed(exchange)
        headers = dict((*exchange.initial, *exchange.trailing))
        found = {} if answer is None else json.loads(to_json(answer))
        return Answer(found, exchange.failure, headers, exchange)

    async def allows(self, subject: str, action: str, resource: str, context: Json | None = None) -> bool:
        """Ask for one decision between names `type:id`."""
        body = {**access(subject, action, resource), **({} if context is None else {"context": context})}
        answer = await self.ask("Evaluation", body)
        assert answer.failure is None, answer.failure
        return bool(answer.body["decision"])


def access(subject: str, action: str, resource: str) -> Json:
    """The members of an evaluation between names `type:id`."""
    return {"subject": entity(subject), "action": {"name": action}, "resource": entity(resource)}


def entity(name: str) -> Json:
    """A subject or a resource; without an id it is searched for."""
    type_, _, id_ = name.partition(":")
    return {"type": type_, "id": id_} if id_ else {"type": type_}


async def new_world(
    datastore: Datastore, model: str, *tuples: RelationshipTuple, limits: Limits | None = None, default: bool = False
) -> World:
    """A store with a model and tuples; `default`: calls without a store are about it."""
    services = services_over(datastore, limits)
    store_id = await new_store(services)
    await new_model(services, store_id, model)
    for start in range(0, len(tuples), 100):
        await put(services, store_id, *tuples[start : start + 100])
    return World(services, store_id, store_id if default else "")
