"""Questions to a store. Added to the program by `main`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.errors import DONE, NO, SERVICE, UsageProblem
from authz.cli.output import table
from authz.cli.session import MODEL, TOKEN, TRUNCATED, Session, asking
from authz.cli.values import CONTEXT, CONTEXTUAL, contextual_tuples, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz._proto.openfga.v1.openfga_pb2 import ContextualTupleKeys

app = typer.Typer(help="Check, batch check, expand, list objects, list users.", no_args_is_help=True)

USER = Annotated[str, typer.Argument(metavar="USER", help="`type:id`, `type:id#relation` or `type:*`.")]
RELATION = Annotated[str, typer.Argument(metavar="RELATION")]
OBJECT = Annotated[str, typer.Argument(metavar="OBJECT", help="`type:id`.")]
TYPE = Annotated[str, typer.Argument(metavar="TYPE", help="The type of the objects.")]
FILTER = Annotated[str, typer.Argument(metavar="FILTER", help="`type`, or `type#relation` for usersets.")]
STREAM = Annotated[bool, typer.Option("--stream", help="Print objects as they are found, without a maximum.")]
CHECKS = Annotated[Path, typer.Argument(metavar="FILE", help="JSON or YAML list of user, relation, object, context, …")]

_CUT = {"deadline": "the deadline passed", "max-results": "there are more than the service lists at once"}


@app.command("check")
@asking
def check(
    session: Session,
    *,
    user: USER,
    relation: RELATION,
    object_: OBJECT,
    context: CONTEXT = "",
    contextual: CONTEXTUAL = None,
) -> int:
    """Has a user a relation on an object.

    Exit code 0: allowed, 1: denied.
    """
    from authz._proto.openfga.v1.openfga_service_pb2 import CheckRequest, CheckRequestTupleKey

    request = CheckRequest(
        store_id=session.store,
        authorization_model_id=session.model,
        tuple_key=CheckRequestTupleKey(user=user, relation=relation, object=object_),
        contextual_tuples=_contextual(contextual),
        context=_context(context),
    )
    answer = session.call("Check", request)
    allowed = bool(answer.message.allowed)
    word = "allowed" if allowed else "denied"
    session.out.answer({"allowed": allowed, **_beside(answer.metadata)}, f"{word}\n{_beside_text(answer.metadata)}")
    return DONE if allowed else NO


@app.command("batch-check")
@asking
def batch_check(session: Session, checks: CHECKS) -> int:
    """Ask the checks of a file.

    Exit code 0: all allowed, 1: one denied, 3: one could not be answered.
    """
    from authz._proto.openfga.v1.openfga_service_pb2 import BatchCheckRequest
    from authz.cli.batches import read_checks, results_of

    items = read_checks(checks)
    request = BatchCheckRequest(store_id=session.store, authorization_model_id=session.model, checks=items)
    answer = session.call("BatchCheck", request)
    results = results_of(items, answer.message)
    rows = ([one["correlation_id"], one["question"], _verdict(one)] for one in results)
    session.out.answer(
        {"results": results, **_beside(answer.metadata)}, table(("correlation_id", "check", "answer"), rows)
    )
    if any("error" in one for one in results):
        return SERVICE
    return DONE if all(one["allowed"] for one in results) else NO


@app.command("expand")
@asking
def expand(session: Session, relation: RELATION, object_: OBJECT, contextual: CONTEXTUAL = None) -> None:
    """Show what a relation on an object is made of."""
    from google.protobuf.json_format import MessageToDict

    from authz._proto.openfga.v1.openfga_service_pb2 import ExpandRequest, ExpandRequestTupleKey
    from authz.cli.trees import tree_text

    request = ExpandRequest(
        store_id=session.store,
        authorization_model_id=session.model,
        tuple_key=ExpandRequestTupleKey(relation=relation, object=object_),
        contextual_tuples=_contextual(contextual),
    )
    answer = session.call("Expand", request)
    tree = MessageToDict(answer.message.tree, preserving_proto_field_name=True)
    session.out.answer({"tree": tree, **_beside(answer.metadata)}, tree_text(answer.message.tree.root))


@app.command("list-objects")
@asking
def list_objects(
    session: Session,
    *,
    user: USER,
    relation: RELATION,
    type_: TYPE,
    context: CONTEXT = "",
    contextual: CONTEXTUAL = None,
    stream: STREAM = False,
) -> None:
    """List objects on which a user has a relation."""
    from authz._proto.openfga.v1.openfga_service_pb2 import ListObjectsRequest, StreamedListObjectsRequest

    made = StreamedListObjectsRequest if stream else ListObjectsRequest
    request = made(
        store_id=session.store,
        authorization_model_id=session.model,
        user=user,
        relation=relation,
        type=type_,
        contextual_tuples=_contextual(contextual),
        context=_context(context),
    )
    if stream:
        _stream_objects(session, request)
        return
    answer = session.call("ListObjects", request)
    _print_list(session, "objects", sorted(answer.message.objects), answer.metadata)


@app.command("list-users")
@asking
def list_users(
    session: Session,
    *,
    object_: OBJECT,
    relation: RELATION,
    wanted: FILTER,
    context: CONTEXT = "",
    contextual: CONTEXTUAL = None,
) -> None:
    """List users that have a relation on an object."""
    from authz._proto.openfga.v1.openfga_pb2 import Object, UserTypeFilter
    from authz._proto.openfga.v1.openfga_service_pb2 import ListUsersRequest
    from authz.rpc.convert.tuples import tuple_key_message
    from authz.tuples import split_object, split_userset

    if ":" not in object_:
        raise UsageProblem(f"object `{object_}` is not of the form `type:id`")
    type_, id_ = split_object(object_)
    filter_type, filter_relation = split_userset(wanted)
    request = ListUsersRequest(
        store_id=session.store,
        authorization_model_id=session.model,
        object=Object(type=type_, id=id_),
        relation=relation,
        user_filters=[UserTypeFilter(type=filter_type, relation=filter_relation)],
        contextual_tuples=[tuple_key_message(one) for one in contextual_tuples(contextual)],
        context=_context(context),
    )
    answer = session.call("ListUsers", request)
    _print_list(session, "users", sorted(_user_text(user) for user in answer.message.users), answer.metadata)


def _stream_objects(session: Session, request: Any) -> None:
    metadata: dict[str, str] = {}
    for message in session.stream("StreamedListObjects", request, metadata):
        if session.out.is_json:
            session.out.json_line({"object": message.object})
        else:
            print(message.object, flush=True)
    if session.out.is_json:
        session.out.json_line({"truncated": metadata.get(TRUNCATED, ""), **_beside(metadata)})
    _warn_truncated(session, metadata)


def _print_list(session: Session, name: str, found: list[str], metadata: Mapping[str, str]) -> None:
    value = {name: found, "truncated": metadata.get(TRUNCATED, ""), **_beside(metadata)}
    if session.out.is_json:
        session.out.json(value)
    else:
        for one in found:
            print(one)
    _warn_truncated(session, metadata)


def _warn_truncated(session: Session, metadata: Mapping[str, str]) -> None:
    why = metadata.get(TRUNCATED)
    if why:
        session.out.warn(f"the list is not complete: {_CUT.get(why, why)} ({why})")


def _verdict(result: Mapping[str, Any]) -> str:
    if "error" in result:
        return f"error: {result['error']['message']} (reason: {result['error']['reason']})"
    return "allowed" if result["allowed"] else "denied"


def _contextual(texts: list[str] | None) -> ContextualTupleKeys | None:
    from authz._proto.openfga.v1.openfga_pb2 import ContextualTupleKeys
    from authz.rpc.convert.tuples import tuple_key_message

    if not texts:
        return None
    return ContextualTupleKeys(tuple_keys=[tuple_key_message(one) for one in contextual_tuples(texts)])


def _context(text: str) -> Any:
    from authz.rpc.convert.values import struct_of

    return struct_of(json_object(text, "`--context`")) if text else None


def _user_text(user: Any) -> str:
    match user.WhichOneof("user"):
        case "object":
            return f"{user.object.type}:{user.object.id}"
        case "userset":
            return f"{user.userset.type}:{user.userset.id}#{user.userset.relation}"
        case _:
            return f"{user.wildcard.type}:*"


def _beside(metadata: Mapping[str, str]) -> dict[str, str]:
    return {"authorization_model_id": metadata.get(MODEL, ""), "consistency_token": metadata.get(TOKEN, "")}


def _beside_text(metadata: Mapping[str, str]) -> str:
    return f"model {metadata.get(MODEL, '-')}\ntoken {metadata.get(TOKEN, '-')}"
