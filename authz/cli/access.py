"""Commands on who may call: roles, revocations, suspensions, preshared keys. Added to the program by `main`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.errors import UsageProblem
from authz.cli.output import Output, table
from authz.cli.pages import gather, tell_rest
from authz.cli.session import JSON, Session, on_server
from authz.cli.values import ALL_PAGES, PAGE_SIZE, PAGE_TOKEN
from authz.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.console import RenderableType

    from authz._proto.authz.v1 import access_pb2 as pb
    from authz.cli.connection import Answer

app = typer.Typer(help="Say who may call the service: roles, revocations, suspensions, keys.", no_args_is_help=True)

PRINCIPAL = Annotated[
    str,
    typer.Argument(
        metavar="PRINCIPAL",
        help="ISSUER/SUBJECT, cert/NAME or key/NAME; group:ISSUER/GROUP for the members of a group.",
    ),
]
ROLE = Annotated[
    str,
    typer.Argument(
        metavar="ROLE",
        help="On the service: admin, auditor, store_creator, reader, checker. On a store: admin, model_writer, writer,"
        " reader, checker. On a module: writer. In a group: member.",
    ),
]
ON_STORE = Annotated[str, typer.Option("--store", metavar="ID", help="The store; else the whole service.")]
ON_MODULE = Annotated[str, typer.Option("--module", metavar="NAME", help="A module of that store's models.")]
IN_GROUP = Annotated[str, typer.Option("--group", metavar="ISSUER/GROUP", help="The group, for the role member.")]
OF_PRINCIPAL = Annotated[str, typer.Option("--principal", metavar="PRINCIPAL", help="Only what it was given.")]
OF_STORE = Annotated[str, typer.Option("--store", metavar="ID", help="Only roles on this store.")]
REASON = Annotated[str, typer.Option("--reason", help="Why; kept with the order.")]
UNTIL = Annotated[
    str, typer.Option("--until", metavar="TIME", help="When it ends: 2026-01-31T12:00:00Z, or 8h from now.")
]

MAYBE_PRINCIPAL = Annotated[str, typer.Argument(metavar="[PRINCIPAL ROLE]", help="A role to withdraw, as `withdraw`.")]
MAYBE_ROLE = Annotated[str, typer.Argument(metavar="", help="", hidden=True)]
TOKEN_ID = Annotated[str, typer.Option("--token-id", metavar="JTI", help="One token; needs --issuer.")]
TOKENS_OF = Annotated[str, typer.Option("--principal", metavar="PRINCIPAL", help="All tokens of a principal.")]
CLIENT = Annotated[str, typer.Option("--client", metavar="CLIENT", help="All tokens of a client; needs --issuer.")]
ISSUER = Annotated[str, typer.Option("--issuer", metavar="NAME", help="The issuer, by its name in the settings.")]
BEFORE = Annotated[
    str,
    typer.Option("--issued-before", metavar="TIME", help="Tokens issued before this time, or before 1h ago; else now."),
]


@app.command("grant")
@on_server
def grant(
    session: Session,
    principal: PRINCIPAL,
    role: ROLE,
    *,
    store: ON_STORE = "",
    module: ON_MODULE = "",
    group: IN_GROUP = "",
) -> None:
    """Give a role.

    A role that was given before is no error.
    """
    from authz._proto.authz.v1.access_pb2 import GrantRequest

    given = _grant(principal, role, store, module, group)
    _warn_of_nobody(session, principal)
    session.call("Grant", GrantRequest(grant=given))
    session.out.answer(_grant_value(given), f"granted {_grant_text(given)}")


@app.command("withdraw")
@on_server
def withdraw(
    session: Session,
    principal: PRINCIPAL,
    role: ROLE,
    *,
    store: ON_STORE = "",
    module: ON_MODULE = "",
    group: IN_GROUP = "",
) -> None:
    """Take a role away.

    A role that was not given is no error.
    """
    _withdraw(session, _grant(principal, role, store, module, group))


@app.command("list")
@on_server
def list_(
    session: Session,
    *,
    principal: OF_PRINCIPAL = "",
    store: OF_STORE = "",
    page_size: PAGE_SIZE = 50,
    token: PAGE_TOKEN = "",
    every: ALL_PAGES = False,
) -> None:
    """List roles; without a filter, also the revocations, suspensions and captures that hold now."""
    from authz._proto.authz.v1.access_pb2 import ListGrantsRequest

    def fetch(token: str) -> Answer:
        request = ListGrantsRequest(principal=principal, store_id=store, page_size=page_size, continuation_token=token)
        return session.call("ListGrants", request)

    grants, following, _ = gather(fetch, lambda page: [_grant_value(each) for each in page.grants], token, is_all=every)
    answer: dict[str, Any] = {"grants": grants}
    if not principal and not store and not token:
        answer["directives"] = _orders(session)
    answer["continuation_token"] = following
    session.out.answer(answer, _table(("principal", "role", "store_id", "module", "group"), grants))
    if answer.get("directives") and not session.out.is_json:
        session.out.text("")
        shown = [_shown(each) for each in answer["directives"]]
        session.out.text(_table(("id", "kind", "about", "reason", "created_by", "expires_at"), shown))
    tell_rest(session, following, "roles")


@app.command("revoke")
@on_server
def revoke(
    session: Session,
    principal: MAYBE_PRINCIPAL = "",
    role: MAYBE_ROLE = "",
    *,
    store: ON_STORE = "",
    module: ON_MODULE = "",
    group: IN_GROUP = "",
    token_id: TOKEN_ID = "",
    tokens_of: TOKENS_OF = "",
    client: CLIENT = "",
    issuer: ISSUER = "",
    before: BEFORE = "",
    until: UNTIL = "",
    reason: REASON = "",
) -> None:
    """Make tokens worthless; or, with PRINCIPAL and ROLE, take a role away.

    Tokens are revoked by --token-id, or all those of a --principal or --client that were issued before a time.
    """
    about_tokens = {"token_id": token_id, "principal": tokens_of, "client": client}
    named = {name: value for name, value in about_tokens.items() if value}
    if principal or role:
        if named or issuer or before or until or reason:
            raise UsageProblem("a role is withdrawn by PRINCIPAL and ROLE alone: leave out the options about tokens")
        if not role:
            raise UsageProblem("name the ROLE too, or use `--principal` to revoke the principal's tokens")
        _withdraw(session, _grant(principal, role, store, module, group))
        return
    if len(named) != 1:
        raise UsageProblem("name what to revoke: one of `--token-id`, `--principal` and `--client`, or PRINCIPAL ROLE")
    if store or module or group:
        raise UsageProblem("tokens are revoked for all stores: leave out `--store`, `--module` and `--group`")
    from authz._proto.authz.v1.access_pb2 import RevokeTokensRequest

    request = RevokeTokensRequest(
        **named, issuer=issuer, issued_before=_before(before), expires_at=_end(until), reason=reason
    )
    _warn_of_nobody(session, tokens_of)
    _tell(session, session.call("RevokeTokens", request), "revoked")


@app.command("suspend")
@on_server
def suspend(session: Session, principal: PRINCIPAL, *, until: UNTIL = "", reason: REASON = "") -> None:
    """Refuse every call of a principal, until a time or until it is lifted."""
    from authz._proto.authz.v1.access_pb2 import SuspendRequest

    request = SuspendRequest(principal=principal, expires_at=_end(until), reason=reason)
    _warn_of_nobody(session, principal)
    _tell(session, session.call("Suspend", request), "suspended")


@app.command("lift")
@on_server
def lift(
    session: Session, order: Annotated[str, typer.Argument(metavar="ID", help="The order, as `list` shows it.")]
) -> None:
    """End a revocation, a suspension or a capture before its time."""
    from authz._proto.authz.v1.access_pb2 import LiftRequest

    _tell(session, session.call("Lift", LiftRequest(id=order)), "lifted")


@app.command("key")
def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key; its principal is key/NAME.")],
    *,
    is_json: JSON = False,
) -> None:
    """Make a preshared key; no server is needed.

    Prints the key, which is kept nowhere, and the line that makes it known: add that to the file of keys.
    """
    from authz.access.authentication.preshared import new_key

    try:
        secret, line = new_key(name)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    out = Output(is_json=is_json)
    out.answer({"key": secret, "line": line}, secret)
    if not is_json:
        out.note(f"add this line to the file of `access.keys_file`:\n{line}")


def _withdraw(session: Session, taken: pb.Grant) -> None:
    from authz._proto.authz.v1.access_pb2 import WithdrawRequest

    session.call("Withdraw", WithdrawRequest(grant=taken))
    session.out.answer(_grant_value(taken), f"withdrew {_grant_text(taken)}")


def _grant(principal: str, role: str, store: str, module: str, group: str) -> pb.Grant:
    from authz._proto.authz.v1.access_pb2 import Grant

    return Grant(principal=principal, role=role, store_id=store, module=module, group=group)


def _grant_value(message: pb.Grant) -> dict[str, str]:
    """A role as it is printed; members that do not apply are left out."""
    values = {"principal": message.principal, "role": message.role}
    places = {"store_id": message.store_id, "module": message.module, "group": message.group}
    return values | {name: value for name, value in places.items() if value}


def _grant_text(message: pb.Grant) -> str:
    if message.group:
        where = f"in group {message.group}"
    elif message.module:
        where = f"on module {message.module} of store {message.store_id}"
    else:
        where = f"on store {message.store_id}" if message.store_id else "on the service"
    return f"{message.principal} {message.role} {where}"


def _orders(session: Session) -> list[dict[str, Any]]:
    from authz._proto.authz.v1.access_pb2 import ListDirectivesRequest

    answer = session.call("ListDirectives", ListDirectivesRequest())
    return [_directive_value(each) for each in answer.message.directives]


def _tell(session: Session, answer: Answer, done: str) -> None:
    value = _directive_value(answer.message.directive)
    session.out.answer(value, f"{done} {_shown(value)['about']}: order {value['id']}")


def _directive_value(message: pb.Directive) -> dict[str, Any]:
    import orjson
    from google.protobuf.timestamp_pb2 import Timestamp

    body = orjson.loads(message.body)
    before = body.get("issued_before")
    if isinstance(before, int | float):  # seconds since 1970
        moment = Timestamp()
        moment.FromMicroseconds(round(before * 1_000_000))
        body["issued_before"] = moment.ToJsonString()
    value: dict[str, Any] = {
        "id": message.id,
        "kind": message.kind,
        "body": body,
        "reason": message.reason,
        "created_by": message.created_by,
        "created_at": message.created_at.ToJsonString(),
    }
    times = {
        name: getattr(message, name).ToJsonString() for name in ("expires_at", "lifted_at") if message.HasField(name)
    }
    return value | times


def _table(columns: tuple[str, ...], values: Sequence[Mapping[str, str]]) -> RenderableType:
    return table(columns, ([value.get(column, "") for column in columns] for value in values))


def _shown(directive: dict[str, Any]) -> dict[str, Any]:
    about = " ".join(f"{name}={value}" for name, value in directive["body"].items())
    return directive | {"about": about}


def _warn_of_nobody(session: Session, principal: str) -> None:
    if principal and "/" not in principal:
        session.out.warn(
            f"`{principal}` is not of the form ISSUER/SUBJECT, cert/NAME or key/NAME: only a rule of"
            " `access.certificates` makes such a principal"
        )


def _before(text: str) -> Timestamp | None:
    """A moment, or a length of time ago."""
    from authz.cli.audit.times import moment_of

    return _time(moment_of(text, "--issued-before", SystemClock().now()))


def _end(text: str) -> Timestamp | None:
    """A moment, or a length of time from now."""
    from authz.cli.audit.times import end_of

    return _time(end_of(text, "--until", SystemClock().now()))


def _time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    from google.protobuf.timestamp_pb2 import Timestamp

    made = Timestamp()
    made.FromDatetime(moment)
    return made
