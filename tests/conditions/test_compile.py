"""What a model may define as a condition, and how refusals read."""

from __future__ import annotations

import pytest

from authz.conditions import compile_condition
from authz.errors import InvalidModel
from authz.tuples import JsonValue
from tests.conditions.build import condition, type_reference


def refusal(expression: str, **parameters: str) -> str:
    with pytest.raises(InvalidModel) as caught:
        condition(expression, **parameters)
    assert "\n" not in caught.value.message
    assert "`c`" in caught.value.message
    return caught.value.message


def test_parameters_are_known() -> None:
    """A compiled condition names its parameters with their types as the modelling language spells them."""
    compiled = condition("x < 1 && 'a' in tags", x="int", tags="list<string>")
    assert {name: str(kind) for name, kind in compiled.parameters.items()} == {"x": "int", "tags": "list<string>"}


@pytest.mark.parametrize(
    ("expression", "parameters", "part"),
    [
        ("y == 1", {}, "line 1, column 1: undeclared reference to `y`"),
        ("x\n  == 'a'", {"x": "int"}, "line 2, column 3: found no matching overload for `_==_`"),
        ("x +", {"x": "int"}, "line 1, column 4"),
        ("ipaddress(true).in_cidr('10.0.0.0/8')", {}, "`ipaddress` applied to `(bool)`"),
        ("ip == '10.0.0.1'", {"ip": "ipaddress"}, "applied to `(ipaddress, string)`"),
        ("x", {"x": "string"}, "must give a bool, but its expression gives string"),
        ("x", {"x": "any"}, "must give a bool, but its expression gives dyn"),
        ("openfga.v1.TupleKey{} == x", {"x": "any"}, "undeclared reference"),
        ("int == 1", {"int": "int"}, "parameter name `int` is taken by CEL"),
        ("(" * 40 + "x" + ")" * 40, {"x": "bool"}, "the expression"),
        ("x.`a b` == 1", {"x": "any"}, "quoted field names"),
        ("ip.`in` == b''", {"ip": "ipaddress"}, "quoted field names"),
        ("x == '\ud800'", {"x": "string"}, "the expression cannot be read"),
        ("1e400 > 1.0", {}, "double literal is out of range"),
        ("t * 2 == t", {"t": "duration"}, "applied to `(duration, int)`"),
        ("t", {"t": "timestamp"}, "gives timestamp"),
        ("", {}, "no expression"),
        ("  ", {}, "no expression"),
        ("x == '" + "é" * 300 + "'", {"x": "string"}, "longer than 512 bytes"),
    ],
)
def test_bad_expressions(expression: str, parameters: dict[str, str], part: str) -> None:
    """A bad expression is refused in one line that names the condition, the place and the cause."""
    assert part in refusal(expression, **parameters)


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ({"type_name": "TYPE_NAME_UNSPECIFIED"}, 'unknown type `"TYPE_NAME_UNSPECIFIED"`'),
        ({"type_name": 42}, "unknown type `42`"),
        ({}, "unknown type `null`"),
        ("TYPE_NAME_INT", "unknown type"),
        ({"type_name": "TYPE_NAME_LIST"}, "type `list` takes one element type, found 0"),
        ({"type_name": "TYPE_NAME_MAP", "generic_types": [type_reference("int")] * 2}, "found 2"),
        ({"type_name": "TYPE_NAME_INT", "generic_types": [type_reference("int")]}, "type `int` takes no element type"),
        ({"type_name": "TYPE_NAME_LIST", "generic_types": [{"type_name": "TYPE_NAME_NONE"}]}, "unknown type"),
        (type_reference("list<list<int>>"), "nests too deeply"),
    ],
)
def test_bad_types(reference: JsonValue, part: str) -> None:
    """A bad parameter type is refused with the names of condition and parameter."""
    with pytest.raises(InvalidModel) as caught:
        compile_condition("c", {"name": "c", "expression": "true", "parameters": {"p": reference}})
    assert caught.value.message.startswith("condition `c`: parameter `p`: ")
    assert part in caught.value.message


def test_name_must_match_its_key() -> None:
    """The key in the model's map and the condition's own name are the same."""
    with pytest.raises(InvalidModel, match="differs"):
        compile_condition("a", {"name": "b", "expression": "true"})


@pytest.mark.parametrize("name", ["", "a b", "a#b", "a:b", "a@b", "x" * 51])
def test_malformed_names(name: str) -> None:
    """Names of conditions and parameters have the form that the API demands."""
    with pytest.raises(InvalidModel, match="malformed"):
        compile_condition(name, {"name": name, "expression": "true"})
    with pytest.raises(InvalidModel, match="malformed"):
        condition("true", **{name: "int"})


def test_too_many_parameters() -> None:
    """Twenty-five parameters are allowed, one more is not."""
    condition("true", **{f"p{number}": "int" for number in range(25)})
    assert "more than 25" in refusal("true", **{f"p{number}": "int" for number in range(26)})


def test_unspellable_parameter_names() -> None:
    """A parameter that no expression can spell is legal: it is only demanded."""
    assert condition("true", **{"a-b": "int", "in": "int"}).evaluate({}, {}).missing == ("a-b", "in")


def test_parameters_may_be_null() -> None:
    """Null stands for no parameters, as in JSON made from protobuf."""
    compiled = compile_condition("c", {"name": "c", "expression": "1 == 1", "parameters": None})
    assert dict(compiled.parameters) == {}


@pytest.mark.parametrize("zone", ["'/etc/passwd'", "'../x'", "'localtime'", "'file:x'", "'a' + 'b'", "string(1)"])
def test_time_zones_cannot_name_files(zone: str) -> None:
    """The library looks zones up as files, so a zone is a plain zone name or a parameter."""
    assert "time zone must be" in refusal(f"timestamp('2020-01-01T00:00:00Z').getHours({zone}) == 1")


def test_time_zone_from_a_macro_variable() -> None:
    """A variable that hides a parameter of the same name does not pass for it."""
    expression = "['/proc/self/fd/0'].exists(z, timestamp('2020-01-01T00:00:00Z').getHours(z) == 1)"
    assert "time zone must be" in refusal(expression, z="string")
