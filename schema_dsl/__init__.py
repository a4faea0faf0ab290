"""The OpenFGA modelling language (schema 1.1 and 1.2, modules) as a library: parse, print, format, validate, combine.

Used by the service and its command line; imports nothing of them.
"""

from __future__ import annotations

from typing import Any

from schema_dsl.errors import DslError, DslException, DslSyntaxError, Range, UnprintableModelError
from schema_dsl.formatter import format_dsl
from schema_dsl.mod_file import parse_mod
from schema_dsl.modules import combine_modules, module_names, with_origins
from schema_dsl.object_id import is_object_id
from schema_dsl.parser import parse
from schema_dsl.printable import unprintable
from schema_dsl.read_json import read_model
from schema_dsl.render import render_error
from schema_dsl.validation.check import check_model
from schema_dsl.write_dsl import model_text
from schema_dsl.write_json import model_json

__all__ = [
    "DslError",
    "DslException",
    "DslSyntaxError",
    "Range",
    "UnprintableModelError",
    "combine_modules",
    "dsl_to_json",
    "format_dsl",
    "is_object_id",
    "json_to_dsl",
    "module_names",
    "parse_mod",
    "render_error",
    "validate",
    "validate_json",
]


def dsl_to_json(text: str) -> dict[str, Any]:
    """Return the JSON model of a source in the modelling language; only syntax is checked, see `validate`.

    A module gives a JSON model without `schema_version`; see `combine_modules`.

    Raises:
        DslSyntaxError: when the text is not in the language.
    """
    return model_json(with_origins(parse(text)))


def json_to_dsl(model: object, *, source_info: bool = False) -> str:
    """Return the source of a JSON model in the canonical layout.

    Args:
        model: The model as the OpenFGA API gives it.
        source_info: Whether comments name the module and file of each declaration of a modular model.

    Raises:
        UnprintableModelError: when the JSON is no model or has no form in the language.
    """
    tree, errors = read_model(model)
    if tree is None or (errors := unprintable(tree)):
        raise UnprintableModelError(errors)
    return model_text(tree, source_info=source_info)


def validate(text: str) -> list[DslError]:
    """Return what is wrong with a source that is in the language: names, references, entry points, duplicates.

    Raises:
        DslSyntaxError: when the text is not in the language.
    """
    return check_model(with_origins(parse(text)), has_text=True)


def validate_json(model: object) -> list[DslError]:
    """Return what is wrong with a JSON model of any shape; its errors have no line and column."""
    tree, errors = read_model(model)
    return errors if tree is None else check_model(tree, has_text=False)
