"""fga.mod: what it may say, and where it is wrong."""

from __future__ import annotations

import pytest

from schema_dsl import DslSyntaxError, parse_mod


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", [(0, 0), (0, 0)]),
        ("- a\n", [(0, 0), (0, 0)]),
        ("contents:\n  - a.fga\n", [(0, 0)]),
        ("schema: 1.2\ncontents: [a.fga]\n", [(0, 8)]),
        ("schema: '1.2'\ncontents: a.fga\n", [(1, 10)]),
        ("schema: '1.2'\ncontents:\n", [(1, 9)]),
        ("schema: '1.2'\ncontents:\n  - 7\n  - [a.fga]\n  - b.fga\n", [(2, 4), (3, 4)]),
        (
            "schema: '1.2'\ncontents: [a.fga, ../b.fga, C:\\c.fga, /d.fga, a/../../e.fga]\n",
            [(1, 18), (1, 28), (1, 38), (1, 46)],
        ),
        ("schema: '1.2\n", [(1, 0)]),
        ("schema: '1.2'\n\x00", [(0, 0)]),
        ("[" * 5000, [(0, 0)]),
    ],
)
def test_errors(text: str, places: list[tuple[int, int]]) -> None:
    """Every mistake is an error with a place, never a traceback."""
    with pytest.raises(DslSyntaxError) as raised:
        parse_mod(text)
    assert [(one.line.start, one.column.start) for one in raised.value.errors if one.line and one.column] == places


def test_forms_of_lists() -> None:
    """A list may be a block or in brackets; names that merely contain dots are fine."""
    flow = parse_mod("schema: '1.2'\ncontents: [a..b.fga, dir/c.fga]")["contents"]
    assert [item["value"] for item in flow["value"]] == ["a..b.fga", "dir/c.fga"]
    assert (flow["line"], flow["column"]) == ({"start": 1, "end": 1}, {"start": 10, "end": 31})
    block = parse_mod("contents:\n  - a.fga\n\n# more\nschema: '1.2'\n")["contents"]
    assert (block["line"], block["column"]) == ({"start": 1, "end": 2}, {"start": 2, "end": 0})
