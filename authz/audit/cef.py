"""Records as lines of the Common Event Format. Called by `cli`.

CEF (Common Event Format, version 0): `CEF:0|authz|authz|VERSION|SIGNATURE|NAME|SEVERITY|…` with the method or the
action as signature; one line an item of a batch.

| member of a record | key |
|---|---|
| chain, seq; time, until | `externalId`; `rt` and `start`, `end` (ms) |
| principal, peer | `suser`, `src` (an address) or `shost` |
| call, user_agent | `request`, `requestClientApplication` |
| decision or action; code; reason | `act`; `outcome`; `reason` |
| object, relation, user | `cs1`, `cs2`, `cs3` with their labels |
| store, model, request_id | `cs4`, `cs5`, `cs6` with their labels |
| revision, latency, count | `cn1`, `cn2` with their labels, `cnt` |
| request_bytes, response_bytes | `in`, `out` |
| before and after, other members | `msg` (JSON) |

Severity: 1 allowed, 3 denied, 4 a change, 5 a call that failed, 6 refused for who its caller is, 10 tampering.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

import orjson

from authz import __version__
from authz.audit.exported import IDENTITY, given, method_of, milliseconds


def cef_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """A record as CEF lines."""
    kind = record.get("kind")
    if kind == "change":
        told = {"before": record.get("before"), "after": record.get("after")}
        yield _cef(record, str(record.get("action")), "change", 4, {"act": record.get("action"), "msg": _json(told)})
    elif kind == "call":
        for item in record.get("items") or [record]:
            yield _cef(
                record, method_of(record), f"{method_of(record)} call", _cef_severity(record, item), _cef_item(item)
            )
    else:
        word = str(record.get("note", kind))
        rest = {name: value for name, value in record.items() if name not in ("chain", "seq", "key", "mac", "time")}
        yield _cef(record, word, f"audit {kind}", 10 if word == "broken" else 1, {"msg": _json(rest)})


def _cef_severity(record: Mapping[str, Any], item: Mapping[str, Any]) -> int:
    code = record.get("code")
    if code != "OK":
        return 6 if code in IDENTITY else 5
    return 3 if item.get("decision") == "denied" else 1


def _cef_item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "act": item.get("decision"),
        **_labelled("cs1", "object", item.get("object")),
        **_labelled("cs2", "relation", item.get("relation")),
        **_labelled("cs3", "user", item.get("user")),
    }


def _cef(record: Mapping[str, Any], signature: str, name: str, severity: int, more: Mapping[str, Any]) -> str:
    fields = {
        "rt": milliseconds(record["time"]),
        "start": milliseconds(record["time"]),
        "end": milliseconds(record["until"]) if "until" in record else None,
        "externalId": f"{record['chain']}/{record['seq']}",
        "suser": record.get("principal"),
        _peer_key(record.get("peer")): record.get("peer"),
        "request": record.get("call"),
        "requestClientApplication": record.get("user_agent"),
        "outcome": record.get("code"),
        "reason": record.get("reason"),
        **_labelled("cs4", "store", record.get("store")),
        **_labelled("cs5", "model", record.get("model")),
        **_labelled("cs6", "request_id", record.get("request_id")),
        **_labelled("cn1", "revision", record.get("revision")),
        **_labelled("cn2", "latency", record.get("latency")),
        "cnt": record.get("count"),
        "in": record.get("request_bytes"),
        "out": record.get("response_bytes"),
        **more,
    }
    header = "|".join(_header(part) for part in ("authz", "authz", __version__, signature, name, str(severity)))
    return f"CEF:0|{header}|" + " ".join(f"{key}={_extension(value)}" for key, value in given(fields).items())


def _labelled(key: str, label: str, value: object) -> dict[str, Any]:
    return {} if value is None else {key: value, f"{key}Label": label}


def _peer_key(peer: object) -> str:
    try:
        ip_address(str(peer))
    except ValueError:
        return "shost"
    return "src"


def _header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")


def _extension(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\n", "\\n").replace("\r", "\\r")


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
