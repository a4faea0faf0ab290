"""Handlers of `authz.v1.AuditService`: records of calls and changes, and capture of bodies. Named in `methods`."""

from __future__ import annotations

from authz._proto.authz.v1 import audit_pb2 as pb
from authz.access.authorization import DENIED, orders
from authz.commands.directives import CAPTURE
from authz.commands.services import Services
from authz.errors import Forbidden
from authz.rpc.convert.access import capture_of, directive_message, record_filter_of, term_of
from authz.rpc.exchange import Exchange

DEFAULT_RECORDS = 1000


async def query(services: Services, exchange: Exchange, request: pb.QueryRecordsRequest) -> None:
    """QueryRecords. Proof and rights are asked for again at each record: who follows may lose them meanwhile."""
    records, wanted, exchange.results = services.records, record_filter_of(request), 0
    limit = request.limit or DEFAULT_RECORDS
    lines = records.follow(wanted) if request.follow else records.query(wanted, limit=limit)
    async for line in lines:
        await exchange.confirm()
        if not await services.rights.may_audit(exchange.call, request.store_id):
            raise Forbidden(DENIED)
        await exchange.send(pb.QueryRecordsResponse(record=line.decode()))
        exchange.results += 1


async def start_capture(
    services: Services, exchange: Exchange, request: pb.StartCaptureRequest
) -> pb.StartCaptureResponse:
    """StartCapture."""
    made = await orders.start_capture(services, exchange.call, capture_of(request), term_of(request))
    return pb.StartCaptureResponse(directive=directive_message(made))


async def stop_capture(
    services: Services, exchange: Exchange, request: pb.StopCaptureRequest
) -> pb.StopCaptureResponse:
    """StopCapture."""
    lifted = await orders.lift(services, exchange.call, request.id, (CAPTURE,))
    return pb.StopCaptureResponse(directive=directive_message(lifted))
