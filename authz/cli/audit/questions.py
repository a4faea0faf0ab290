"""Commands that ask a server for records: query and tail. Added to `authz audit` here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.audit.times import moment_of
from authz.cli.errors import UsageProblem
from authz.cli.session import Session, on_server

if TYPE_CHECKING:
    from datetime import datetime

    from google.protobuf.timestamp_pb2 import Timestamp

    from authz._proto.authz.v1.audit_pb2 import QueryRecordsRequest

MAX_RECORDS = 100_000
DECISIONS = ("allowed", "denied", "failed")


def _text(flag: str, metavar: str, help_: str) -> Any:
    return Annotated[str, typer.Option(flag, metavar=metavar, help=help_)]


_FILTERS = {
    "principal": _text("--principal", "ID", "Who called."),
    "store_id": _text("--store", "ID", "On which store."),
    "object_": _text("--object", "TYPE:ID", "What was asked about, or changed."),
    "relation": _text("--relation", "NAME", "Which relation."),
    "user": _text("--user", "USER", "Whose relation."),
    "decision": _text("--decision", "WORD", "allowed, denied or failed."),
    "call": _text("--call", "NAME", "Which method, such as Check."),
    "kind": _text("--kind", "WORD", "call, change, note or checkpoint."),
    "reason": _text("--reason", "WORD", "Why a call was refused, such as forbidden."),
    "request_id": _text("--request-id", "ID", "Of which request."),
}
SINCE = Annotated[str, typer.Option("--since", metavar="TIME", help="From when: RFC 3339, or 1h for an hour ago.")]
UNTIL = Annotated[str, typer.Option("--until", metavar="TIME", help="Up to when.")]
LIMIT = Annotated[int, typer.Option("--limit", min=1, max=MAX_RECORDS, help="At most so many records.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("query")(on_server(_filtered(query)))
    app.command("tail")(on_server(_filtered(tail)))


def query(
    session: Session, filters: Mapping[str, str], *, since: SINCE = "", until: UNTIL = "", limit: LIMIT = 100
) -> None:
    """Print records that match, newest first. With --json one JSON record a line, as it was sealed."""
    from authz.clock import SystemClock

    now = SystemClock().now()
    request = _request(filters, moment_of(since, "--since", now), moment_of(until, "--until", now))
    request.limit = limit
    for record in _records(session, request, is_endless=False):
        _print(session, record)


def tail(session: Session, filters: Mapping[str, str]) -> None:
    """Print records that match as they are written, until Ctrl-C."""
    request = _request(filters, None, None)
    request.follow = True
    for record in _records(session, request, is_endless=True):
        _print(session, record)


def _filtered(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose flags are the filters and its own."""
    session, _, *own = inspect.signature(function, eval_str=True).parameters.values()
    filters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default="")
        for name, annotation in _FILTERS.items()
    ]

    def command(session: Session, **given: Any) -> None:
        function(session, {name: given.pop(name) for name in _FILTERS}, **given)

    command.__signature__ = inspect.Signature([session, *filters, *own])  # type: ignore[attr-defined]
    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    return command


def _request(filters: Mapping[str, str], since: datetime | None, until: datetime | None) -> QueryRecordsRequest:
    from authz._proto.authz.v1.audit_pb2 import QueryRecordsRequest

    named: dict[str, Any] = {name.rstrip("_"): value for name, value in filters.items()}
    if named["decision"] not in ("", *DECISIONS):
        raise UsageProblem(f"`--decision {named['decision']}` is none of {', '.join(DECISIONS)}")
    return QueryRecordsRequest(**named, since=_timestamp(since), until=_timestamp(until))


def _timestamp(moment: datetime | None) -> Timestamp | None:
    from google.protobuf.timestamp_pb2 import Timestamp

    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _records(session: Session, request: QueryRecordsRequest, *, is_endless: bool) -> Iterator[str]:
    answers = session.connection.stream("QueryRecords", request, {}, is_endless=is_endless)
    return (answer.record for answer in answers)


def _print(session: Session, record: str) -> None:
    if session.out.is_json:
        print(record, flush=True)
        return
    import orjson

    print(shown(orjson.loads(record)), flush=True)


def shown(record: Mapping[str, Any]) -> str:
    """A record on one line for people."""
    what = record.get("action") or str(record.get("call", "")).rpartition("/")[2] or record.get("note", record["kind"])
    parts = [record["time"], str(record.get("principal", "-")), str(what), _outcome(record), _about(record)]
    if "count" in record:
        parts.append(f"({record['count']} times)")
    # What callers gave must not move the cursor of a terminal.
    return "  ".join("".join(c if c.isprintable() else "?" for c in part) for part in parts if part)


def _outcome(record: Mapping[str, Any]) -> str:
    if record["kind"] == "change":
        return f"revision {record['revision']}" if "revision" in record else "done"
    code = str(record.get("code", ""))
    if code not in ("", "OK"):
        return f"{code} {record.get('reason', '')}".strip()
    return str(record.get("decision", code))


def _about(record: Mapping[str, Any]) -> str:
    items = record.get("items") or [record]
    first = items[0]
    if "object" not in first:
        return str(record.get("store", record.get("why", "")))
    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    return f"{first['object']}#{first.get('relation', '')}@{first.get('user', '')}{more}"
