"""A node that reads from a streaming standby answers as a node without, whatever becomes of the standby."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from authz.store.sql import migrate_datastore
from tests.support.client import Client, Key
from tests.support.postgres import fresh_database
from tests.support.server import running_server
from tests.support.standby import streaming_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.ops, pytest.mark.postgres]

CAN_VIEW: Key = ("document:1", "can_view", "user:anne")
VIEWER: Key = ("document:1", "viewer", "user:anne")
BLOCKED: Key = ("document:1", "blocked", "user:anne")


def test_a_node_with_a_replica(tmp_path: Path) -> None:
    """Exact by token and fully consistent at once, heard of within the signal's lag, with a standby that is close,
    stopped, dead, and back."""
    with streaming_pair() as pair, fresh_database(pair.primary.uri()) as uri:
        migrate_datastore(uri)
        pair.until_level()
        (tmp_path / "plain").mkdir()
        patient = {"request_timeout": 15.0, "audit_failure_grace": 60.0}
        settings = {**patient, "datastore_uri": uri, "poll_interval": 0.3}
        replica = {"replica_uri": uri.replace("primary", "standby"), "replica_max_lag": 1.0}
        with running_server(tmp_path / "plain", settings) as plain:
            writer = Client(plain.address)
            before = writer.write(writes=[VIEWER, *[(f"document:{n}", "viewer", "user:bob") for n in range(90)]])
            with running_server(tmp_path, {**settings, **replica}) as node:
                reader = Client(node.address, writer.store)
                wait_for(lambda: "replica_used" in node.log.read_text())
                _agree(writer, reader, before)
                pair.pause()
                _agree(writer, reader, before)
                pair.standby.stop("immediate")
                _agree(writer, reader, before)
                pair.standby.start()
                wait_for(lambda: "replica_used_again" in node.log.read_text())
                assert "replica_not_used" in node.log.read_text()
                _agree(writer, reader, before)
                reader.close()
            writer.close()


def _agree(writer: Client, reader: Client, before: str) -> None:
    for number in range(4):
        assert reader.check(CAN_VIEW)
        token = writer.write(writes=[BLOCKED])
        mode = f"at-least-as-fresh={token}" if number % 2 else "fully-consistent"
        assert not reader.check(CAN_VIEW, mode)
        assert reader.check(CAN_VIEW, f"at-exact-snapshot={before}")
        assert not reader.check(CAN_VIEW, f"at-exact-snapshot={token}")
        assert reader.read() == writer.read() >= {VIEWER, BLOCKED}
        assert reader.changes() == writer.changes()
        writer.write(deletes=[BLOCKED])
        wait_for(lambda: reader.check(CAN_VIEW))


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
