"""The tree as a JSON model, in the form that the OpenFGA API takes.

Called by the package's `dsl_to_json` and by `modules`.
"""

from __future__ import annotations

from typing import Any

from schema_dsl.nodes import (
    Computed,
    Condition,
    Direct,
    Exclusion,
    Intersection,
    Model,
    Origin,
    Parameter,
    Relation,
    Restriction,
    Rewrite,
    TypeDef,
    Union,
)

Json = dict[str, Any]


def model_json(model: Model) -> Json:
    """Return the JSON model; a module gives one without `schema_version`."""
    result: Json = {}
    if model.schema is not None:
        result["schema_version"] = model.schema.text
    result["type_definitions"] = [_type_json(type_def) for type_def in model.types]
    if model.conditions:
        result["conditions"] = {condition.name.text: _condition_json(condition) for condition in model.conditions}
    return result


def _type_json(type_def: TypeDef) -> Json:
    result: Json = {
        "type": type_def.name.text,
        "relations": {relation.name.text: _rewrite_json(relation.rewrite) for relation in type_def.relations},
    }
    metadata = _origin_json(type_def.origin)
    if type_def.relations:
        metadata["relations"] = {relation.name.text: _relation_metadata(relation) for relation in type_def.relations}
    if metadata:
        result["metadata"] = metadata
    return result


def _relation_metadata(relation: Relation) -> Json:
    users = [_restriction_json(restriction) for restriction in relation.restrictions]
    return {"directly_related_user_types": users} | _origin_json(relation.origin)


def _restriction_json(restriction: Restriction) -> Json:
    result: Json = {"type": restriction.type.text}
    if restriction.relation is not None:
        result["relation"] = restriction.relation.text
    if restriction.is_wildcard:
        result["wildcard"] = {}
    if restriction.condition is not None:
        result["condition"] = restriction.condition.text
    return result


def _rewrite_json(rewrite: Rewrite) -> Json:
    if isinstance(rewrite, Direct):
        return {"this": {}}
    if isinstance(rewrite, Computed):
        return {"computedUserset": {"relation": rewrite.relation.text}}
    if isinstance(rewrite, Union):
        return {"union": {"child": [_rewrite_json(child) for child in rewrite.children]}}
    if isinstance(rewrite, Intersection):
        return {"intersection": {"child": [_rewrite_json(child) for child in rewrite.children]}}
    if isinstance(rewrite, Exclusion):
        return {"difference": {"base": _rewrite_json(rewrite.base), "subtract": _rewrite_json(rewrite.subtract)}}
    return {
        "tupleToUserset": {
            "tupleset": {"relation": rewrite.tupleset.text},
            "computedUserset": {"relation": rewrite.computed.text},
        }
    }


def _condition_json(condition: Condition) -> Json:
    result: Json = {
        "name": condition.name.text,
        "expression": condition.expression,
        "parameters": {parameter.name.text: _parameter_json(parameter) for parameter in condition.parameters},
    }
    if metadata := _origin_json(condition.origin):
        result["metadata"] = metadata
    return result


def _parameter_json(parameter: Parameter) -> Json:
    result: Json = {"type_name": _type_name(parameter.type)}
    if parameter.generic is not None:
        result["generic_types"] = [{"type_name": _type_name(parameter.generic)}]
    return result


def _type_name(word: str) -> str:
    return f"TYPE_NAME_{word.upper()}"


def _origin_json(origin: Origin) -> Json:
    result: Json = {}
    if origin.module:
        result["module"] = origin.module
    if origin.file:
        result["source_info"] = {"file": origin.file}
    return result
