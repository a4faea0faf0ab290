"""What the language is: forms that are accepted, declarations that are not, and sizes that do no harm."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from schema_dsl import DslSyntaxError, dsl_to_json, validate

HEAD = "model\n  schema 1.1\ntype user\n"
RELATION = HEAD + "  relations\n    define a: "
THIS = {"this": {}}


def computed(name: str) -> dict[str, object]:
    """A computed userset in JSON."""
    return {"computedUserset": {"relation": name}}


def rewrite_of(definition: str) -> object:
    """The JSON rewrite of a definition."""
    return dsl_to_json(RELATION + definition)["type_definitions"][0]["relations"]["a"]


@pytest.mark.parametrize(
    ("definition", "rewrite"),
    [
        ("[user]", THIS),
        ("b", computed("b")),
        ("( ( b ) )", computed("b")),
        ("b or c or d", {"union": {"child": [computed("b"), computed("c"), computed("d")]}}),
        ("(b or c) or d", {"union": {"child": [{"union": {"child": [computed("b"), computed("c")]}}, computed("d")]}}),
        ("[user] and b", {"intersection": {"child": [THIS, computed("b")]}}),
        ("([user]) but not b", {"difference": {"base": THIS, "subtract": computed("b")}}),
        (
            "(([user] or b) and c) but not (b but not c)",
            {
                "difference": {
                    "base": {"intersection": {"child": [{"union": {"child": [THIS, computed("b")]}}, computed("c")]}},
                    "subtract": {"difference": {"base": computed("b"), "subtract": computed("c")}},
                }
            },
        ),
        ("b from c", {"tupleToUserset": {"tupleset": {"relation": "c"}, "computedUserset": {"relation": "b"}}}),
        ("type or model", {"union": {"child": [computed("type"), computed("model")]}}),
        ("a.b/c-d", computed("a.b/c-d")),
    ],
)
def test_rewrites(definition: str, rewrite: object) -> None:
    """A definition means what it says; parentheses group and vanish."""
    assert rewrite_of(definition) == rewrite


def test_restrictions() -> None:
    """Direct type restrictions have six forms, and may go over lines with comments."""
    text = RELATION + "[\n user, user:*,\n # note\n user#a\n , user with c, user:* with c, user#a with c # end\n]"
    users = dsl_to_json(text)["type_definitions"][0]["metadata"]["relations"]["a"]["directly_related_user_types"]
    plain = [{"type": "user"}, {"type": "user", "wildcard": {}}, {"type": "user", "relation": "a"}]
    assert users == plain + [user | {"condition": "c"} for user in plain]


def test_conditions() -> None:
    """A condition has typed parameters, and a body of CEL with braces, strings and comments."""
    text = HEAD + (
        "condition c(a: int, b :list<string>,d:map<double>){\n"
        "  // } not the end\n"
        '  a > 1 && "}" in b # why\n'
        "    || d == {'x': {'y': 1}}  \n}\n"
    )
    condition = dsl_to_json(text)["conditions"]["c"]
    assert condition["parameters"] == {
        "a": {"type_name": "TYPE_NAME_INT"},
        "b": {"type_name": "TYPE_NAME_LIST", "generic_types": [{"type_name": "TYPE_NAME_STRING"}]},
        "d": {"type_name": "TYPE_NAME_MAP", "generic_types": [{"type_name": "TYPE_NAME_DOUBLE"}]},
    }
    assert condition["expression"] == "a > 1 && \"}\" in b\n    || d == {'x': {'y': 1}}"


@pytest.mark.parametrize(
    ("text", "symbol", "line", "column"),
    [
        (RELATION + "[user]\n    define a: [user]\n", "a", 5, 11),
        (HEAD + "condition c(x: int) {\n x\n}\ncondition c(x: int) {\n x\n}", "c", 6, 10),
        (HEAD + "condition c(x: int, x: int) {\n x\n}", "x", 3, 20),
        (HEAD + "extend type a", "a", 3, 12),
        ("module m\nextend type a\nextend type a", "a", 2, 12),
    ],
)
def test_declarations(text: str, symbol: str, line: int, column: int) -> None:
    """A name declared twice and `extend` outside a module are syntax errors at the name."""
    with pytest.raises(DslSyntaxError) as raised:
        dsl_to_json(text)
    [error] = raised.value.errors
    assert (error.metadata["symbol"], error.line.start, error.column.start) == (symbol, line, column)  # type: ignore[union-attr]


def test_deep_parentheses() -> None:
    """Parentheses may nest without end; operators in operators have a limit, which is an error and no traceback."""
    assert rewrite_of("(" * 5000 + "b" + ")" * 5000) == computed("b")
    for text in ("(b or " * 5000 + "c" + ")" * 5000, "(" * 5000 + "b" + ")" * 4999, "(b and " * 90 + "b" + ")" * 89):
        with pytest.raises(DslSyntaxError):
            dsl_to_json(RELATION + text)


@pytest.mark.parametrize(
    "text",
    [
        "@" * 20000,
        "type " * 5000,
        "\n" * 20000 + "x",
        RELATION + "[" * 5000,
        HEAD + "condition " * 2000,
        RELATION + "{" * 20000,
        RELATION + '"""' * 5000,
        HEAD + "type a b\n" * 3000,
        HEAD + "x" * 200000,
    ],
)
def test_long_nonsense(text: str) -> None:
    """Long nonsense is refused in reasonable time with a reasonable number of errors."""
    with pytest.raises(DslSyntaxError) as raised:
        dsl_to_json(text)
    assert 1 <= len(raised.value.errors) <= 100


def test_speed() -> None:
    """A model of 300 lines is parsed in well under 100 ms (the bound here is loose, for slow machines)."""
    lines = [f"\ntype t{n}\n  relations\n" + "    define r: [user, t1#r] or r2 or x from r3\n" * 1 for n in range(80)]
    text = HEAD + "".join(lines)
    dsl_to_json(text)
    start = time.perf_counter()
    dsl_to_json(text)
    assert time.perf_counter() - start < 0.5


def test_validation_of_long_models() -> None:
    """Validation grows with the model, not with its square."""
    types = "".join(f"type t{n}\n  relations\n    define a: [t{n + 1}#a]\n" for n in range(1500))
    assert validate(f"{HEAD}{types}type t1500\n  relations\n    define a: [user]\n") == []


def test_library_stands_alone() -> None:
    """Importing the library imports nothing of the service, and builds no parser before it is needed."""
    code = (
        "import sys, schema_dsl, schema_dsl.grammar as g; print([m for m in sys.modules if m.split('.')[0] == 'authz'],"
    )
    code += " g.generated_parser.cache_info().currsize)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[] 0"
