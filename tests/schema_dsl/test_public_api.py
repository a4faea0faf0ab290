"""What the library offers: the documented names and nothing else."""

from __future__ import annotations

import schema_dsl


def test_exported_names() -> None:
    """`__all__` is sorted, complete and importable."""
    assert schema_dsl.__all__ == sorted(schema_dsl.__all__)
    assert set(schema_dsl.__all__) == {
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
    }
    assert all(getattr(schema_dsl, name).__doc__ for name in schema_dsl.__all__)


def test_one_exception_tree() -> None:
    """A caller can catch all exceptions of the library at once; they tell all their errors."""
    assert issubclass(schema_dsl.DslSyntaxError, schema_dsl.DslException)
    assert issubclass(schema_dsl.UnprintableModelError, schema_dsl.DslException)
    error = schema_dsl.DslSyntaxError([schema_dsl.DslError("one"), schema_dsl.DslError("two")])
    assert str(error) == "one; two"
