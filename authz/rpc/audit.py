"""End every call in one record, whatever became of it. Two steps of the chain.

What the inner steps found out is in the exchange. The recorder writes the record off the path of the call; with
`audit.sync` the answer waits until it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict

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
            if observe is not None:
                observe(completed)
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
        None if request is None else _body_of(request),
    )


def _body_of(request: Message) -> Callable[[], JsonValue]:
    def body() -> JsonValue:
        found: JsonValue = MessageToDict(request, preserving_proto_field_name=True)
        return found

    return body
