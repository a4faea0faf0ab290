"""Records as events of the Open Cybersecurity Schema Framework. Called by `cli`.

OCSF (Open Cybersecurity Schema Framework, 1.3.0):

| record | class | activity |
|---|---|---|
| call | API Activity (6003) | by the method: Create 1, Read 2, Update 3, Delete 4, Other 99 |
| change | Entity Management (3004) | by the action: Create 1, Update 3, Delete 4 |
| note, checkpoint | Application Lifecycle (6002) | start: Start 3, stop: Stop 4, others: Other 99 |

| member of a record | attribute |
|---|---|
| chain, seq | `metadata.log_name`, `metadata.sequence`, and both as `metadata.uid` |
| time, latency, until, count | `time` and `start_time` (ms), `duration` (ms), `end_time` (ms), `count` |
| request_id | `metadata.correlation_uid` and `api.request.uid` |
| principal, authentication | `actor.user.uid`, `unmapped.authentication` |
| peer, user_agent | `src_endpoint.ip`, `http_request.user_agent` |
| call | `api.operation` (method), `api.service.name` |
| code, reason | `status`, `status_id`, `status_code`, `status_detail`; `api.response.code` (number), `.message` |
| object | `resources[].uid`, `.type`; one an item of a batch, with its `data` {relation, user, decision} |
| store, action | of a change: `entity.uid`, `entity.type` and `comment` |
| before, after | of a change: `entity.data`, `entity_result.data` |
| all others | `unmapped`, by their names |

`severity_id`: 1 informational; 2 low for a call that failed; 3 medium for one that was refused for who its caller is;
5 critical for a chain that was found tampered with.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from authz import __version__
from authz.audit.exported import IDENTITY, given, method_of, milliseconds
from authz.tuples import object_type

OCSF_VERSION = "1.3.0"

_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_CALLS = MappingProxyType(
    {
        "Write": _UPDATE,
        "WriteAuthorizationModel": _CREATE,
        "WriteAssertions": _UPDATE,
        "CreateStore": _CREATE,
        "UpdateStore": _UPDATE,
        "DeleteStore": _DELETE,
        "Grant": _CREATE,
        "Withdraw": _DELETE,
        "RevokeTokens": _CREATE,
        "Suspend": _CREATE,
        "Lift": _DELETE,
        "StartCapture": _CREATE,
        "StopCapture": _DELETE,
    }
)
_READS = ("Read", "List", "Get", "Check", "BatchCheck", "Expand", "Streamed", "Query")
_ACTIONS = MappingProxyType(
    {
        "tuples.write": (_UPDATE, "relationship tuples"),
        "model.write": (_CREATE, "authorization model"),
        "assertions.write": (_UPDATE, "assertions"),
        "store.create": (_CREATE, "store"),
        "store.rename": (_UPDATE, "store"),
        "store.delete": (_DELETE, "store"),
        "directive.add": (_CREATE, "directive"),
        "directive.lift": (_DELETE, "directive"),
    }
)
_NOTES = MappingProxyType({"start": 3, "stop": 4})
_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
_PRODUCT = MappingProxyType({"name": "authz", "vendor_name": "authz", "version": __version__})

_MAPPED = frozenset(
    (
        *("chain", "seq", "key", "mac", "kind", "time", "until", "latency", "count", "request_id", "principal", "peer"),
        *(
            "user_agent",
            "call",
            "code",
            "reason",
            "object",
            "relation",
            "user",
            "decision",
            "items",
            "action",
            "before",
        ),
        *("after", "note"),
    )
)


def ocsf_event(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as an OCSF event."""
    kind = record.get("kind")
    event = {"call": _call_event, "change": _change_event}.get(str(kind), _lifecycle_event)(record)
    event["type_uid"] = event["class_uid"] * 100 + event["activity_id"]
    event |= {
        "time": milliseconds(record["time"]),
        "metadata": given(
            {
                "version": OCSF_VERSION,
                "product": dict(_PRODUCT),
                "uid": f"{record['chain']}/{record['seq']}",
                "log_name": record["chain"],
                "sequence": record["seq"],
                "correlation_uid": record.get("request_id"),
            }
        ),
        "unmapped": {name: value for name, value in record.items() if name not in _MAPPED},
    }
    return event


def _call_event(record: Mapping[str, Any]) -> dict[str, Any]:
    method, service = method_of(record), str(record.get("call", "")).strip("/").rpartition("/")[0]
    code = str(record.get("code", "UNKNOWN"))
    activity = _CALLS.get(method) or (_READ if method.startswith(_READS) else _OTHER)
    response = {"code": _CODES.index(code) if code in _CODES else None, "message": record.get("reason")}
    items = record.get("items") or ([record] if "object" in record else [])
    began = milliseconds(record["time"])
    return given(
        {
            "category_uid": 6,
            "class_uid": 6003,
            "class_name": "API Activity",
            "activity_id": activity,
            "activity_name": method if activity == _OTHER else None,
            "severity_id": _severity(code),
            **_status(code, record.get("reason")),
            "actor": {"user": {"uid": record.get("principal", "unknown")}},
            "api": {
                "operation": method,
                "service": {"name": service},
                "request": {"uid": record.get("request_id", "")},
                "response": given(response),
            },
            "src_endpoint": {"ip": record["peer"]} if "peer" in record else {"name": "unknown"},
            "http_request": {"user_agent": record["user_agent"]} if "user_agent" in record else None,
            "resources": [_resource(item) for item in items] or None,
            "start_time": began,
            "end_time": milliseconds(record["until"]) if "until" in record else None,
            "duration": int(record.get("latency", 0)) // 1000,
            "count": record.get("count"),
        }
    )


def _change_event(record: Mapping[str, Any]) -> dict[str, Any]:
    activity, type_ = _ACTIONS.get(str(record.get("action")), (_OTHER, "other"))
    entity = {"type": type_, "uid": record.get("store", "service")}
    return given(
        {
            "category_uid": 3,
            "class_uid": 3004,
            "class_name": "Entity Management",
            "activity_id": activity,
            "activity_name": record.get("action") if activity == _OTHER else None,
            "severity_id": 1,
            **_status("OK", None),
            "actor": {"user": {"uid": record.get("principal", "unknown")}},
            "src_endpoint": {"ip": record["peer"]} if "peer" in record else None,
            "comment": record.get("action"),
            "entity": given({**entity, "data": record.get("before")}),
            "entity_result": given({**entity, "data": record.get("after")}),
        }
    )


def _lifecycle_event(record: Mapping[str, Any]) -> dict[str, Any]:
    note = str(record.get("note", record.get("kind")))
    activity = _NOTES.get(note, _OTHER)
    return given(
        {
            "category_uid": 6,
            "class_uid": 6002,
            "class_name": "Application Lifecycle",
            "activity_id": activity,
            "activity_name": note if activity == _OTHER else None,
            "severity_id": 5 if note == "broken" else 1,
            "app": dict(_PRODUCT),
        }
    )


def _status(code: str, reason: object) -> dict[str, Any]:
    is_good = code == "OK"
    return {
        "status_id": 1 if is_good else 2,
        "status": "Success" if is_good else "Failure",
        "status_code": code,
        "status_detail": reason,
    }


def _resource(item: Mapping[str, Any]) -> dict[str, Any]:
    data = given({name: item.get(name) for name in ("relation", "user", "decision")})
    return {"uid": item.get("object", ""), "type": object_type(str(item.get("object", ""))) or "object", "data": data}


def _severity(code: str) -> int:
    if code == "OK":
        return 1
    return 3 if code in IDENTITY else 2
