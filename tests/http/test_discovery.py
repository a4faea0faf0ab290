"""What is shown of the decision points, and how often."""

from __future__ import annotations

import orjson

from authz.http.discovery import MAX_AGE, Discovery
from authz.rpc.authzen.configuration import WELL_KNOWN, Configuration
from tests.commands.support import SettableClock

URL, PEER = "https://authz.example.com", "192.0.2.1"
DOCUMENTS = Configuration(URL, SettableClock(), has_store=True)


def test_a_document_may_be_kept() -> None:
    """A document says for how long; where there is none, nothing is shown, and no rate is counted."""
    counted: list[str] = []
    discovery = Discovery(DOCUMENTS, counted.append)
    shown = discovery.show(WELL_KNOWN, PEER)
    assert shown is not None
    assert (shown.status, shown.max_age) == (200, MAX_AGE)
    assert orjson.loads(shown.body)["policy_decision_point"] == URL
    assert discovery.show("/stores", PEER) is None
    assert counted == [PEER]


def test_whoever_asks_too_often_is_told_when_to_ask_again() -> None:
    """Beyond the rate of an address it is refused, with the whole seconds after which it is not."""
    shown = Discovery(DOCUMENTS, lambda _peer: 1.2).show(WELL_KNOWN, PEER)
    assert shown is not None
    assert (shown.status, shown.max_age, shown.retry_after) == (429, 0, 2)
    assert orjson.loads(shown.body)["code"] == "resource_exhausted"
