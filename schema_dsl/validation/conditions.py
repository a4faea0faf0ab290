"""Rules about conditions: the name inside is the name outside, and each is used by some restriction.

Called by `check` last, whatever the other rules have found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.validation.report import Owner, Report

if TYPE_CHECKING:
    from schema_dsl.nodes import Model


def check_conditions(report: Report, model: Model) -> None:
    """Report conditions with two names, and conditions that nothing uses."""
    used = {
        restriction.condition.text
        for type_def in model.types
        for relation in type_def.relations
        for restriction in relation.restrictions
        if restriction.condition is not None
    }
    for condition in model.conditions:
        key, name = condition.key or condition.name.text, condition.name
        owner = Owner(condition.origin, condition=key)
        if key != name.text:
            message = f"condition `{key}` is named `{name.text}` inside"
            report.add("different-nested-condition-name", message, name.text, name.span, owner)
        if key not in used:
            report.add("condition-not-used", f"condition `{key}` is not used in the model", key, name.span, owner)
