"""Errors for a person's eyes."""

from __future__ import annotations

import pytest

from schema_dsl import DslError, DslSyntaxError, Range, dsl_to_json, render_error

TEXT = "model\n\tschema 1.1\ntype user\n\trelations\n\t\tdefine x as self\n"


def test_caret() -> None:
    """The line is shown with a caret under the place, tabs kept."""
    with pytest.raises(DslSyntaxError) as raised:
        dsl_to_json(TEXT)
    assert render_error(TEXT, raised.value.errors[0]).split("\n") == [
        "5:12: missing `:` before `as`: `define name as ...` is schema 1.0, write `define name: ...`",
        "  |",
        "5 | \t\tdefine x as self",
        "  | \t\t         ^^",
    ]


def test_error_without_place() -> None:
    """An error of a JSON model is its message alone."""
    assert render_error("", DslError("something is wrong")) == "something is wrong"


def test_error_in_a_file() -> None:
    """The file comes first."""
    error = DslError("bad", Range(0, 0), Range(2, 3)).in_file("core.fga")
    assert render_error("type", error).startswith("core.fga:1:3: bad\n")


@pytest.mark.parametrize(("line", "column"), [(0, 0), (0, 500), (0, 999), (0, 1000), (0, 5000), (7, 3)])
def test_long_lines_and_odd_places(line: int, column: int) -> None:
    """Of a long line only the part around the place is shown; a place beyond the text does no harm."""
    shown = render_error("x" * 1000, DslError("bad", Range(line, line), Range(column, column + 5))).split("\n")
    assert len(shown) == 4
    assert all(len(part) < 140 for part in shown)
    assert "^" in shown[3]


def test_several_lines() -> None:
    """A place over several lines is underlined to the end of its first line."""
    shown = render_error("type user\n  x", DslError("bad", Range(0, 1), Range(5, 3)))
    assert shown.endswith("     ^^^^")
