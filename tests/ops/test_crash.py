"""A server killed in the middle of writes: nothing acknowledged is lost, nothing half-written appears."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import grpc
import pytest

from tests.support.client import Client, Key
from tests.support.server import start_server

pytestmark = pytest.mark.ops

ROUNDS = 4
WRITERS = 4
TUPLES_PER_WRITE = 5


class Writer(threading.Thread):
    """Writes and deletes groups of tuples until the server is gone, noting what was acknowledged."""

    def __init__(self, address: str, store: str, name: str) -> None:
        super().__init__(daemon=True)
        self._client = Client(address, store)
        self._name = name
        self.present: list[tuple[Key, ...]] = []
        self.absent: list[tuple[Key, ...]] = []
        self.unknown: list[tuple[Key, ...]] = []
        """Groups whose write or delete was cut off: all of it or nothing."""

    def run(self) -> None:
        for number in range(100_000):
            group = tuple(
                (f"document:{self._name}-{number}-{part}", "viewer", "user:anne") for part in range(TUPLES_PER_WRITE)
            )
            try:
                self._client.write(writes=group)
            except grpc.RpcError:
                self.unknown.append(group)
                break
            self.present.append(group)
            if number % 3 == 2 and not self._remove(self.present.pop(0)):
                break
        self._client.close()

    def _remove(self, group: tuple[Key, ...]) -> bool:
        try:
            self._client.write(deletes=group)
        except grpc.RpcError:
            self.unknown.append(group)
            return False
        self.absent.append(group)
        return True


def test_sigkill_loses_nothing(datastore_uri: str, tmp_path: Path) -> None:
    """Whatever was acknowledged before each kill is there after it, and every write is whole or absent."""
    dice = random.Random(7)
    settings = {"datastore_uri": datastore_uri}
    present: list[tuple[Key, ...]] = []
    absent: list[tuple[Key, ...]] = []
    unknown: list[tuple[Key, ...]] = []
    store = ""
    for turn in range(ROUNDS):
        server = start_server(tmp_path, settings)
        client = Client(server.address, store)
        store = client.store
        writers = [Writer(server.address, store, f"{turn}-{number}") for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(dice.uniform(0.3, 1.0))
        server.process.kill()
        server.process.wait()
        for writer in writers:
            writer.join(60)
            assert not writer.is_alive()
        client.close()
        present += [group for writer in writers for group in writer.present]
        absent += [group for writer in writers for group in writer.absent]
        unknown += [group for writer in writers for group in writer.unknown]
    server = start_server(tmp_path, settings)
    client = Client(server.address, store)
    try:
        stored = client.read()
        assert len(present) > ROUNDS * WRITERS, "too few writes to say anything"
        assert all(key in stored for group in present for key in group)
        assert not any(key in stored for group in absent for key in group)
        for group in unknown:
            assert len({key in stored for key in group}) == 1, "a write was cut in half"
        _changelog_tells_the_same(client, stored)
        assert all(client.check(key) for group in present[:20] for key in group)
        assert not any(client.check(key) for group in absent[:20] for key in group)
    finally:
        client.close()
        assert server.stop() == 0


def _changelog_tells_the_same(client: Client, stored: set[Key]) -> None:
    replayed: set[Key] = set()
    for operation, key in client.changes():
        assert (key in replayed) == bool(operation)
        (replayed.discard if operation else replayed.add)(key)
    assert replayed == stored
