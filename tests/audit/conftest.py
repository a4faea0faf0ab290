"""Fixtures of the tests of the audit trail."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from authz.audit.verify import Report, verify_trail
from authz.call import Origin
from authz.store.api import StoreRecord, TupleWrite
from authz.store.sql import migrate_datastore, open_datastore
from authz.tuples import RelationshipTuple
from tests.audit.support import START, STORE, Clock, Database, completed, opened, ring, trailing

BY = Origin("idp/alice", "token", "request-1", "", "10.0.0.1", "/openfga.v1.OpenFGAService/Write")
BATCHES = (3, 1, 4)


class Written(NamedTuple):
    """A database with a trail in it."""

    database: Database
    uri: str

    def verify(self, *key_ids: str) -> Report:
        """What verification says of it."""
        with ThreadPoolExecutor(1) as beside:  # the test may run on a loop of its own
            return beside.submit(asyncio.run, _verify(self.uri, key_ids)).result()


async def _verify(uri: str, key_ids: tuple[str, ...]) -> Report:
    store = open_datastore(uri)
    try:
        return await verify_trail(store, ring(*key_ids))
    finally:
        await store.close()


async def _write_trail(uri: str) -> None:
    clock = Clock()
    async with opened(uri) as store, trailing(store, clock) as trail:
        await store.create_store(StoreRecord(STORE, "test", START, START), by=BY)
        number = 0
        for size in BATCHES:
            for _ in range(size):
                number += 1
                clock.move(0.1)
                trail.recorder.record(completed(number, time=clock.now()))
            await trail.recorder.durable()
            write = TupleWrite(writes=[RelationshipTuple(f"document:{number}", "viewer", "user:anne")])
            await store.write(STORE, write, by=BY, now=START + timedelta(seconds=number))
            await trail.checkpointer.link()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with calls, changes and checkpoints, for others to copy."""
    folder = tmp_path_factory.mktemp("trail")
    uri = f"sqlite:///{folder}/authz.db"
    migrate_datastore(uri)
    asyncio.run(_write_trail(uri))
    return folder / "authz.db"


@pytest.fixture
def copied(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Written]:
    """Gives fresh copies of that database."""
    folder = tmp_path_factory.mktemp("copies")

    def copy() -> Written:
        path = folder / "authz.db"
        for beside in folder.iterdir():
            beside.unlink()
        shutil.copy(template, path)
        uri = f"sqlite:///{path}"
        return Written(Database(uri), uri)

    return copy


@pytest.fixture
def written(copied: Callable[[], Written]) -> Written:
    """One such copy."""
    return copied()
