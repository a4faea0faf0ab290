"""A process killed in the middle of its writes leaves whole transactions behind, and every acknowledged one."""

from __future__ import annotations

import itertools
import random
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from authz.store.api import Operation
from authz.store.sql import SqlDatastore, open_datastore
from authz.tuples import RelationshipTuple
from tests.store.crash_writer import TUPLES_PER_WRITE, WRITERS, tuples_of
from tests.support.columns import read_all
from tests.support.scribe import verified

if TYPE_CHECKING:
    from authz.store.api import Change

pytestmark = [pytest.mark.anyio, pytest.mark.ops]

ROUNDS = 4
Acknowledged = dict[int, tuple[str, int]]


async def test_killed_writers_lose_nothing_they_acknowledged(datastore_uri: str) -> None:
    """Revisions have no gap, none is half there, and tuples and trail are what the changelog says."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: Acknowledged = {}
    for run in range(ROUNDS):
        acknowledged |= _write_and_die(datastore_uri, f"run{run}-", chance.uniform(0.05, 0.5))
        store = open_datastore(datastore_uri)
        await _verify(store, acknowledged, lost=WRITERS * (run + 1))
        await store.close()
        if datastore_uri.startswith("sqlite"):
            _check_file(datastore_uri)


def _write_and_die(uri: str, run: str, seconds: float) -> Acknowledged:
    """Let a process write, and kill it so many seconds after its first acknowledgement."""
    command = [sys.executable, "-m", "tests.store.crash_writer", uri, run]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first, "the writer ended before it wrote"
        time.sleep(seconds)
        process.kill()
        lines = [first, *process.stdout.readlines()]
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {int(revision): (name, int(step)) for name, step, revision in whole}


async def _verify(store: SqlDatastore, acknowledged: Acknowledged, lost: int) -> None:
    head = await store.head_revision("S")
    changes = await store.changes_after("S", 0, 1_000_000)
    by_revision = {revision: list(group) for revision, group in itertools.groupby(changes, lambda c: c.revision)}
    assert list(by_revision) == list(range(1, head + 1))
    assert len(acknowledged) <= head <= len(acknowledged) + lost
    for revision, (name, step) in acknowledged.items():
        assert _written(by_revision[revision]) == tuples_of(name, step)
    assert all(_is_whole(group) for group in by_revision.values())
    recorded = {entry.revision: entry for entry in await verified(store, "store/S")}
    assert list(recorded) == list(by_revision)
    for revision, group in by_revision.items():
        written = [item.key._asdict() for item in _written(group)]
        assert (recorded[revision].after, recorded[revision].by.principal) == (written, group[0].actor)

    alive: set[RelationshipTuple] = set()
    for change in changes:
        if change.operation is Operation.WRITE:
            assert change.tuple not in alive
            alive.add(change.tuple)
        else:
            alive.remove(change.tuple)
    snapshot = await read_all(store, "S", head)
    assert sorted(snapshot) == sorted(alive)


def _written(group: list[Change]) -> list[RelationshipTuple]:
    return [change.tuple for change in group if change.operation is Operation.WRITE]


def _is_whole(group: list[Change]) -> bool:
    deleted = len(group) - len(_written(group))
    ordinals = [change.ordinal for change in group]
    return (
        len(_written(group)) == TUPLES_PER_WRITE
        and deleted in (0, TUPLES_PER_WRITE)
        and ordinals == list(range(len(group)))
    )


def _check_file(uri: str) -> None:
    connection = sqlite3.connect(str(make_url(uri).database))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
