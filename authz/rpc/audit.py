"""End every call in one record, whatever became of it. Two steps of the chain.

What the inner steps found out is in the exchange. The recorder writes the record off the path of the call; with
`audit.sync` the answer waits until it is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.struct_pb2 import Value

from authz.call import Completed
from authz.errors import AuthzError
from authz.rpc.errors import failure_of
from authz.rpc.exchange import Exchange, Method, Proceed

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge
    from authz.tuples import JsonValue


def audit(edge: Edge, _method: Method, inner: Proceed) -> Proceed:
    """The step: make the record, also of a call that its caller gave up, and show it to those who watch."""
    clock, note = edge.services.clock, edge.recorder.record
    observe = None if edge.detector is None else edge.detector.observe
    durable = edge.recorder.durable if edge.is_audit_sync else None

    async def record(exchange: Exchange) -> Message | None:
        started_at, started = clock.now(), clock.monotonic()
        code, answer = "CANCELLED", None
        try:
            answer = await inner(exchange)
            code = exchange.failure.status.name if exchange.failure else "OK"
        except Exception:
            code = "UNKNOWN"
            raise
        finally:
            if answer is not None:
                exchange.response_bytes = answer.ByteSize()
            completed = _completed(exchange, code, started_at, clock.monotonic() - started)
            exchange.completed = completed
            try:
                if observe is not None:
                    observe(completed)
            finally:
                note(completed)
        if durable is not None:
            try:
                await durable()
            except AuthzError as error:  # no answer without its record
                exchange.failure, answer = failure_of(error), None
                completed.code, completed.reason = exchange.failure.status.name, exchange.failure.reason
        return answer

    return record


def admit(edge: Edge, _method: Method, inner: Proceed) -> Proceed:
    """The step: a call begins only when there is room for its record; else it waits or is refused, by the settings."""
    room = edge.recorder.admit

    async def enter(exchange: Exchange) -> Message | None:
        waiting = room()
        if waiting is not None:
            await waiting
        return await inner(exchange)

    return enter


def _completed(exchange: Exchange, code: str, started_at: datetime, seconds: float) -> Completed:
    failure, request = exchange.failure, exchange.request
    return Completed(
        exchange.call,
        exchange.method.scope,
        started_at,
        seconds,
        code,
        failure.reason if failure else "",
        exchange.store_id,
        exchange.model_id,
        exchange.keys,
        exchange.decisions,
        exchange.results,
        exchange.revision,
        len(exchange.payload),
        exchange.response_bytes,
        exchange.header("user-agent"),
        None if request is None else _body_of(exchange.method.recorded, request),
    )


def _body_of(recorded: Callable[[Message], Message], request: Message) -> Callable[[], JsonValue]:
    def body() -> JsonValue:
        may_be_shown = recorded(request)
        try:
            return _plain(may_be_shown)
        except SerializeToJsonError:
            # A number that JSON lacks must not keep the body out of the trail.
            shown = type(may_be_shown)()
            shown.CopyFrom(may_be_shown)
            _spell_numbers(shown)
            return _plain(shown)

    return body


def _plain(request: Message) -> JsonValue:
    found: JsonValue = MessageToDict(request, preserving_proto_field_name=True)
    return found


def _spell_numbers(message: Message) -> None:
    """Put texts such as `nan` in the place of numbers that JSON lacks."""
    if isinstance(message, Value) and not math.isfinite(message.number_value):  # which is 0 for another kind
        message.string_value = str(message.number_value)
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            parts = value.values() if field.message_type.fields_by_name["value"].message_type else ()
        else:
            parts = value if field.is_repeated else (value,)
        for part in parts:
            _spell_numbers(part)
