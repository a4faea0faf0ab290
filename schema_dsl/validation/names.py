"""Rules about names: reserved words, and the characters and lengths that the service stores.

Called by `check` first; a model with bad names is not looked at further.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from schema_dsl.validation.report import Owner, Report

if TYPE_CHECKING:
    from schema_dsl.nodes import Model, Name

RESERVED = frozenset({"self", "this"})
TYPE_NAME = re.compile(r"[^:#@*\s]{1,254}")
RELATION_NAME = re.compile(r"[^:#@*\s]{1,50}")
CONDITION_NAME = re.compile(r"[^*\s]{1,50}")


def check_names(report: Report, model: Model) -> None:
    """Report reserved and malformed names of types, relations and conditions."""
    for type_def in model.types:
        owner = Owner.of(type_def)
        if type_def.name.text in RESERVED:
            message = "a type cannot be named `self` or `this`"
            report.add("reserved-type-keywords", message, type_def.name.text, type_def.name.span, owner)
        _check_form(report, type_def.name, TYPE_NAME, "type", owner)
        for relation in type_def.relations:
            owner = Owner.of(type_def, relation)
            if relation.name.text in RESERVED:
                message = "a relation cannot be named `self` or `this`"
                report.add("reserved-relation-keywords", message, relation.name.text, relation.name.span, owner)
            else:
                _check_form(report, relation.name, RELATION_NAME, "relation", owner)
    for condition in model.conditions:
        owner = Owner(condition.origin, condition=condition.name.text)
        _check_form(report, condition.name, CONDITION_NAME, "condition", owner)


def _check_form(report: Report, name: Name, form: re.Pattern[str], what: str, owner: Owner) -> None:
    if form.fullmatch(name.text):
        return
    longest = form.pattern.rpartition(",")[2].rstrip("}")
    shown = name.text if len(name.text) <= 60 else name.text[:57] + "..."
    excluded = "whitespace and `*`" if form is CONDITION_NAME else "whitespace, `:`, `#`, `@` and `*`"
    message = f"{what} name `{shown}` must have 1 to {longest} characters without {excluded}"
    report.add("invalid-name", message, name.text, name.span, owner)
