"""Log every call with its outcome and time. The outermost step of the chain: refusals are logged too."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog

from authz.rpc.exchange import Exchange, Method, Proceed

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from authz.rpc.edge import Edge

_SHOWN = 200

_log = structlog.get_logger(__name__)


def observe(edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: one line a call, without bodies, tokens or secrets. Calls of every object access at debug level."""
    monotonic = edge.services.clock.monotonic
    logger = _log.bind()  # once: binding costs more than the rest
    level = logging.DEBUG if method.is_frequent else logging.INFO
    is_silent = not logger.is_enabled_for(level)

    async def log(exchange: Exchange) -> Message | None:
        started = monotonic()
        code = "CANCELLED"
        try:
            answer = await inner(exchange)
            code = exchange.failure.status.name if exchange.failure else "OK"
            return answer
        except Exception:
            code = "UNKNOWN"
            raise
        finally:
            if code != "OK" or not is_silent:
                fields = _fields(exchange, code, (monotonic() - started) * 1000)
                logger.log(level if code == "OK" else logging.INFO, "rpc", **fields)

    return log


def _fields(exchange: Exchange, code: str, milliseconds: float) -> dict[str, object]:
    """What operators of OpenFGA look for, by the names that they know."""
    method = exchange.method
    return {
        "grpc_service": method.service,
        "grpc_method": method.name,
        "grpc_type": "server_stream" if method.is_streaming else "unary",
        "grpc_code": code,
        "reason": exchange.failure.reason if exchange.failure else "",
        "request_id": exchange.call.request_id,
        "user_agent": exchange.header("user-agent")[:_SHOWN],
        "store_id": exchange.store_id,
        "authorization_model_id": exchange.model_id,
        "query_duration_ms": round(milliseconds, 3),
    }
