"""A compiled model knows the module of every relation."""

from __future__ import annotations

from typing import Any

import pytest

from authz.errors import InvalidModel
from authz.model.compile import compile_model
from schema_dsl import combine_modules, dsl_to_json


def test_a_relation_has_its_own_module_or_that_of_its_type() -> None:
    """What a module adds to the type of another one is its own."""
    files = {
        "core.fga": "module core\ntype user\ntype doc\n  relations\n    define owner: [user]\n",
        "wiki.fga": "module wiki\nextend type doc\n  relations\n    define writer: [user] or owner\n",
    }
    doc = compile_model("m", combine_modules(files, "1.2")).types["doc"]
    assert {name: relation.module for name, relation in doc.items()} == {"owner": "core", "writer": "wiki"}


def test_without_modules_there_is_none() -> None:
    """A model in one piece has relations of no module."""
    model = compile_model("m", dsl_to_json("model\n  schema 1.1\ntype user\n  relations\n    define peer: [user]\n"))
    assert model.types["user"]["peer"].module == ""


@pytest.mark.parametrize("module", [3, ["core"], {"name": "core"}])
def test_a_malformed_module_is_refused(module: Any) -> None:
    """A name that is no text never decides who may write."""
    body = {
        "schema_version": "1.2",
        "type_definitions": [
            {
                "type": "user",
                "relations": {"peer": {"this": {}}},
                "metadata": {
                    "relations": {"peer": {"directly_related_user_types": [{"type": "user"}], "module": module}}
                },
            }
        ],
    }
    with pytest.raises(InvalidModel, match="malformed module"):
        compile_model("m", body)  # type: ignore[arg-type]
