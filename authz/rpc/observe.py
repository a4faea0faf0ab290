"""Measure, trace and log every call. The outermost step of the chain: refusals are seen too."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

from authz.rpc.exchange import Exchange, Method, Proceed
from authz.rpc.refusal_lines import FREE

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.call import Completed
    from authz.rpc.edge import Edge

_SHOWN = 200

_log = structlog.get_logger(__name__)


def observe(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: one span, one measurement and one line a call, without bodies, tokens or secrets.

    Calls of every object access are logged at debug level, unless they fail. Floods of refusals are counted.
    """
    watch = edge.telemetry.watch(method.service, method.name)
    logger = _log.bind()  # once: binding costs more than the rest
    level = logging.DEBUG if method.is_frequent else logging.INFO
    is_silent = not logger.is_enabled_for(level)
    lines = edge.refusal_lines

    async def look(exchange: Exchange) -> Message | None:
        span = watch.begin(exchange.metadata)
        exchange.call.trace_id = span.trace_id
        try:
            return await inner(exchange)
        finally:
            completed = exchange.completed
            if completed is not None:
                watch.end(span, completed)
                code = completed.code
                if (code != "OK" or not is_silent) and (code not in FREE or lines.has_line()):
                    fields = _fields(exchange, completed)
                    logger.log(level if code == "OK" else logging.INFO, "rpc", **fields)

    return look


def _fields(exchange: Exchange, completed: Completed) -> dict[str, object]:
    """What operators of OpenFGA look for, by the names that they know."""
    method = exchange.method
    return {
        "grpc_service": method.service,
        "grpc_method": method.name,
        "grpc_type": "server_stream" if method.is_streaming else "unary",
        "grpc_code": completed.code,
        "reason": completed.reason,
        "request_id": exchange.call.request_id,
        "trace_id": exchange.call.trace_id,
        "principal": exchange.call.principal.id,
        "peer": exchange.call.peer,
        "user_agent": completed.user_agent[:_SHOWN],
        "store_id": exchange.store_id,
        "authorization_model_id": exchange.model_id,
        "query_duration_ms": round(completed.seconds * 1000, 3),
    }
