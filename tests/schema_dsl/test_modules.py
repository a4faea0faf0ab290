"""Combining modules into one model."""

from __future__ import annotations

import pytest

from schema_dsl import DslSyntaxError, combine_modules, dsl_to_json, json_to_dsl, module_names

CORE = "module core\ntype user\ntype org\n  relations\n    define member: [user]\n"
EXTENSION = "extend type org\n  relations\n    define can_edit: member\n"
WIKI = f"module wiki\n{EXTENSION}type page\n  relations\n    define org: [org]\n"


def errors_of(files: dict[str, str]) -> list[tuple[str | None, int, int, str]]:
    """File, line, column and symbol of each error of a combination."""
    with pytest.raises(DslSyntaxError) as raised:
        combine_modules(files, "1.2")
    return [
        (error.file, error.line.start, error.column.start, error.metadata["symbol"])
        for error in raised.value.errors
        if error.line and error.column
    ]


def test_origins() -> None:
    """Metadata tells the module and file of each type, and of each relation that another module added."""
    model = combine_modules({"core.fga": CORE, "wiki.fga": WIKI}, "1.2")
    assert model["schema_version"] == "1.2"
    _, org, page = model["type_definitions"]
    assert (org["metadata"]["module"], org["metadata"]["source_info"]) == ("core", {"file": "core.fga"})
    assert org["metadata"]["relations"]["member"] == {"directly_related_user_types": [{"type": "user"}]}
    assert org["metadata"]["relations"]["can_edit"] == {
        "directly_related_user_types": [],
        "module": "wiki",
        "source_info": {"file": "wiki.fga"},
    }
    assert page["metadata"]["module"] == "wiki"
    assert module_names(model) == ["core", "wiki"]
    assert "can_edit: member # extended by: module: wiki, file: wiki.fga" in json_to_dsl(model, source_info=True)


def test_pairs_and_order() -> None:
    """Files may come as pairs; a type may be extended before the file that defines it."""
    model = combine_modules([("wiki.fga", WIKI), ("core.fga", CORE)], "1.2")
    assert [one["type"] for one in model["type_definitions"]] == ["page", "user", "org"]


@pytest.mark.parametrize(
    ("files", "errors"),
    [
        ({"a": "model\n  schema 1.2\n"}, [("a", 0, 0, "")]),
        ({"a": CORE, "b": "module b\ntype  org\n"}, [("b", 1, 6, "org")]),
        ({"a": CORE, "b": "module b\n\textend\ttype\tnone\n"}, [("b", 1, 13, "none")]),
        (
            {"a": CORE, "b": "module b\nextend type org\n  relations\n    define member: [user]\n"},
            [("b", 3, 11, "member")],
        ),
        ({"a": CORE, "b": "module b\nextend type org\nextend type org\n"}, [("b", 2, 12, "org")]),
        ({"a": CORE, "b": "module b\nextend type org\n  relations\n    define x: nobody\n"}, [("b", 3, 14, "nobody")]),
        ({"a": CORE, "b": "module b\ntype @\n"}, [("b", 1, 5, "@"), ("b", 1, 6, "\n")]),
    ],
)
def test_errors(files: dict[str, str], errors: list[tuple[str, int, int, str]]) -> None:
    """An error of a combination names the file and the place."""
    assert errors_of(files) == errors


def test_conditions_of_two_modules() -> None:
    """A condition can be defined in one module only; a condition is shared by all."""
    condition = "condition c(x: int) {\n  x > 1\n}\n"
    use = "module b\ntype doc\n  relations\n    define reader: [user with c]\n"
    assert errors_of({"a": CORE + condition, "b": use + condition}) == [("b", 4, 10, "c")]
    assert combine_modules({"a": CORE + condition, "b": use}, "1.2")["conditions"]["c"]["metadata"]["module"] == "core"


def test_same_relation_from_two_extensions() -> None:
    """Two modules cannot add the same relation to a type."""
    extension = "extend type org\n  relations\n    define x: member\n"
    assert errors_of({"a": CORE, "b": f"module b\n{extension}", "c": f"module c\n{extension}"}) == [("c", 3, 11, "x")]


def test_a_module_alone() -> None:
    """A module gives a JSON model without a schema version that names its module."""
    model = dsl_to_json(WIKI)
    assert "schema_version" not in model
    assert model["type_definitions"][1]["metadata"]["module"] == "wiki"
