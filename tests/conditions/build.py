"""Short spellings for conditions under test. Used by the tests of this folder."""

from __future__ import annotations

from authz.conditions import CompiledCondition, Outcome, compile_condition
from authz.tuples import JsonValue


def type_reference(spelling: str) -> dict[str, JsonValue]:
    """`list<int>` as a `ConditionParamTypeRef` in JSON."""
    kind, _, element = spelling.rstrip(">").partition("<")
    reference: dict[str, JsonValue] = {"type_name": f"TYPE_NAME_{kind.upper()}"}
    if element:
        reference["generic_types"] = [type_reference(element)]
    return reference


def condition(expression: str, **parameters: str) -> CompiledCondition:
    """Compile a condition named `c`; parameter types are spelled as in the modelling language."""
    types: dict[str, JsonValue] = {name: type_reference(spelling) for name, spelling in parameters.items()}
    return compile_condition("c", {"name": "c", "expression": expression, "parameters": types})


def evaluate(expression: str, context: dict[str, JsonValue], **parameters: str) -> Outcome:
    """Compile and evaluate with request context alone."""
    return condition(expression, **parameters).evaluate({}, context)
