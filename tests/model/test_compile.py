"""Models that break a rule are refused with a message that names the place."""

from __future__ import annotations

from typing import Any

import pytest

from authz.errors import InvalidModel
from authz.model.compile import compile_model

USER = {"type": "user"}
THIS = {"this": {}}


def computed(name: str) -> dict[str, Any]:
    return {"computedUserset": {"relation": name}}


def from_(tupleset: str, name: str) -> dict[str, Any]:
    return {"tupleToUserset": {"tupleset": {"relation": tupleset}, "computedUserset": {"relation": name}}}


def doc(relations: dict[str, Any], **restrictions: list[dict[str, Any]]) -> dict[str, Any]:
    """A model with users and documents."""
    metadata = {name: {"directly_related_user_types": references} for name, references in restrictions.items()}
    definition = {"type": "doc", "relations": relations, "metadata": {"relations": metadata}}
    return {"schema_version": "1.1", "type_definitions": [USER, definition]}


OF_USERS = [{"type": "user"}]
BROKEN = [
    ({"schema_version": "1.0", "type_definitions": [USER]}, "schema version `1.0`"),
    ({"type_definitions": [USER]}, "schema version"),
    ({"schema_version": "1.1", "type_definitions": [USER, USER]}, "`user` is defined twice"),
    ({"schema_version": "1.1", "type_definitions": [{"type": ""}]}, "empty type name"),
    ({"schema_version": "1.1", "type_definitions": [{"type": "this"}]}, "`this` is reserved"),
    ({"schema_version": "1.1", "type_definitions": [{"type": "a b"}]}, "`a b`"),
    ({"schema_version": "1.1", "type_definitions": "user"}, "expected a JSON list"),
    (doc({"viewer": {}}), "has no rewrite"),
    (doc({"viewer": {"this": {}, "union": {}}}), "mixes several rewrites"),
    (doc({"viewer": {"that": {}}}), "unknown rewrite `that`"),
    (doc({"viewer": {"union": {"child": []}}}), "union of 0 operands"),
    (doc({"viewer": {"intersection": {"child": [THIS]}}}, viewer=OF_USERS), "intersection of 1 operands"),
    (doc({"viewer": THIS}), "names no type of user"),
    (doc({"viewer": THIS}, viewer=[{"type": "robot"}]), "`robot` is not defined"),
    (doc({"viewer": THIS}, viewer=[{"type": "doc", "relation": "editor"}]), "`doc#editor`"),
    (doc({"viewer": THIS}, viewer=[{"type": "user", "condition": "c"}]), "condition `c`"),
    (doc({"viewer": THIS, "editor": computed("viewer")}, viewer=OF_USERS, editor=OF_USERS), "not assignable"),
    (doc({"viewer": computed("editor")}), "`doc#editor`, which is not defined"),
    (doc({"viewer": computed("viewer")}), "defined by itself"),
    (doc({"a": computed("b"), "b": computed("a")}), "cycle"),
    (doc({"viewer": THIS}, viewer=[{"type": "doc", "relation": "viewer"}]), "no entry point"),
    (doc({"parent": THIS, "viewer": from_("parent", "viewer")}, parent=[{"type": "doc"}]), "no entry point"),
    (doc({"parent": THIS, "viewer": from_("parent", "owner")}, parent=OF_USERS), "none of its types"),
    (
        doc({"p": computed("q"), "q": THIS, "viewer": from_("p", "q")}, q=[{"type": "doc"}]),
        "must be a direct relation",
    ),
    (
        doc({"p": THIS, "viewer": from_("p", "p")}, p=[{"type": "doc", "wildcard": {}}]),
        "only objects",
    ),
    (doc({"self": THIS}, self=OF_USERS), "`self` is reserved"),
]


@pytest.mark.parametrize(("body", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_model_is_refused(body: dict[str, Any], message: str) -> None:
    """The error names the relation, type or condition that is wrong."""
    with pytest.raises(InvalidModel, match=message):
        compile_model("MODEL", body)


def test_restrictions_of_relations_that_do_not_exist_are_passed_over() -> None:
    """Some clients leave metadata behind; it restricts nothing."""
    model = compile_model("MODEL", doc({"viewer": THIS}, viewer=OF_USERS, editor=OF_USERS))
    assert not model.has_relation("doc", "editor")


def test_operators_nested_too_deep_are_refused() -> None:
    """Nesting ends in an error, not in a traceback."""
    rewrite: dict[str, Any] = THIS
    for _ in range(5_000):
        rewrite = {"union": {"child": [rewrite, THIS]}}
    with pytest.raises(InvalidModel, match="nested deeper"):
        compile_model("MODEL", doc({"viewer": rewrite}, viewer=OF_USERS))


def test_a_long_chain_of_computed_relations_compiles() -> None:
    """Thousands of relations defined by one another are no recursion."""
    count = 3_000
    relations = {"r0": THIS, **{f"r{n}": computed(f"r{n - 1}") for n in range(1, count)}}
    model = compile_model("MODEL", doc(relations, r0=OF_USERS))
    assert model.has_relation("doc", f"r{count - 1}")
