"""Records in the words of other systems: all that matters is mapped, and nothing breaks the form."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.audit.cef import cef_lines
from authz.audit.chain import extend
from authz.audit.ocsf import ocsf_event
from authz.audit.payloads import call_payload, change_payload, note_payload
from authz.audit.redaction import Redaction
from authz.tuples import TupleKey
from tests.audit.support import START, STORE, completed, entry, keys, ring

PLAIN = Redaction((), keys())
MILLISECONDS = int(START.timestamp() * 1000)


def _record(payload: Any, chain: str = "node/x") -> dict[str, Any]:
    segment, _ = extend(chain, None, [payload], ring())
    return dict(orjson.loads(segment.body))


def _call(**given: Any) -> dict[str, Any]:
    return _record(call_payload(completed(1, **given), PLAIN))


def test_a_check_as_an_ocsf_event() -> None:
    """API Activity: who, from where, what, on what, with which outcome; the rest is not lost."""
    event = ocsf_event(_call(allowed=False))
    assert (event["class_uid"], event["category_uid"], event["activity_id"], event["type_uid"]) == (6003, 6, 2, 600302)
    assert event["time"] == MILLISECONDS
    assert event["actor"] == {"user": {"uid": "idp/alice"}}
    assert event["src_endpoint"] == {"ip": "10.0.0.1"}
    assert event["api"]["operation"] == "Check"
    assert event["api"]["service"] == {"name": "openfga.v1.OpenFGAService"}
    assert event["api"]["response"] == {"code": 0}
    assert (event["status_id"], event["severity_id"]) == (1, 1)
    (resource,) = event["resources"]
    assert resource == {
        "uid": "document:1",
        "type": "document",
        "data": {"relation": "viewer", "user": "user:anne", "decision": "denied"},
    }
    assert event["metadata"]["uid"] == "node/x/1"
    assert event["metadata"]["version"] == "1.3.0"
    assert event["unmapped"]["store"] == STORE
    assert event["unmapped"]["revision"] == 7


@pytest.mark.parametrize(
    ("method", "activity"),
    [("Write", 3), ("CreateStore", 1), ("DeleteStore", 4), ("ListObjects", 2), ("Grant", 1), ("Odd", 99)],
)
def test_activities_of_calls(method: str, activity: int) -> None:
    """Each method is a creation, a look, an update or a removal; an unknown one says its name."""
    event = ocsf_event(_call(method=f"/service/{method}"))
    assert event["activity_id"] == activity
    assert event.get("activity_name") == ("Odd" if activity == 99 else None)


def test_refusals_and_sums() -> None:
    """A refusal is a failure with its reason, weighed by what it means."""
    event = ocsf_event(_call(code="UNAUTHENTICATED", reason="bearer_token_missing", keys=(), peer=""))
    assert (event["status_id"], event["status_code"], event["status_detail"]) == (
        2,
        "UNAUTHENTICATED",
        "bearer_token_missing",
    )
    assert event["severity_id"] == 3
    assert event["api"]["response"] == {"code": 16, "message": "bearer_token_missing"}
    assert event["src_endpoint"] == {"name": "unknown"}
    assert ocsf_event(_call(code="INVALID_ARGUMENT"))["severity_id"] == 2


def test_changes_and_notes_as_ocsf_events() -> None:
    """A change is Entity Management with before and after; what the trail tells of itself is Application Lifecycle."""
    event = ocsf_event(_record(change_payload(entry(1, before=[{"object": "a:1"}]), PLAIN), f"store/{STORE}"))
    assert (event["class_uid"], event["activity_id"], event["comment"]) == (3004, 3, "tuples.write")
    assert event["entity"] == {"type": "relationship tuples", "uid": STORE, "data": [{"object": "a:1"}]}
    assert event["entity_result"]["data"][0]["object"] == "document:1"
    note = ocsf_event(_record(note_payload("broken", START, why="x")))
    assert (note["class_uid"], note["activity_id"], note["severity_id"]) == (6002, 99, 5)
    assert ocsf_event(_record(note_payload("start", START)))["activity_id"] == 3


def test_a_check_as_a_cef_line() -> None:
    """One line with the usual keys."""
    (line,) = cef_lines(_call(allowed=False))
    header, _, extension = line.rpartition("|")
    assert header.startswith("CEF:0|authz|authz|")
    assert header.endswith("|Check|Check call|3")
    for part in (
        "suser=idp/alice",
        "src=10.0.0.1",
        "act=denied",
        "cs1=document:1",
        "cs1Label=object",
        f"rt={MILLISECONDS}",
    ):
        assert part in extension


def test_a_batch_is_a_cef_line_an_item() -> None:
    """No item is lost in a form that has no lists."""
    asked = (TupleKey("document:1", "viewer", "user:anne"), TupleKey("document:2", "viewer", "user:bob"))
    lines = list(cef_lines(_call(keys=asked, decisions=(True, False))))
    assert ["act=allowed" in line for line in lines] == [True, False]
    assert "cs3=user:bob" in lines[1]


@given(st.text(max_size=50), st.text(max_size=50))
def test_cef_cannot_be_forged_by_what_callers_give(agent: str, reason: str) -> None:
    """No text of a caller ends a line, opens a field or moves the header."""
    (line,) = cef_lines(_call(user_agent=agent, reason=reason, method=f"/s/{agent}"))
    assert "\n" not in line
    assert "\r" not in line
    plain = line.replace("\\\\", "").replace("\\|", "")
    *header, extension = plain.split("|", 7)
    assert (len(header), header[0]) == (7, "CEF:0")
    names = [part.rpartition(" ")[2] for part in extension.replace("\\=", "").split("=")[:-1]]
    assert names == [
        *("rt", "start", "externalId", "suser", "src", "request"),
        *(["requestClientApplication"] if agent else []),
        "outcome",
        *(["reason"] if reason else []),
        *("cs4", "cs4Label", "cs5", "cs5Label", "cs6", "cs6Label", "cn1", "cn1Label", "cn2", "cn2Label", "in", "out"),
        *("act", "cs1", "cs1Label", "cs2", "cs2Label", "cs3", "cs3Label"),
    ]


def test_changes_and_notes_as_cef_lines() -> None:
    """They say what there was before and after, and how bad it is."""
    (line,) = cef_lines(_record(change_payload(entry(1), PLAIN)))
    assert "|tuples.write|change|4|" in line
    assert "msg={" in line
    (line,) = cef_lines(_record(note_payload("broken", START, why="a=b|c")))
    assert "|broken|audit note|10|" in line
    assert "a\\=b|c" in line
