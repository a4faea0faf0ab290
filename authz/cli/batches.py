"""The file of a batch check, and its results. Called by `queries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz._proto.openfga.v1 import openfga_pb2 as pb
from authz._proto.openfga.v1 import openfga_service_pb2 as service_pb
from authz._proto.openfga.v1.errors_ignore_pb2 import ErrorCode, InternalErrorCode
from authz.cli.document import Part, load_document
from authz.cli.errors import ServiceProblem, UsageProblem
from authz.cli.tuplefile import tuple_part
from authz.rpc.convert.tuples import tuple_key_message
from authz.rpc.convert.values import struct_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEYS = ("user", "relation", "object", "context", "contextual_tuples", "correlation_id")


def read_checks(path: Path) -> list[service_pb.BatchCheckItem]:
    """The checks of a file; a check without a correlation id gets its number, counted from 1.

    Raises:
        UsageProblem: the file has another form.

    """
    document = load_document(path)
    items = [_item(part, number) for number, part in enumerate(document.root.items(), 1)]
    if not items and not document.problems:
        raise UsageProblem(f"`{path}` holds no checks")
    document.refuse()
    return items


def _item(part: Part, number: int) -> service_pb.BatchCheckItem:
    members = part.members(_KEYS, required=("user", "relation", "object"))
    texts = {name: members[name].text() for name in ("user", "relation", "object") if name in members}
    contextual = members["contextual_tuples"].items() if "contextual_tuples" in members else []
    tuples = [tuple_key_message(found) for found in (tuple_part(one) for one in contextual) if found is not None]
    context = members["context"].context() if "context" in members else None
    return service_pb.BatchCheckItem(
        tuple_key=service_pb.CheckRequestTupleKey(**texts),
        contextual_tuples=pb.ContextualTupleKeys(tuple_keys=tuples) if tuples else None,
        context=struct_of(context) if context else None,
        correlation_id=members["correlation_id"].text() if "correlation_id" in members else str(number),
    )


def results_of(items: Sequence[service_pb.BatchCheckItem], response: Any) -> list[dict[str, Any]]:
    """One result for each check, in the order of the file."""
    results = []
    for item in items:
        key = item.tuple_key
        if item.correlation_id not in response.result:
            raise ServiceProblem(f"the service left check `{item.correlation_id}` unanswered")
        question = f"{key.user} {key.relation} {key.object}"
        found: dict[str, Any] = {"correlation_id": item.correlation_id, "question": question}
        result = response.result[item.correlation_id]
        if result.HasField("error"):
            found["error"] = {"reason": _reason(result.error), "message": result.error.message}
        else:
            found["allowed"] = result.allowed
        results.append(found)
    return results


def _reason(error: Any) -> str:
    if error.WhichOneof("code") == "input_error":
        return str(ErrorCode.Name(error.input_error))
    return str(InternalErrorCode.Name(error.internal_error))
