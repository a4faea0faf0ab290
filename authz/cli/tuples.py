"""Commands on the tuples of a store. Added to the program by `main`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli import transfers
from authz.cli.errors import UsageProblem
from authz.cli.output import table
from authz.cli.pages import gather, tell_rest
from authz.cli.session import MODEL, TOKEN, Session, on_model, on_store, on_tuples
from authz.cli.values import ALL_PAGES, PAGE_SIZE, PAGE_TOKEN, condition_text, json_object, tuple_value

if TYPE_CHECKING:
    from authz._proto.openfga.v1.openfga_service_pb2 import WriteRequest
    from authz.cli.connection import Answer
    from authz.tuples import RelationshipTuple

app = typer.Typer(help="Write, delete, read, import and export tuples; read their changes.", no_args_is_help=True)
transfers.add_to(app)


class OnExisting(StrEnum):
    """What to do about tuples that exist (or are missing) already."""

    ERROR = "error"
    IGNORE = "ignore"


USER = Annotated[str, typer.Argument(metavar="USER", help="`type:id`, `type:id#relation` or `type:*`.")]
RELATION = Annotated[str, typer.Argument(metavar="RELATION")]
OBJECT = Annotated[str, typer.Argument(metavar="OBJECT", help="`type:id`.")]
FILE = Annotated[
    Path | None, typer.Option("--file", help="CSV, JSON, JSONL or YAML: all its tuples in one transaction.")
]
CONDITION = Annotated[str, typer.Option("--condition-name", help="The tuple's condition.")]
CONDITION_CONTEXT = Annotated[str, typer.Option("--condition-context", metavar="JSON", help="Stored with the tuple.")]
ON_DUPLICATE = Annotated[OnExisting, typer.Option("--on-duplicate", help="When a tuple exists already.")]
ON_MISSING = Annotated[OnExisting, typer.Option("--on-missing", help="When a tuple does not exist.")]
TYPE_FILTER = Annotated[str, typer.Option("--type", help="Only changes of objects of this type.")]
SINCE = Annotated[
    str, typer.Option("--start-time", metavar="TIME", help="Only changes since, as 2026-01-31T10:00:00Z.")
]
BY_USER = Annotated[str, typer.Option("--user", help="Only tuples of this user.")]
BY_RELATION = Annotated[str, typer.Option("--relation", help="Only tuples of this relation.")]
BY_OBJECT = Annotated[str, typer.Option("--object", help="Only tuples of this object; `type:` with --user.")]


@app.command("write")
@on_model
def write(
    session: Session,
    *,
    user: USER = "",
    relation: RELATION = "",
    object_: OBJECT = "",
    file: FILE = None,
    condition_name: CONDITION = "",
    condition_context: CONDITION_CONTEXT = "",
    on_duplicate: ON_DUPLICATE = OnExisting.ERROR,
) -> None:
    """Write tuples in one transaction.

    One tuple, or those of a file. For many tuples use `import`.
    """
    from authz._proto.openfga.v1.openfga_service_pb2 import WriteRequest, WriteRequestWrites
    from authz.rpc.convert.tuples import tuple_key_message
    from authz.tuples import RelationshipCondition

    if condition_context and not condition_name:
        raise UsageProblem("`--condition-context` needs `--condition-name`")
    tuples = _given(user, relation, object_, file)
    if condition_name:
        if file is not None:
            raise UsageProblem("`--condition-name` goes with one tuple; in a file each tuple has its own")
        condition = RelationshipCondition(condition_name, json_object(condition_context, "`--condition-context`"))
        tuples = [tuples[0]._replace(condition=condition)]
    keys = [tuple_key_message(one) for one in tuples]
    writes = WriteRequestWrites(tuple_keys=keys, on_duplicate=on_duplicate.value)
    _send(session, WriteRequest(writes=writes), "written", len(keys))


@app.command("delete")
@on_model
def delete(
    session: Session,
    *,
    user: USER = "",
    relation: RELATION = "",
    object_: OBJECT = "",
    file: FILE = None,
    on_missing: ON_MISSING = OnExisting.ERROR,
) -> None:
    """Delete tuples in one transaction.

    One tuple, or those of a file.
    """
    from authz._proto.openfga.v1.openfga_pb2 import TupleKeyWithoutCondition
    from authz._proto.openfga.v1.openfga_service_pb2 import WriteRequest, WriteRequestDeletes

    tuples = _given(user, relation, object_, file)
    keys = [TupleKeyWithoutCondition(user=one.user, relation=one.relation, object=one.object) for one in tuples]
    deletes = WriteRequestDeletes(tuple_keys=keys, on_missing=on_missing.value)
    _send(session, WriteRequest(deletes=deletes), "deleted", len(keys))


@app.command("read")
@on_tuples
def read(
    session: Session,
    *,
    user: BY_USER = "",
    relation: BY_RELATION = "",
    object_: BY_OBJECT = "",
    page_size: PAGE_SIZE = 50,
    token: PAGE_TOKEN = "",
    every: ALL_PAGES = False,
) -> None:
    """Read stored tuples.

    Page by page, all as of one revision.
    """
    from google.protobuf.wrappers_pb2 import Int32Value

    from authz._proto.openfga.v1.openfga_service_pb2 import ReadRequest, ReadRequestTupleKey

    has_filter = user or relation or object_
    key = ReadRequestTupleKey(user=user, relation=relation, object=object_) if has_filter else None

    def fetch(token: str) -> Answer:
        size = Int32Value(value=page_size)
        request = ReadRequest(store_id=session.store, tuple_key=key, page_size=size, continuation_token=token)
        return session.call("Read", request)

    tuples, following, answer = gather(fetch, _read_values, token, is_all=every)
    columns = ("user", "relation", "object")
    rows = ([*(one[name] for name in columns), condition_text(one), one["timestamp"]] for one in tuples)
    value = {
        "tuples": tuples,
        "continuation_token": following,
        "consistency_token": answer.metadata.get(TOKEN, ""),
    }
    session.out.answer(value, table((*columns, "condition", "written"), rows))
    tell_rest(session, following, "tuples")


@app.command("changes")
@on_store
def changes(
    session: Session,
    *,
    type_: TYPE_FILTER = "",
    start_time: SINCE = "",
    page_size: PAGE_SIZE = 50,
    token: PAGE_TOKEN = "",
    every: ALL_PAGES = False,
) -> None:
    """Read the changelog.

    Oldest changes first. The token continues behind what was shown, also later.
    """
    from google.protobuf.timestamp_pb2 import Timestamp
    from google.protobuf.wrappers_pb2 import Int32Value

    from authz._proto.openfga.v1.openfga_service_pb2 import ReadChangesRequest

    since = None
    if start_time:
        since = Timestamp()
        since.FromDatetime(_moment(start_time))

    def fetch(token: str) -> Answer:
        size = Int32Value(value=page_size)
        request = ReadChangesRequest(
            store_id=session.store, type=type_, page_size=size, continuation_token=token, start_time=since
        )
        return session.call("ReadChanges", request)

    found, following, _ = gather(fetch, _change_values, token, is_all=every)
    columns = ("operation", "user", "relation", "object")
    rows = ([*(one[name] for name in columns), condition_text(one), one["timestamp"]] for one in found)
    value = {"changes": found, "continuation_token": following}
    session.out.answer(value, table((*columns, "condition", "time"), rows))
    if following and not session.out.is_json:
        session.out.note(f"continue with --continuation-token {following}")


def _given(user: str, relation: str, object_: str, file: Path | None) -> list[RelationshipTuple]:
    """The tuple of the arguments, or the tuples of a file."""
    from authz.tuples import RelationshipTuple

    if file is None:
        if not (user and relation and object_):
            raise UsageProblem("expected USER RELATION OBJECT, or `--file`")
        return [RelationshipTuple(object_, relation, user)]
    if user:
        raise UsageProblem(f"`--file` and the tuple of `{user}` exclude each other")
    from authz.cli.transfer.reading import read_rows

    rows = list(read_rows(file))
    wrong = [f"`{file}`: line {row.line}: {row.problem}" for row in rows if row.problem]
    if wrong:
        raise UsageProblem("\n       ".join(wrong))
    if not rows:
        raise UsageProblem(f"`{file}` holds no tuples")
    return [row.tuple for row in rows if row.tuple is not None]


def _send(session: Session, request: WriteRequest, done: str, count: int) -> None:
    request.store_id = session.store
    request.authorization_model_id = session.model
    metadata = session.call("Write", request).metadata
    token = metadata.get(TOKEN, "")
    value = {done: count, "authorization_model_id": metadata.get(MODEL, ""), "consistency_token": token}
    session.out.answer(value, f"{done} {count}\ntoken {token}")


def _read_values(page: Any) -> list[dict[str, Any]]:
    return [tuple_value(one.key) | {"timestamp": one.timestamp.ToJsonString()} for one in page.tuples]


def _change_values(page: Any) -> list[dict[str, Any]]:
    return [
        {"operation": "delete" if one.operation else "write"}
        | tuple_value(one.tuple_key)
        | {"timestamp": one.timestamp.ToJsonString()}
        for one in page.changes
    ]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageProblem(f"`--start-time {text}` is no time such as 2026-01-31T10:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
