"""The tree as text in the modelling language, in its one canonical layout.

Called by the package's `json_to_dsl`. A JSON object has no order, so relations, conditions and parameters go by name;
types keep their order, except in a modular model, where they go by module and file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.errors import DslError, UnprintableModelError
from schema_dsl.nodes import Computed, Direct, Exclusion, Intersection, TupleToUserset, Union, children, leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schema_dsl.nodes import Condition, Model, Origin, Parameter, Relation, Rewrite, TypeDef

DEFAULT_SCHEMA = "1.1"
_OPERATORS = {Union: " or ", Intersection: " and ", Exclusion: " but not "}


def model_text(model: Model, *, source_info: bool = False) -> str:
    """Return the text of a model; with `source_info`, comments name the module and file of each declaration.

    Raises:
        UnprintableModelError: when a relation or condition has no form in the language.
    """
    types = sorted(model.types, key=_type_order) if any(one.origin.module for one in model.types) else model.types
    blocks = [f"model\n  schema {model.schema.text if model.schema else DEFAULT_SCHEMA}\n"]
    blocks += [_type_text(type_def, source_info=source_info) for type_def in types]
    conditions = sorted(model.conditions, key=lambda condition: condition.name.text)
    blocks += [_condition_text(condition, source_info=source_info) for condition in conditions]
    return "\n".join(blocks)


def _type_order(type_def: TypeDef) -> tuple[str, str, str]:
    return type_def.origin.module or "", type_def.origin.file or "", type_def.name.text


def _relation_order(relation: Relation) -> tuple[str, str, str]:
    return relation.origin.module or "", relation.origin.file or "", relation.name.text


def _type_text(type_def: TypeDef, *, source_info: bool) -> str:
    lines = [f"type {type_def.name.text}{_remark(type_def.origin, '') if source_info else ''}\n"]
    if type_def.relations:
        lines.append("  relations\n")
    for relation in sorted(type_def.relations, key=_relation_order):
        remark = _remark(relation.origin, "extended by: ") if source_info else ""
        lines.append(f"    define {relation.name.text}: {_relation_text(type_def, relation)}{remark}\n")
    return "".join(lines)


def _remark(origin: Origin, prefix: str) -> str:
    if not origin:
        return ""
    parts = [f"{key}: {value}" for key, value in (("module", origin.module), ("file", origin.file)) if value]
    return f" # {prefix}{', '.join(parts)}"


def _relation_text(type_def: TypeDef, relation: Relation) -> str:
    ordered = direct_first(relation.rewrite)
    count = sum(isinstance(leaf, Direct) for leaf in leaves(ordered))
    if count > 1 or (count == 1 and not isinstance(_first_leaf(ordered), Direct)):
        name, owner = relation.name.text, type_def.name.text
        reason = "direct restrictions can only come first, and once"
        message = f"relation `{name}` of type `{owner}` has no form in the language: {reason}"
        raise UnprintableModelError([DslError(message, metadata={"symbol": name, "relation": name, "typeName": owner})])
    restrictions = ", ".join(str(restriction) for restriction in relation.restrictions)
    return rewrite_text(ordered, f"[{restrictions}]", is_nested=False)


def direct_first(rewrite: Rewrite) -> Rewrite:
    """Return an equal rewrite in which direct assignment leads each union and intersection that has it."""
    if isinstance(rewrite, Exclusion):
        return Exclusion(direct_first(rewrite.base), direct_first(rewrite.subtract))
    if isinstance(rewrite, Union | Intersection):
        ordered = sorted(rewrite.children, key=lambda child: not isinstance(child, Direct))
        return type(rewrite)(tuple(direct_first(child) for child in ordered))
    return rewrite


def _first_leaf(rewrite: Rewrite) -> Rewrite:
    while True:
        if isinstance(rewrite, Exclusion):
            rewrite = rewrite.base
        elif isinstance(rewrite, Union | Intersection):
            rewrite = rewrite.children[0]
        else:
            return rewrite


def rewrite_text(rewrite: Rewrite, direct: str, *, is_nested: bool) -> str:
    """Return the text of a rewrite, where `direct` stands for its direct restrictions."""
    if isinstance(rewrite, Direct):
        return direct
    if isinstance(rewrite, Computed):
        return rewrite.relation.text
    if isinstance(rewrite, TupleToUserset):
        return f"{rewrite.computed.text} from {rewrite.tupleset.text}"
    operator = _OPERATORS[type(rewrite)]
    text = operator.join(rewrite_text(operand, direct, is_nested=True) for operand in children(rewrite))
    return f"({text})" if is_nested else text


def _condition_text(condition: Condition, *, source_info: bool) -> str:
    name = condition.name.text
    if condition.key is not None and condition.key != name:
        message = f"condition `{condition.key}` is named `{name}` inside"
        metadata = {"symbol": name, "errorType": "different-nested-condition-name", "conditionName": condition.key}
        raise UnprintableModelError([DslError(message, metadata=metadata)])
    parameters = parameters_text(sorted(condition.parameters, key=lambda one: one.name.text))
    remark = _remark(condition.origin, "") if source_info else ""
    return f"condition {name}({parameters}) {{\n  {condition.expression}\n}}{remark}\n"


def parameters_text(parameters: Iterable[Parameter]) -> str:
    """Return condition parameters in the given order."""
    return ", ".join(
        f"{one.name.text}: {one.type}<{one.generic}>" if one.generic else f"{one.name.text}: {one.type}"
        for one in parameters
    )
