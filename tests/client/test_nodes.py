"""A client of several nodes over one PostgreSQL, one of which hears of changes late."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from authz.client import MINIMIZE_LATENCY, AsyncClient, Client, Tuple
from authz.store.sql import migrate_datastore
from tests.client.support import MODEL
from tests.support.postgres import fresh_database
from tests.support.proxy import proxied
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.ops, pytest.mark.postgres]

POLL = 0.5


@pytest.fixture(scope="module")
def addresses(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Two nodes; the second is told of no change, and looks twice a second."""
    with fresh_database(postgres_server) as uri, proxied(uri) as deaf:
        migrate_datastore(uri)
        deaf.rewrites[b"LISTEN authz_changes"] = b"HEARKEN authz_change"
        settings = {"request_timeout": 20.0, "audit_failure_grace": 60.0, "poll_interval": POLL, "log_level": "warning"}
        with (
            running_server(tmp_path_factory.mktemp("one"), {**settings, "datastore_uri": uri}) as one,
            running_server(tmp_path_factory.mktemp("two"), {**settings, "datastore_uri": deaf.uri}) as two,
        ):
            yield [one.address, two.address]


def tuple_of(number: int) -> Tuple:
    """A tuple for each number."""
    return Tuple(f"user:u{number}", "viewer", f"document:d{number}")


def test_reads_reflect_writes_on_any_node(addresses: list[str]) -> None:
    """Whichever node answers, and however writes of many threads overlap, a read shows what was written before it."""
    with Client(addresses, timeout=30) as root:
        client = root.on(root.create_store("nodes").id)
        client.write_model(MODEL)
        for number in range(4):
            client.check("user:anne", "viewer", f"document:{number}")

        def work(number: int) -> list[bool]:
            mine = tuple_of(number)
            client.write([mine])
            seen = [bool(client.check(mine.user, mine.relation, mine.object)) for _ in range(2)]
            client.write(deletes=[mine])
            return [*seen, not client.check(mine.user, mine.relation, mine.object)]

        with ThreadPoolExecutor(6) as pool:
            assert all(all(found) for found in pool.map(work, range(60)))


def test_tokens_are_what_makes_it_so(addresses: list[str]) -> None:
    """Without them the node that hears late gives old answers: the test above would notice."""
    with Client(addresses, timeout=30) as root:
        client = root.on(root.create_store("nodes").id)
        client.write_model(MODEL)
        missed = 0
        for number in range(20):
            mine = tuple_of(number)
            client.write([mine])
            answers = [client.check(mine.user, mine.relation, mine.object, consistency=MINIMIZE_LATENCY) for _ in "12"]
            missed += not all(answers)
        assert missed


def test_a_token_handed_on(addresses: list[str]) -> None:
    """Another process that asks another node with the token of a write sees the write."""
    with Client(addresses[0], timeout=30) as writer, Client(addresses[1], timeout=30) as reader:
        store = writer.create_store("nodes").id
        ours, theirs = writer.on(store), reader.on(store)
        ours.write_model(MODEL)
        for number in range(10):
            mine = tuple_of(number)
            token = ours.write([mine]).token
            assert theirs.session(token).check(mine.user, mine.relation, mine.object)


@pytest.mark.anyio
async def test_tasks_on_any_node(addresses: list[str]) -> None:
    """The asynchronous client promises the same."""
    async with AsyncClient(addresses, timeout=30) as root:
        client = root.on((await root.create_store("nodes")).id)
        await client.write_model(MODEL)

        async def work(number: int) -> bool:
            mine = tuple_of(number)
            await client.write([mine])
            return bool(await client.check(mine.user, mine.relation, mine.object))

        assert all(await asyncio.gather(*[work(number) for number in range(40)]))
