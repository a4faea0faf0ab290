"""Reading JSON models: every shape gives a model or an error, never a traceback."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema_dsl import UnprintableModelError, dsl_to_json, json_to_dsl, module_names, validate_json
from tests.schema_dsl.strategies import Json, models

USER = {"type": "user"}


def model_with(rewrite: object, users: object = (USER,)) -> Json:
    """A model with one relation of the given rewrite."""
    relations = {"r": rewrite, "s": {"this": {}}}
    metadata = {
        "relations": {"r": {"directly_related_user_types": users}, "s": {"directly_related_user_types": [USER]}}
    }
    return {
        "schema_version": "1.1",
        "type_definitions": [{"type": "user", "relations": relations, "metadata": metadata}],
    }


_REWRITE_MEMBERS = ("union", "child", "this", "difference", "base", "computedUserset", "relation")
_OTHER_MEMBERS = (
    "type",
    "relations",
    "metadata",
    "type_definitions",
    "schema_version",
    "conditions",
    "name",
    "parameters",
)
_MEMBERS = st.sampled_from([*_REWRITE_MEMBERS, *_OTHER_MEMBERS, "type_name", "module"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_MEMBERS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(_VALUES)
def test_any_value(value: Any) -> None:
    """Any JSON value is judged without a traceback."""
    for error in validate_json(value):
        assert error.msg
        assert error.metadata["errorType"]


@settings(max_examples=100, deadline=None)
@given(models(), _VALUES, st.data())
def test_any_damage(model: Json, value: Any, data: st.DataObject) -> None:
    """A model with any member replaced by any value is judged, printed or refused without a traceback."""
    place: Any = model
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list) or not place[key]:
            place[key] = value
            break
        place = place[key]
    validate_json(model)
    with suppress(UnprintableModelError):
        json_to_dsl(model)


@pytest.mark.parametrize(
    "model",
    [
        None,
        [],
        "model",
        {"schema_version": 1.1},
        {"schema_version": "1.1", "type_definitions": {}},
        {"schema_version": "1.1", "type_definitions": [None, "user"]},
        {"schema_version": "1.1", "type_definitions": [{"type": 1}]},
        {"schema_version": "1.1", "type_definitions": [{"type": "user", "relations": []}]},
        {"schema_version": "1.1", "type_definitions": [{"relations": {}}]},
        {"schema_version": "1.1", "conditions": [1]},
        {"schema_version": "1.1", "conditions": {"c": {"name": "c", "parameters": {"x": {"type_name": "INT"}}}}},
        {
            "schema_version": "1.1",
            "conditions": {"c": {"name": "c", "parameters": {"x": {"type_name": "TYPE_NAME_LIST"}}}},
        },
        model_with(None),
        model_with({}),
        model_with({"this": {}, "union": {"child": [{"this": {}}]}}),
        model_with({"union": {"child": []}}),
        model_with({"union": {"child": {}}}),
        model_with({"difference": {"base": {"this": {}}}}),
        model_with({"computedUserset": {}}),
        model_with({"tupleToUserset": {"tupleset": {"relation": "r"}}}),
        model_with({"this": {}}, users=[]),
        model_with({"this": {}}, users=[{"type": ""}]),
        model_with({"this": {}}, users=[{"type": "user", "relation": "s", "wildcard": {}}]),
    ],
)
def test_malformed_models(model: Any) -> None:
    """A malformed model is an error."""
    assert validate_json(model)


def test_spellings_of_members() -> None:
    """Members may be in camel case or snake case; absent, null and empty ones are the same."""
    snake = model_with({"tuple_to_userset": {"tupleset": {"relation": "s"}, "computed_userset": {"relation": "s"}}}, [])
    camel = {
        "schemaVersion": "1.1",
        "conditions": None,
        "typeDefinitions": [
            {
                "type": "user",
                "relations": {
                    "r": {
                        "this": None,
                        "tupleToUserset": {
                            "tupleset": {"relation": "s"},
                            "computedUserset": {"object": "", "relation": "s"},
                        },
                    },
                    "s": {"this": {}},
                },
                "metadata": {
                    "sourceInfo": None,
                    "module": "",
                    "relations": {
                        "s": {
                            "directlyRelatedUserTypes": [
                                {"type": "user", "relation": "", "wildcard": None, "condition": ""}
                            ]
                        }
                    },
                },
            }
        ],
    }
    assert validate_json(snake) == validate_json(camel) == []
    assert json_to_dsl(snake) == json_to_dsl(camel)


def test_deep_nesting_is_refused() -> None:
    """Operators nested without end are an error in JSON as in text."""
    rewrite: Json = {"this": {}}
    for _ in range(5000):
        rewrite = {"union": {"child": [rewrite, {"computedUserset": {"relation": "s"}}]}}
    [error] = validate_json(model_with(rewrite))
    assert "levels deep" in error.msg


def test_direct_assignment_moves_to_the_front() -> None:
    """Direct assignment that is not the first operand of a union is printed first."""
    model = model_with({"union": {"child": [{"computedUserset": {"relation": "s"}}, {"this": {}}]}})
    assert "define r: [user] or s" in json_to_dsl(model)


def test_names_by_order() -> None:
    """Relations, conditions and parameters are printed by name; types keep their order."""
    text = json_to_dsl(
        {
            "schema_version": "1.1",
            "type_definitions": [
                {"type": "z"},
                {"type": "a", "relations": model_with({"this": {}})["type_definitions"][0]["relations"]},
            ],
            "conditions": {
                "b": {"name": "b", "expression": "y", "parameters": {"y": {"type_name": "TYPE_NAME_BOOL"}}},
                "a": {
                    "name": "a",
                    "expression": "x",
                    "parameters": {
                        "y": {"type_name": "TYPE_NAME_MAP", "generic_types": [{"type_name": "TYPE_NAME_INT"}]},
                        "x": {"type_name": "TYPE_NAME_BOOL"},
                    },
                },
            },
        }
    )
    assert (
        text.index("type z")
        < text.index("type a")
        < text.index("condition a(x: bool, y: map<int>)")
        < text.index("condition b")
    )


def test_conditions_with_two_names() -> None:
    """A condition named otherwise inside is an error, and cannot be printed."""
    model = {"schema_version": "1.1", "conditions": {"a": {"name": "b", "expression": "true"}}}
    assert [error.metadata["errorType"] for error in validate_json(model)] == [
        "different-nested-condition-name",
        "condition-not-used",
    ]
    with pytest.raises(UnprintableModelError):
        json_to_dsl(model)


def test_modules_of_plain_and_malformed_models() -> None:
    """A plain model has no modules; what is no model raises."""
    assert module_names(dsl_to_json("model\n  schema 1.1\ntype user\n")) == []
    with pytest.raises(UnprintableModelError):
        module_names({"type_definitions": 1})


@pytest.mark.parametrize(
    "model",
    [
        {"schema_version": "1.1", "type_definitions": [{"type": "日本"}]},
        {"schema_version": "1.1", "type_definitions": [{"type": "and"}]},
        {"schema_version": "1.1", "type_definitions": [{"type": "a\ntype b"}, {"type": "c d"}]},
        {"schema_version": "x"},
        {"schema_version": "1.1", "conditions": {"c": {"name": "c", "expression": "true }", "parameters": {}}}},
        {
            "schema_version": "1.1",
            "conditions": {"c": {"name": "c", "expression": "x", "parameters": {"x": {"type_name": "TYPE_NAME_ANY"}}}},
        },
    ],
)
def test_what_has_no_words_in_the_language(model: Json) -> None:
    """A model with names, types or expressions that the language cannot say is refused, not misprinted."""
    with pytest.raises(UnprintableModelError, match="no form in the language"):
        json_to_dsl(model)
