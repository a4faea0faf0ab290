"""The rules of validation, each at every place where it applies."""

from __future__ import annotations

import pytest

from schema_dsl import validate, validate_json
from schema_dsl.errors import DslError

HEAD = "model\n  schema 1.1\ntype user\ntype group\n  relations\n    define member: [user]\n"
DOC = HEAD + "type doc\n  relations\n    define parent: [doc]\n    define owner: [user]\n"


def found(text: str) -> list[tuple[str, str, int, int, int]]:
    """Kind, symbol, line, first column and end column of each error."""
    return [_told(error) for error in validate(text)]


def _told(error: DslError) -> tuple[str, str, int, int, int]:
    assert error.line is not None
    assert error.column is not None
    metadata = error.metadata
    return metadata["errorType"], metadata["symbol"], error.line.start, error.column.start, error.column.end


@pytest.mark.parametrize(
    ("definition", "errors"),
    [
        ("nobody or owner", [("missing-definition", "nobody", 10, 14, 20)]),
        ("owner and (owner but not nobody)", [("missing-definition", "nobody", 10, 39, 45)]),
        ("nobody from parent", [("invalid-relation-on-tupleset", "nobody from parent", 10, 14, 32)]),
        ("owner from nobody", [("invalid-relation-type", "owner from nobody", 10, 14, 31)]),
        ("owner or (owner from nobody)", [("invalid-relation-type", "owner from nobody", 10, 24, 41)]),
        ("owner from loop", [("tupleuserset-not-direct", "loop", 10, 25, 29)]),
        ("[ghost]", [("invalid-type", "ghost", 10, 15, 20)]),
        ("[ghost:*]", [("invalid-type", "ghost", 10, 15, 20)]),
        ("[user, group#ghost]", [("invalid-relation-type", "group#ghost", 10, 21, 32)]),
        (
            "[group#ghost with c]",
            [("condition-not-defined", "c", 10, 32, 33), ("invalid-relation-type", "group#ghost", 10, 15, 26)],
        ),
        ("[user:* with c]", [("condition-not-defined", "c", 10, 27, 28)]),
        ("[user, user]", [("duplicated-error", "user", 10, 15, 19)]),
        ("[user:*, group#member, user:*]", [("duplicated-error", "user:*", 10, 15, 21)]),
        ("owner or owner or owner", [("duplicated-error", "owner", 10, 14, 19)] * 2),
        ("owner and (owner or owner)", [("duplicated-error", "owner", 10, 25, 30)]),
        ("owner but not owner", [("duplicated-error", "owner", 10, 14, 19)]),
        ("[user] or (x from parent and x from parent)", [("duplicated-error", "x from parent", 10, 25, 38)]),
        ("x", [("relation-no-entry-point", "x", 10, 11, 12)]),
        ("x from parent", [("relation-no-entry-point", "x", 10, 11, 12)]),
        ("[doc#x]", [("relation-no-entry-point", "x", 10, 11, 12)]),
        ("owner and [user]".replace("[user]", "x"), [("relation-no-entry-point", "x", 10, 11, 12)]),
        ("owner but not x", [("relation-no-entry-point", "x", 10, 11, 12)]),
        ("owner or x", []),
        ("[doc#x] or owner", []),
        ("[user] or (x from parent)", []),
    ],
)
def test_rules_on_definitions(definition: str, errors: list[tuple[str, str, int, int, int]]) -> None:
    """Each rule finds its mistake wherever in a definition it is made, and points at it."""
    text = DOC + f"    define x: {definition}\n    define loop: parent\n"
    assert found(text) == errors


def test_restrictions_with_and_without_condition_differ() -> None:
    """A type may stand in a restriction once without and once with each condition."""
    condition = "condition c(a: int) {\n  a > 1\n}\n"
    assert found(DOC + "    define x: [user, user with c, user:*, user:* with c]\n" + condition) == []
    twice = found(DOC + "    define x: [user with c, user with c]\n" + condition)
    assert twice == [("duplicated-error", "user with c", 10, 15, 26)]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (HEAD + "type self\n", [("reserved-type-keywords", "self", 6, 5, 9)]),
        (HEAD + "    define this: [user]\n", [("reserved-relation-keywords", "this", 6, 11, 15)]),
        (HEAD + f"    define {'r' * 51}: [user]\n", [("invalid-name", "r" * 51, 6, 11, 62)]),
        (HEAD + f"type {'t' * 255}\n", [("invalid-name", "t" * 255, 6, 5, 260)]),
        (HEAD + f"type {'t' * 254}\n", []),
        (HEAD + f"condition {'c' * 51}(x: int) {{\n  x > 1\n}}\n", [("invalid-name", "c" * 51, 6, 10, 61)]),
        (HEAD + "type group\n", [("duplicated-error", "group", 3, 5, 10)]),
        (HEAD + "condition c(x: int) {\n  x > 1\n}\n", [("condition-not-used", "c", 6, 10, 11)]),
        ("model\n  schema 1.3\n", [("invalid-schema", "1.3", 1, 9, 12)]),
        ("model\n  schema 1.0\n", [("invalid-schema", "1.0", 1, 9, 12)]),
        ("model\n  schema 1.2\n", []),
        ("module core\ntype user\n", [("schema-version-required", "", 0, 0, 0)]),
    ],
)
def test_rules_on_declarations(text: str, errors: list[tuple[str, str, int, int, int]]) -> None:
    """Names, versions and unused conditions are reported where they are declared."""
    assert found(text) == errors


def test_metadata_names_the_owner() -> None:
    """An error tells the relation, type, module and file that it is about."""
    [error] = validate_json(
        {
            "schema_version": "1.2",
            "type_definitions": [
                {
                    "type": "doc",
                    "relations": {"x": {"computedUserset": {"relation": "nobody"}}},
                    "metadata": {
                        "module": "core",
                        "source_info": {"file": "core.fga"},
                        "relations": {"x": {"module": "wiki", "source_info": {"file": "wiki.fga"}}},
                    },
                }
            ],
        }
    )
    assert error.file == "wiki.fga"
    assert error.metadata == {
        "symbol": "nobody",
        "errorType": "missing-definition",
        "relation": "x",
        "typeName": "doc",
        "module": "wiki",
        "file": "wiki.fga",
    }


def test_loops_are_told_from_dead_ends() -> None:
    """The message about a relation that nobody can have says whether it depends on itself."""
    loop = validate(DOC + "    define a: b\n    define b: a\n")
    dead = validate(DOC + "    define a: a from parent\n")
    assert [error.msg.rpartition(": ")[2] for error in loop] == ["it depends on itself"] * 2
    assert [error.msg.rpartition(": ")[2] for error in dead] == ["no tuple can ever lead to it"]


def test_long_chains() -> None:
    """A chain of relations of any length is followed to its entry point."""
    lines = "".join(f"    define r{number}: r{number + 1}\n" for number in range(2000))
    assert found(HEAD + lines + "    define r2000: [user]\n") == []
