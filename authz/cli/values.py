"""Values that an operator types, and messages as values to print. Used by the commands on tuples and the questions."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authz.cli.errors import UsageProblem
from authz.tuples import RelationshipCondition, RelationshipTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from authz._proto.openfga.v1 import openfga_pb2 as pb
    from authz.tuples import JsonValue

MAX_DEPTH = 30
_EXACT = 2**53

PAGE_SIZE = Annotated[int, typer.Option("--page-size", min=1, max=100, help="Entries per page.")]
PAGE_TOKEN = Annotated[
    str, typer.Option("--continuation-token", metavar="TOKEN", help="Go on where an earlier page ended.")
]
ALL_PAGES = Annotated[bool, typer.Option("--all", help="Fetch all pages.")]
CONTEXT = Annotated[str, typer.Option("--context", metavar="JSON", help="Parameters of conditions, a JSON object.")]
CONTEXTUAL = Annotated[
    list[str] | None,
    typer.Option(
        "--contextual-tuple",
        metavar="'USER RELATION OBJECT [CONDITION [JSON]]'",
        help="A tuple that holds for this question alone; may be repeated.",
    ),
]


def json_object(text: str, source: str) -> dict[str, JsonValue]:
    """A JSON object that an operator typed; the empty text is the empty object.

    Raises:
        UsageProblem: not a JSON object, or numbers that are not finite; `source` names where the text is from.

    """
    if not text:
        return {}
    import json

    def refuse(constant: str) -> None:
        raise ValueError(f"`{constant}` is no JSON number")

    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise UsageProblem(f"{source} is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise UsageProblem(f"{source} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageProblem(f"{source} is not a JSON object: `{text}`")
    problem = context_problem(value)
    if problem:
        raise UsageProblem(f"{source} {problem}")
    return value


def context_problem(value: object, depth: int = 0) -> str:
    """Why a value read from JSON or YAML cannot be a context; empty when it can."""
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    if value is None or isinstance(value, bool | str):
        return ""
    if isinstance(value, int | float):
        return "" if _is_double(value) else f"holds a number that is not a finite double: `{str(value)[:40]}`"
    if isinstance(value, list):
        return next(filter(None, (context_problem(item, depth + 1) for item in value)), "")
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                return f"holds a key that is not text: `{key}`"
            problem = context_problem(member, depth + 1)
            if problem:
                return problem
        return ""
    return f"holds a value that JSON does not know: `{value}`"


def contextual_tuples(texts: Iterable[str] | None) -> list[RelationshipTuple]:
    """Tuples typed as `user relation object [condition [context]]`.

    Raises:
        UsageProblem: one of them has another form.

    """
    return [_contextual_tuple(text) for text in texts or ()]


def _contextual_tuple(text: str) -> RelationshipTuple:
    parts = text.split(maxsplit=4)
    if len(parts) < 3:
        raise UsageProblem(f"`--contextual-tuple '{text}'` is not of the form `user relation object`")
    user, relation, object_, *rest = parts
    condition = None
    if rest:
        context = json_object(rest[1] if len(rest) > 1 else "", f"the context in `--contextual-tuple '{text}'`")
        condition = RelationshipCondition(rest[0], context)
    return RelationshipTuple(object_, relation, user, condition)


def tuple_value(key: pb.TupleKey) -> dict[str, Any]:
    """A tuple as it is printed and exported: user, relation, object, and a condition if there is one."""
    value: dict[str, Any] = {"user": key.user, "relation": key.relation, "object": key.object}
    if key.HasField("condition") and key.condition.name:
        value["condition"] = {"name": key.condition.name, "context": context_value(key.condition.context)}
    return value


def context_value(struct: Any) -> dict[str, Any]:
    """A context with whole numbers as integers."""
    from authz.rpc.convert.values import context_of

    return {key: _plain(value) for key, value in context_of(struct).items()}


def condition_text(value: Mapping[str, Any]) -> str:
    """The condition of a printed tuple, in one cell of a table."""
    from authz.cli.output import json_text

    condition = value.get("condition")
    if condition is None:
        return ""
    context = json_text(condition["context"], is_indented=False) if condition["context"] else ""
    return f"{condition['name']} {context}".rstrip()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    return value


def _is_double(number: float) -> bool:
    try:
        return isfinite(float(number))
    except OverflowError:
        return False
