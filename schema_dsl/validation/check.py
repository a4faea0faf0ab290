"""The order of the rules: later ones only run where earlier ones have left something to say.

Called by the package's `validate`, `validate_json` and by `modules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.nodes import Span
from schema_dsl.validation.conditions import check_conditions
from schema_dsl.validation.duplicates import check_duplicates
from schema_dsl.validation.entry_points import check_entry_points
from schema_dsl.validation.names import check_names
from schema_dsl.validation.references import check_references
from schema_dsl.validation.report import Owner, Report

if TYPE_CHECKING:
    from schema_dsl.errors import DslError
    from schema_dsl.nodes import Model

SCHEMA_VERSIONS = ("1.1", "1.2")
_START = Span(0, 0, 0, 0)


def check_model(model: Model, *, has_text: bool) -> list[DslError]:
    """Return what is wrong with a model; with `has_text`, an error about what is missing points at the start."""
    report = Report()
    check_names(report, model)
    schema = model.schema
    if schema is None or not schema.text:
        message = "a model needs a schema version: `model` and then `schema 1.1`"
        report.add("schema-version-required", message, "", _START if has_text else None, Owner())
    elif schema.text not in SCHEMA_VERSIONS:
        message = f"schema version `{schema.text}` is not supported, use {' or '.join(SCHEMA_VERSIONS)}"
        report.add("invalid-schema", message, schema.text, schema.span, Owner())
    if report.errors:
        return report.errors
    check_references(report, model)
    if not report.errors:
        check_duplicates(report, model)
    if not report.errors:
        check_entry_points(report, model)
    check_conditions(report, model)
    return report.errors
