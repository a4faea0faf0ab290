"""Which objects of a type a user has a relation on: at once, or as they are found. Called by the edge and the CLI."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from authz.call import Call
from authz.commands.decision import overlaid
from authz.commands.evaluate import evaluate, evaluate_on_thread
from authz.commands.listing import Listing, Prepare, asking, time_to_answer
from authz.commands.services import Services
from authz.consistency import Consistency
from authz.engine.list_objects import list_objects as walk_objects
from authz.errors import Cancelled, DeadlineExceeded, InvalidRequest
from authz.index.memory import TupleIndex
from authz.index.partial import PartialView
from authz.model.compile import CompiledModel
from authz.model.tuples import check_contextual_tuples, check_relation, user_problem
from authz.tuples import JsonValue, RelationshipTuple

MAX_CHUNK = 64
"""Objects of a stream that are handed over at once."""
MAX_WAITING = 1_000
"""Chunks of a stream that may wait for their reader; then the walk waits too."""
PATIENCE = 5.0
"""Seconds that a walk, and the thread it is on, waits for a reader that takes nothing."""
_BETWEEN_LOOKS = 0.1


class ListObjectsQuery(NamedTuple):
    """The question. The empty model id means the newest model."""

    store_id: str
    model_id: str
    type: str
    relation: str
    user: str
    contextual_tuples: Sequence[RelationshipTuple] = ()
    context: Mapping[str, JsonValue] = {}
    consistency: Consistency = Consistency()


class ListedObjects(NamedTuple):
    """Objects in no order; `truncated` is empty, or says what cut the list short: `deadline` or `max-results`."""

    objects: Sequence[str]
    truncated: str
    model_id: str
    revision: int


async def list_objects(services: Services, call: Call, query: ListObjectsQuery) -> ListedObjects:
    """List up to the maximum, until the deadline.

    Raises:
        ModelNotFound, LatestModelNotFound: there is no such model.
        TypeNotFound, RelationNotFound: the model does not define what is asked for.
        InvalidRequest, InvalidTuple: the user or a contextual tuple is malformed or not allowed by the model.
        ConditionFailed: the answer depends on a condition that has no value.
        InvalidConsistencyToken, Cancelled: as they say.

    """
    model = await _checked_model(services, query)
    view = await services.indexes.view(query.store_id, query.consistency)
    revision = view.revision
    ask = asking(_walk(model, query), services.limits.list_objects_max_results)
    deadline = time_to_answer(services.clock, call)
    listing = await evaluate(services.clock, call, view, ask, deadline=deadline)
    return ListedObjects(listing.found, listing.truncated, model.id, revision)


class ObjectStream:
    """Objects as they are found. `truncated` is known once the stream has ended: empty, or `deadline`.

    A reader that falls behind holds the walk up, and one that stops for long ends it as the deadline would.
    """

    def __init__(
        self,
        services: Services,
        call: Call,
        query: ListObjectsQuery,
        model: CompiledModel,
        view: TupleIndex | PartialView,
    ) -> None:
        self.model_id = model.id
        self.revision = view.revision
        self.truncated = ""
        self._arrived: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._found: list[str] = []
        self._chunk = 1
        self._room = threading.Semaphore(MAX_WAITING)
        self._is_left = False
        self._call = call
        self._clock = services.clock
        ask = asking(_walk(model, query), 0, self._take)
        self._deadline = time_to_answer(services.clock, call)
        # The walk begins now, while the view is the chosen one.
        walk = evaluate_on_thread(services.clock, call, view, ask, deadline=self._deadline)
        self._walking: asyncio.Future[Listing] = asyncio.ensure_future(walk)
        self._walking.add_done_callback(self._end)

    def _take(self, name: str) -> None:
        """Called by the walk, on its thread: hand objects over, the first at once and later ones in growing chunks."""
        self._found.append(name)
        if len(self._found) >= self._chunk:
            chunk, self._found = self._found, []
            self._chunk = min(2 * self._chunk, MAX_CHUNK)
            self._wait_for_room()
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, chunk)

    def _wait_for_room(self) -> None:
        waited = 0.0
        while not self._room.acquire(timeout=_BETWEEN_LOOKS):
            waited += _BETWEEN_LOOKS
            if self._is_left or self._call.cancelled:
                raise Cancelled("nobody reads the stream any more")
            if waited > PATIENCE or (self._deadline is not None and self._clock.monotonic() > self._deadline):
                raise DeadlineExceeded("the stream was not read in time")

    def _end(self, walking: asyncio.Future[Listing]) -> None:
        # A reader that went away asks for no result: look at the error here, so that nobody calls it forgotten.
        if not walking.cancelled():
            walking.exception()
        if self._found:
            self._arrived.put_nowait(self._found)
        self._arrived.put_nowait(())

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            while chunk := await self._arrived.get():
                self._room.release()
                for name in chunk:
                    yield name
        finally:
            self._is_left = True
        self.truncated = (await self._walking).truncated


async def stream_objects(services: Services, call: Call, query: ListObjectsQuery) -> ObjectStream:
    """List without a maximum, until the deadline, each object as soon as it is found.

    Raises:
        AuthzError: as `list_objects`; `ConditionFailed` and `Cancelled` come out of the stream.

    """
    model = await _checked_model(services, query)
    view = await services.indexes.view(query.store_id, query.consistency)
    return ObjectStream(services, call, query, model, view)


async def _checked_model(services: Services, query: ListObjectsQuery) -> CompiledModel:
    model = await services.models.get(query.store_id, query.model_id, is_exact=query.consistency.is_exact)
    check_relation(model, query.type, query.relation)
    problem = user_problem(model, query.user)
    if problem:
        raise InvalidRequest(problem)
    check_contextual_tuples(model, query.contextual_tuples)
    return model


def _walk(model: CompiledModel, query: ListObjectsQuery) -> Prepare:
    return lambda view, budget, emit: walk_objects(
        overlaid(view, query.contextual_tuples),
        model,
        budget,
        emit,
        type_=query.type,
        relation=query.relation,
        user=query.user,
        context=query.context,
    )
