"""Several nodes on one PostgreSQL: what one acknowledges, the others answer by, whatever becomes of node or network."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import grpc
import psycopg
import pytest

from authz.store.sql import migrate_datastore
from tests.support.client import Client, Key
from tests.support.postgres import fresh_database
from tests.support.proxy import proxied
from tests.support.server import running_server, start_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.proxy import Proxy

pytestmark = [pytest.mark.ops, pytest.mark.postgres]

POLL = 0.3
PATIENT = {"request_timeout": 5.0, "audit_failure_grace": 60.0}
"""On a machine that does other things too."""
LAG_SECONDS = 5.0
"""How long a busy test machine may take to pass a change signal on; it is some tens of ms."""
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Nodes:
    """Clients of nodes that share a database and a store. The last two reach it through a proxy each."""

    def __init__(self, uri: str, clients: list[Client], bad: Proxy, deaf: Proxy) -> None:
        self.uri = uri
        self.clients = clients
        self.writer, self.bad_client, self.deaf_client = clients
        self.bad = bad
        self.deaf = deaf


@pytest.fixture(scope="module")
def nodes(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """One node beside the database, one behind a bad network, and one whose database knows no notifications."""
    with fresh_database(postgres_server) as uri, proxied(uri) as bad, proxied(uri) as deaf:
        migrate_datastore(uri)
        deaf.rewrites[b"LISTEN authz_changes"] = b"HEARKEN authz_change"
        settings = {**PATIENT, "poll_interval": POLL, "log_level": "warning"}
        with (
            running_server(tmp_path_factory.mktemp("one"), {**settings, "datastore_uri": uri}) as one,
            running_server(tmp_path_factory.mktemp("two"), {**settings, "datastore_uri": bad.uri}) as two,
            running_server(tmp_path_factory.mktemp("three"), {**settings, "datastore_uri": deaf.uri}) as three,
        ):
            first = Client(one.address)
            clients = [first, *(Client(node.address, first.store) for node in (two, three))]
            yield Nodes(uri, clients, bad, deaf)
            for each in clients:
                each.close()


def key(name: str) -> Key:
    return (f"document:{name}", "viewer", "user:anne")


def until(condition: Callable[[], bool], seconds: float = LAG_SECONDS) -> float:
    """How long it took until a condition held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.005)
    return time.monotonic() - started


def answers(client: Client, wanted: Key, consistency: str = "") -> bool | None:
    """The answer of a check; None when the node says that it cannot tell."""
    try:
        return client.check(wanted, consistency)
    except grpc.RpcError as error:
        if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
            raise
        return None


def test_every_node_answers_by_what_any_has_acknowledged(nodes: Nodes) -> None:
    """Exactly, with a token or fully consistent, while all of them write to the same store at once."""
    failures: list[str] = []

    def call(place: int) -> None:
        writer, reader = nodes.clients[place], nodes.clients[(place + 1) % 3]
        for number in range(15):
            wanted = key(f"exact-{place}-{number}")
            for is_there in (True, False):
                token = writer.write(writes=[wanted]) if is_there else writer.write(deletes=[wanted])
                modes = (f"at-least-as-fresh={token}", f"at-exact-snapshot={token}", "fully-consistent")
                failures.extend(f"{wanted} {mode}" for mode in modes if reader.check(wanted, mode) is not is_there)
                if writer.check(wanted) is not is_there:
                    failures.append(f"{wanted} where it was written")

    threads = [threading.Thread(target=call, args=(place,), daemon=True) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures


def test_nodes_hear_of_each_other(nodes: Nodes) -> None:
    """A caller that asks for no freshness sees a write through another node soon; without notifications, at a poll."""
    for reader, most in ((nodes.bad_client, LAG_SECONDS), (nodes.deaf_client, LAG_SECONDS + POLL)):
        for number in range(5):
            wanted = key(f"heard-{reader is nodes.deaf_client}-{number}")
            assert not reader.check(wanted)
            nodes.writer.write(writes=[wanted])
            until(lambda wanted=wanted, reader=reader: reader.check(wanted), most)  # type: ignore[misc]


def test_cut_connections_are_made_anew(nodes: Nodes) -> None:
    """All of them, of all nodes, while callers go on: nobody gets a wrong answer, and soon everybody gets one."""
    wanted = key("cut")
    token = nodes.writer.write(writes=[wanted])
    for _ in range(3):
        with psycopg.connect(nodes.uri, autocommit=True) as admin:
            admin.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}")
        for client in nodes.clients:
            assert answers(client, wanted, f"at-least-as-fresh={token}") in (True, None)
            assert answers(client, wanted, "fully-consistent") in (True, None)
    for client in nodes.clients:
        until(lambda client=client: answers(client, wanted, "fully-consistent") is True)  # type: ignore[misc]
    nodes.writer.write(deletes=[wanted])
    for client in nodes.clients:
        until(lambda client=client: not client.check(wanted))  # type: ignore[misc]


def test_a_node_without_its_database_does_not_answer_by_old_facts(nodes: Nodes) -> None:
    """Once it cannot have heard of a change for two polls it says that it cannot tell, until the network is back."""
    wanted = key("lost")
    nodes.writer.write(writes=[wanted])
    until(lambda: nodes.bad_client.check(wanted))
    nodes.bad.flowing.clear()
    try:
        nodes.writer.write(deletes=[wanted])
        time.sleep(2 * POLL + 0.1)
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            assert answers(nodes.bad_client, wanted) is not True
    finally:
        nodes.bad.flowing.set()
    until(lambda: answers(nodes.bad_client, wanted) is False, 20)


def test_a_killed_node_takes_nothing_with_it(nodes: Nodes, tmp_path: Path) -> None:
    """What it acknowledged in its last moments is seen through the others, and by itself when it is back."""
    settings = {**PATIENT, "poll_interval": POLL, "datastore_uri": nodes.uri, "log_level": "warning"}
    node = start_server(tmp_path, settings)
    client = Client(node.address, nodes.writer.store)
    acknowledged: list[tuple[Key, str]] = []

    def go_on() -> None:
        for number in range(10_000):
            wanted = key(f"killed-{number}")
            try:
                acknowledged.append((wanted, client.write(writes=[wanted])))
            except grpc.RpcError:
                return

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    until(lambda: len(acknowledged) > 20, 20)
    node.process.kill()
    node.process.wait()
    thread.join(30)
    client.close()
    for wanted, token in acknowledged[-10:]:
        assert nodes.writer.check(wanted, f"at-least-as-fresh={token}")
        assert nodes.bad_client.check(wanted, "fully-consistent")
    until(lambda: nodes.deaf_client.check(acknowledged[-1][0]))
    with running_server(tmp_path, settings) as node:
        client = Client(node.address, nodes.writer.store)
        assert all(client.check(wanted) for wanted, _ in acknowledged)
        client.close()
