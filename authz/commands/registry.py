"""Compiled models by store and id. Asked by every command that needs a model; told by `write_model` of new ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import NamedTuple, Protocol

import orjson
from cachetools import LRUCache

from authz.errors import LatestModelNotFound, ModelNotFound
from authz.index.signal import Signal, model_key
from authz.model.compile import CompiledModel, compile_model
from authz.store.api import Datastore

_LATEST_CAPACITY = 100_000


class ChangeSignal(Protocol):
    """Tells its subscribers that another process may have committed. The index owns the only one."""

    def observe(self) -> Awaitable[None]:
        """Look once; call the subscribers when something may have changed."""
        ...

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever something may have changed."""
        ...


class _Latest(NamedTuple):
    """The newest model of a store, as of when the other workers had told this much."""

    id: str
    state: bytes
    until: float


class ModelRegistry:
    """Keeps compiled models, which never change, and the id of each store's newest one, which does.

    INVARIANT: a remembered newest id was read after the last change that the signal, or another worker of this host,
    told of. `signal` is None when no signal is exact (it may come after the answer of another node's write) and there
    are no other workers; then the newest id is asked for every time.

    Args:
        datastore: where models are.
        signal: tells of changes by other processes.
        capacity: how many compiled models are kept.
        workers: tells of changes by the other workers of this host.
        lag: for how many seconds a newest id is remembered at most, when `signal` may come late.

    """

    def __init__(
        self,
        datastore: Datastore,
        signal: ChangeSignal | None = None,
        *,
        capacity: int = 1000,
        workers: Signal | None = None,
        lag: float = inf,
    ) -> None:
        self._datastore = datastore
        self._signal = signal
        self._workers = workers
        self._lag = lag
        self._models: LRUCache[tuple[str, str], CompiledModel] = LRUCache(capacity)
        self._latest: LRUCache[str, _Latest] = LRUCache(_LATEST_CAPACITY)
        self._loading: dict[tuple[str, str], asyncio.Task[CompiledModel]] = {}
        self._generation = 0
        self.hits = self.misses = 0
        """How often a compiled model was at hand, and how often it was not."""
        if signal is not None:
            signal.subscribe(self.forget_latest)

    async def get(self, store_id: str, model_id: str = "", *, is_exact: bool = False) -> CompiledModel:
        """A model by its id, or the newest one of the store for the empty id.

        `is_exact` asks the datastore which one is the newest, whatever is remembered.

        Raises:
            ModelNotFound: no model of the store has this id.
            LatestModelNotFound: the store has no model.

        """
        if not model_id:
            model_id = await self._latest_id(store_id, is_exact=is_exact)
        model = self._models.get((store_id, model_id))
        if model is not None:
            self.hits += 1
            return model
        self.misses += 1
        return await self._load(store_id, model_id)

    def add(self, store_id: str, model: CompiledModel) -> None:
        """Take in a model that this process has just written, before that is acknowledged."""
        self._models[store_id, model.id] = model
        self.forget_latest()
        if self._workers is not None:
            self._workers.raise_(model_key(store_id))

    def forget_latest(self) -> None:
        """Ask again which models are the newest: one may have been written."""
        self._generation += 1
        self._latest.clear()

    async def _latest_id(self, store_id: str, *, is_exact: bool) -> str:
        if self._signal is not None and not is_exact:
            await self._signal.observe()
            known = self._latest.get(store_id)
            if known is not None and known.state == self._state(store_id) and time.monotonic() < known.until:
                return known.id
        generation, state, until = self._generation, self._state(store_id), time.monotonic() + self._lag
        found = await self._datastore.latest_model_id(store_id)
        if found is None:
            raise LatestModelNotFound(f"store `{store_id}` has no authorization model")
        # An answer that was on its way while somebody wrote may be the old one: use it, but do not keep it.
        if self._signal is not None and generation == self._generation:
            self._latest[store_id] = _Latest(found, state, until)
        return found

    def _state(self, store_id: str) -> bytes:
        return b"" if self._workers is None else self._workers.state(model_key(store_id))

    async def _load(self, store_id: str, model_id: str) -> CompiledModel:
        """Read and compile a model; calls that want the same one meanwhile wait for this one."""
        key = (store_id, model_id)
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._compile(store_id, model_id))
            task.add_done_callback(lambda _: self._loading.pop(key))
        return await asyncio.shield(task)

    async def _compile(self, store_id: str, model_id: str) -> CompiledModel:
        record = await self._datastore.read_model(store_id, model_id)
        if record is None:
            raise ModelNotFound(f"no authorization model `{model_id}` in store `{store_id}`")
        # A large model takes long to compile; meanwhile the event loop answers others.
        model = await asyncio.to_thread(lambda: compile_model(model_id, orjson.loads(record.body)))
        self._models[store_id, model_id] = model
        return model
