"""Tuples as rows of a CSV file, with the columns of the `fga` program. Used by `reading` and `writing`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authz.cli.errors import UsageProblem
from authz.cli.output import json_text
from authz.cli.values import json_object
from authz.tuples import RelationshipCondition, RelationshipTuple, split_object, split_userset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = (
    "user_type",
    "user_id",
    "user_relation",
    "relation",
    "object_type",
    "object_id",
    "condition_name",
    "condition_context",
)
REQUIRED = ("user_type", "user_id", "relation", "object_type", "object_id")


def check_header(header: Sequence[str]) -> None:
    """Refuse a header that lacks columns or has others.

    Raises:
        UsageProblem: naming them.

    """
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise UsageProblem(f"columns {_quoted(missing)} are missing: the header is {_quoted(header) or 'empty'}")
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise UsageProblem(f"unknown columns {_quoted(unknown)}: expected {_quoted(COLUMNS)}")
    if len(set(header)) < len(header):
        raise UsageProblem("a column is given twice")


def tuple_of_row(header: Sequence[str], row: Sequence[str]) -> RelationshipTuple:
    """The tuple of a row.

    Raises:
        UsageProblem: a cell is missing or malformed.

    """
    if len(row) != len(header):
        raise UsageProblem(f"expected {len(header)} columns, got {len(row)}")
    cells = dict(zip(header, row, strict=True))
    for name in REQUIRED:
        if not cells[name]:
            raise UsageProblem(f"column `{name}` is empty")
    user = f"{cells['user_type']}:{cells['user_id']}"
    if cells.get("user_relation"):
        user = f"{user}#{cells['user_relation']}"
    object_ = f"{cells['object_type']}:{cells['object_id']}"
    return RelationshipTuple(object_, cells["relation"], user, _condition(cells))


def row_of_tuple(value: Mapping[str, Any]) -> list[str]:
    """The row of a tuple as it is printed."""
    user, user_relation = split_userset(value["user"])
    condition = value.get("condition") or {"name": "", "context": {}}
    context = json_text(condition["context"], is_indented=False) if condition["context"] else ""
    return [
        *split_object(user),
        user_relation,
        value["relation"],
        *split_object(value["object"]),
        condition["name"],
        context,
    ]


def _condition(cells: Mapping[str, str]) -> RelationshipCondition | None:
    name, context = cells.get("condition_name", ""), cells.get("condition_context", "")
    if not name:
        if context:
            raise UsageProblem("column `condition_context` is filled, and `condition_name` is empty")
        return None
    return RelationshipCondition(name, json_object(context, "column `condition_context`"))


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
