"""Nothing is lost on the way between JSON, text and formatted text."""

from __future__ import annotations

from hypothesis import given, settings

from schema_dsl import dsl_to_json, format_dsl, json_to_dsl, validate, validate_json
from tests.schema_dsl.strategies import Json, models


@settings(max_examples=60, deadline=None)
@given(models())
def test_json_to_text_and_back(model: Json) -> None:
    """A JSON model, printed and parsed, is the same model."""
    assert dsl_to_json(json_to_dsl(model)) == model


@settings(max_examples=40, deadline=None)
@given(models())
def test_printed_text_is_formatted(model: Json) -> None:
    """What is printed needs no formatting."""
    text = json_to_dsl(model)
    assert format_dsl(text) == text


@settings(max_examples=40, deadline=None)
@given(models())
def test_text_and_json_have_the_same_errors(model: Json) -> None:
    """Validation finds the same in a text and in its JSON, the text's errors with places."""
    text_errors = validate(json_to_dsl(model))
    assert all(error.line is not None and error.column is not None for error in text_errors)

    def comparable(errors: list) -> set:
        return {(error.msg, error.metadata["errorType"], error.metadata["symbol"]) for error in errors}

    assert comparable(text_errors) == comparable(validate_json(model))
