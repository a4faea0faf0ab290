"""What records tell of calls, changes and the trail itself. Called by `recorder` and `scribe`, off the path of calls.

Members of a call: `time` (when it came), `request_id`, `trace_id`, `principal`, `authentication`, `peer`, `call` (its
path), `scope`, `store`, `model`, `object`, `relation`, `user` and `decision` (or `items` with these, when several were
asked), `results`, `code` (status that the caller got), `reason`, `revision`, `latency` (microseconds), `request_bytes`,
`response_bytes`, `user_agent`, and `body` while it is captured. A sum of refusals has `count` and `until` besides; when
it is of too many sources to count them apart it has `sources` (`many`) and names no caller.
Members of a change: `time`, `action`, who made it as above, `store`, `revision`, `before`, `after`.
What is empty is left out. Of the metadata of a call the request id, the trace id and the user agent are recorded, which
are its caller's text, and nothing else: no token or key can be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from authz.audit.chain import Payload, dump, payload
from authz.audit.redaction import Redaction
from authz.call import Completed
from authz.store.trail import Entry
from authz.tuples import JsonValue, TupleKey

MAX_TEXT = 512
"""How many characters of a text are recorded."""
MAX_ITEMS = 1000
MAX_VALUE_BYTES = 262_144
"""Larger values of a change are recorded by their hash."""

_DECISIONS = {True: "allowed", False: "denied", None: "failed"}


def call_payload(completed: Completed, redaction: Redaction, body: Any = None) -> Payload:
    """What is recorded of a call; `body` comes from `body_within`."""
    record = _call(completed)
    if redaction:
        record = redaction.apply(record)
    if body is not None:
        record["body"] = body
    return payload(record)


def refusals_payload(
    completed: Completed,
    redaction: Redaction,
    *,
    count: int,
    until: datetime,
    request_bytes: int,
    is_of_many: bool = False,
) -> Payload:
    """What is recorded of refusals that are summed: the first of them, how many, and when the last was. A sum
    `is_of_many` sources names nobody: it would lay at one door what others did."""
    record = _call(completed)
    if is_of_many:
        record = {name: record[name] for name in ("kind", "time", "scope", "code")} | {"sources": "many"}
    record |= {"count": count, "until": until, "request_bytes": request_bytes}
    return payload(redaction.apply(record))


def change_payload(entry: Entry, redaction: Redaction) -> Payload:
    """What is recorded of a change."""
    by = entry.by
    record: dict[str, Any] = {
        "kind": "change",
        "time": entry.time,
        "action": entry.action,
        "request_id": by.request_id[:MAX_TEXT],
        "trace_id": by.trace_id[:MAX_TEXT],
        "principal": by.principal[:MAX_TEXT],
        "authentication": by.authentication,
        "peer": by.peer[:MAX_TEXT],
        "call": by.method[:MAX_TEXT],
        "store": entry.store_id,
        "revision": entry.revision,
        "before": entry.before,
        "after": entry.after,
    }
    record = redaction.apply({name: value for name, value in record.items() if value not in ("", None)})
    for name in ("before", "after"):
        if name in record:
            record[name] = _bounded(record[name])
    return payload(record)


def note_payload(note: str, time: datetime, **members: JsonValue) -> Payload:
    """What the trail tells of itself."""
    return payload({"kind": "note", "time": time, "note": note, **members})


def copy_payload(of: Payload, chain: str, sequence: int) -> Payload:
    """What is recorded outside of the datastore of a record that is in it."""
    return Payload(of.members + b',"of":' + dump([chain, sequence]), of.time, is_stored=True)


def body_within(body: JsonValue, redaction: Redaction, limit: int) -> orjson.Fragment:
    """A captured body, redacted, as JSON; when it is larger than `limit` bytes, the beginning of its text."""
    raw = dump(redaction.apply({"body": body})["body"])
    if len(raw) > limit:
        raw = dump({"bytes": len(raw), "beginning": raw[:limit].decode("utf-8", "ignore")})
    return orjson.Fragment(raw)


def _call(completed: Completed) -> dict[str, Any]:
    call, keys = completed.call, completed.keys
    who = call.principal
    record: dict[str, Any] = {
        "kind": "call",
        "time": completed.started_at,
        "request_id": call.request_id[:MAX_TEXT],
        "principal": who.id[:MAX_TEXT],
        "authentication": who.authentication,
        "call": call.method[:MAX_TEXT],
        "scope": completed.scope,
        "code": completed.code,
        "latency": int(completed.seconds * 1_000_000),
        "request_bytes": completed.request_bytes,
        "response_bytes": completed.response_bytes,
    }
    _add_texts(record, completed)
    if completed.results is not None:
        record["results"] = completed.results
    if completed.revision is not None:
        record["revision"] = completed.revision
    if len(keys) == 1:
        record.update(_item(keys[0], completed.decisions, 0))
    elif completed.decisions and not keys:
        record["decision"] = _DECISIONS[completed.decisions[0]]  # on what no tuple is about
    elif keys:
        record["items"] = [_item(key, completed.decisions, place) for place, key in enumerate(keys[:MAX_ITEMS])]
    return record


def _add_texts(record: dict[str, Any], completed: Completed) -> None:
    call = completed.call
    # One by one: a loop over pairs costs three times as much, at every call.
    if call.peer:
        record["peer"] = call.peer[:MAX_TEXT]
    if call.trace_id:
        record["trace_id"] = call.trace_id[:MAX_TEXT]
    if completed.store_id:
        record["store"] = completed.store_id[:MAX_TEXT]
    if completed.model_id:
        record["model"] = completed.model_id[:MAX_TEXT]
    if completed.user_agent:
        record["user_agent"] = completed.user_agent[:MAX_TEXT]
    if completed.reason:
        record["reason"] = completed.reason[:MAX_TEXT]


def _item(key: TupleKey, decisions: Sequence[bool | None], place: int) -> dict[str, str]:
    object_, relation, user = key
    item = {"object": object_[:MAX_TEXT], "relation": relation[:MAX_TEXT], "user": user[:MAX_TEXT]}
    if place < len(decisions):
        item["decision"] = _DECISIONS[decisions[place]]
    return item


def _bounded(value: Any) -> Any:
    raw = dump(value)
    if len(raw) <= MAX_VALUE_BYTES:
        return value
    return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
