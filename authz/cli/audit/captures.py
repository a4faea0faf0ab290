"""Commands that let bodies be recorded for a time. Added to `authz audit` here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.audit.times import length_of
from authz.cli.errors import UsageProblem
from authz.cli.output import table
from authz.cli.session import Session, on_server

if TYPE_CHECKING:
    from google.protobuf.message import Message

app = typer.Typer(help="Record the bodies of some calls for a time.", no_args_is_help=True)

PRINCIPAL = Annotated[str, typer.Option("--principal", metavar="ID", help="Calls of this principal.")]
STORE = Annotated[str, typer.Option("--store", metavar="ID", help="Calls on this store.")]
CALL = Annotated[str, typer.Option("--call", metavar="NAME", help="Calls of this method, such as Check.")]
LENGTH = Annotated[str, typer.Option("--for", metavar="LENGTH", help="How long: 90s, 30m, 1h; at most 1d.")]
REASON = Annotated[str, typer.Option("--reason", help="Why; recorded with the capture.")]
ID = Annotated[str, typer.Argument(metavar="ID", help="The capture, as `start` and `list` print it.")]


@app.command("start")
@on_server
def start(
    session: Session,
    *,
    principal: PRINCIPAL = "",
    store: STORE = "",
    call: CALL = "",
    length: LENGTH = "1h",
    reason: REASON = "",
) -> None:
    """Record the bodies of calls that match all that is named. Starting is recorded too."""
    from google.protobuf.timestamp_pb2 import Timestamp

    from authz._proto.authz.v1.audit_pb2 import StartCaptureRequest
    from authz.clock import SystemClock

    if not (principal or store or call):
        raise UsageProblem("name whose calls: `--principal`, `--store` or `--call`")
    ends = Timestamp()
    ends.FromDatetime(SystemClock().now() + length_of(length, "--for"))
    request = StartCaptureRequest(principal=principal, store_id=store, call=call, expires_at=ends, reason=reason)
    directive = session.connection.call("StartCapture", request).message.directive
    session.out.answer(_dict(directive), f"{directive.id}\n")


@app.command("stop")
@on_server
def stop(session: Session, *, id_: ID) -> None:
    """End a capture before its time."""
    from authz._proto.authz.v1.audit_pb2 import StopCaptureRequest

    directive = session.connection.call("StopCapture", StopCaptureRequest(id=id_)).message.directive
    session.out.answer(_dict(directive), f"stopped {directive.id}")


@app.command("list")
@on_server
def list_(session: Session) -> None:
    """List the captures that hold."""
    from authz._proto.authz.v1.access_pb2 import ListDirectivesRequest

    found = session.connection.call("ListDirectives", ListDirectivesRequest(kind="capture")).message.directives
    shown = [_dict(each) for each in found]
    rows = ([each.get(name, "") for name in ("id", "body", "created_by", "expires_at", "reason")] for each in shown)
    session.out.answer({"captures": shown}, table(("id", "calls", "started by", "until", "reason"), rows))


def _dict(message: Message) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return dict(MessageToDict(message, preserving_proto_field_name=True))
