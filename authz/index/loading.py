"""Read a whole store into an index while other calls get their turn, and tell how far it is. Called by `registry`."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import orjson
import structlog

from authz.index.memory import TupleIndex
from authz.index.rows import Context
from authz.model.plan import Edge
from authz.store.api import TupleColumns, TupleReader
from authz.tuples import UserKind, user_kind

TUPLES_PER_TURN = 1_000
"""How many tuples are taken in before other calls get their turn: one or two milliseconds."""
_PROGRESS_SECONDS = 2.0
_QUIET_TUPLES = 10_000
"""A smaller store is there at once, and its load not worth a line."""
_FROZEN_TUPLES = 100_000

_log = structlog.get_logger(__name__)


class EdgeColumns(NamedTuple):
    """Tuples of one edge in columns; `users` without the userset's relation, `contexts` if the edge has a condition."""

    edge: Edge
    objects: Sequence[str]
    users: Sequence[str]
    contexts: Sequence[Context]


async def load(
    index: TupleIndex,
    reader: TupleReader,
    store_id: str,
    *,
    expected: int,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Enter the tuples of a store, as of the revision of a new index.

    Args:
        index: what to enter them in; nobody reads it yet.
        reader: where they are.
        store_id: whose they are.
        expected: how many there are, as far as is known; for the log only.
        monotonic: seconds, for the log.

    Raises:
        InvalidConsistencyToken: the revision was collected while it was read.

    """
    progress = _Progress(store_id, expected, monotonic)
    settled = 0
    async with aclosing(reader.columns(store_id, index.revision)) as batches:
        async for batch in batches:
            for chunk in _chunks(batch):
                for part in by_edge(chunk):
                    index.load_columns(*part)
                await asyncio.sleep(0)
            _FRESH.add(index.tuples - settled)
            settled = index.tuples
            progress.reached(index.tuples)
    progress.end(index.tuples)


def by_edge(columns: TupleColumns) -> Iterator[EdgeColumns]:
    """The same tuples, by what stands on their right."""
    parsed: dict[str, Context] = {text: orjson.loads(text) if text else {} for text in set(columns.contexts)}
    contexts = [parsed[text] for text in columns.contexts]
    users = columns.users
    only = _only_kind(users)
    if only is not None:
        yield EdgeColumns(_edge(columns, only), columns.objects, users, contexts)
        return
    places: dict[tuple[str, str, bool], list[int]] = {}
    names = []
    for place, user in enumerate(users):
        name, _, relation = user.partition("#")
        type_, _, id_ = name.partition(":")
        names.append(name)
        places.setdefault((type_, relation, id_ == "*" and not relation), []).append(place)
    for kind, chosen in places.items():
        yield EdgeColumns(
            _edge(columns, UserKind._make(kind)),
            [columns.objects[place] for place in chosen],
            [names[place] for place in chosen],
            [contexts[place] for place in chosen] if contexts else (),
        )


def _only_kind(users: Sequence[str]) -> UserKind | None:
    """The kind of all users if they are plain objects of one type, as most often; found without a look at each."""
    kind = user_kind(users[0])
    text = "\n".join(users)
    gaps = len(users) - 1
    if "#" in text or "*" in text or not text.count("\n") == text.count(f"\n{kind.type}:") == gaps:
        return None
    return kind


def _edge(columns: TupleColumns, kind: UserKind) -> Edge:
    return Edge(columns.object_type, columns.relation, kind, columns.condition)


def _chunks(batch: Sequence[TupleColumns]) -> Iterator[TupleColumns]:
    for columns in batch:
        for start in range(0, len(columns.objects), TUPLES_PER_TURN):
            end = start + TUPLES_PER_TURN
            yield columns._replace(
                objects=columns.objects[start:end],
                users=columns.users[start:end],
                contexts=columns.contexts[start:end],
            )


class _Fresh:
    """Takes what is loaded out of the collector's sight, or it walks through all of it again and again.

    The rows stay for as long as the store is asked about. A full pass took 80 ms per 130,000 tuples.
    """

    def __init__(self) -> None:
        # What the program itself consists of goes with the first load, however small.
        self._tuples = _FROZEN_TUPLES

    def add(self, tuples: int) -> None:
        """So many more were loaded, by this load or another."""
        self._tuples += tuples
        if self._tuples >= _FROZEN_TUPLES:
            self._tuples = 0
            # Garbage that is out of sight stays for ever: questions that have ended, with the indexes they refer to.
            gc.collect()
            gc.freeze()


_FRESH = _Fresh()


class _Progress:
    """Tells the log of a load: that it began, every two seconds where it is, and what it took."""

    def __init__(self, store_id: str, expected: int, monotonic: Callable[[], float]) -> None:
        self._store_id = store_id
        self._expected = expected
        self._monotonic = monotonic
        self._started = self._told = monotonic()
        self._log = _log.info if expected >= _QUIET_TUPLES else _log.debug
        self._log("index_load_started", store_id=store_id, expected=expected)

    def reached(self, tuples: int) -> None:
        """So many are in the index."""
        now = self._monotonic()
        if now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        percent = min(100 * tuples // max(self._expected, 1), 100)
        self._log(
            "index_load_progress", store_id=self._store_id, tuples=tuples, percent=percent, rate=self._rate(tuples, now)
        )

    def end(self, tuples: int) -> None:
        """All are."""
        now = self._monotonic()
        seconds = round(now - self._started, 3)
        self._log(
            "index_load_finished",
            store_id=self._store_id,
            tuples=tuples,
            seconds=seconds,
            rate=self._rate(tuples, now),
        )

    def _rate(self, tuples: int, now: float) -> int:
        """Tuples per second."""
        return round(tuples / max(now - self._started, 1e-6))
