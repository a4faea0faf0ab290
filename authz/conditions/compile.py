"""Compile a condition from the model's JSON. Called by model when a model is written or loaded."""

from __future__ import annotations

import re
from contextlib import suppress

from cel_expr_python import cel

from authz.conditions.condition import CompiledCondition
from authz.conditions.cost import safe_weight
from authz.conditions.networks import ADDRESS_TYPE_NAME, DESCRIPTOR_POOL, FUNCTIONS
from authz.conditions.safety import zone_parameters
from authz.conditions.syntax import decode
from authz.conditions.types import ParameterType, decode_type, describe
from authz.errors import InvalidModel
from authz.tuples import JsonValue

LONGEST_EXPRESSION = 512
"""Bytes in UTF-8, as in OpenFGA."""
MOST_PARAMETERS = 25

_NAME = re.compile(r"[^:#@\s]{1,50}")
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_KEYWORDS = frozenset(("true", "false", "null", "in"))
_ISSUE = re.compile(r"ERROR: <input>:(-?[0-9]+):(-?[0-9]+): ([^\n]*)")


def compile_condition(name: str, definition: dict[str, JsonValue]) -> CompiledCondition:
    """Compile a condition under the name that the model gives it.

    `definition` is the JSON form of `openfga.v1.Condition` with proto field names.

    Raises:
        InvalidModel: the definition breaks a rule, or the expression has an error of syntax or type.
    """
    if definition.get("name") != name:
        raise InvalidModel(
            f"condition key {describe(name)} differs from the condition's name {describe(definition.get('name'))}"
        )
    if not _NAME.fullmatch(name):
        raise InvalidModel(f"condition name {describe(name)} is malformed")
    expression = _expression(name, definition.get("expression"))
    parameters = _parameters(name, definition.get("parameters"))
    program = _program(name, expression, parameters)
    if program.return_type() != cel.Type.BOOL:
        found = _readable(program.return_type().name()).lower()
        raise InvalidModel(f"condition `{name}` must give a bool, but its expression gives {found}")
    syntax = decode(program.serialize())
    try:
        zones = zone_parameters(syntax)
    except InvalidModel as error:
        raise InvalidModel(f"condition `{name}`: {error.message}") from None
    sized = frozenset(key for key, kind in parameters.items() if kind.is_sized)
    weight = safe_weight(syntax, sized)
    if weight >= 0:
        _warm_up(program)
    return CompiledCondition(name, parameters, program=program, syntax=syntax, safe_weight=weight, zones=zones)


def _warm_up(program: cel.Expression) -> None:
    """Let the library build its runtime, which it does at the first evaluation, before threads share the program."""
    with suppress(RuntimeError, ValueError, LookupError):
        program.eval(data={})


def _expression(name: str, expression: JsonValue) -> str:
    if not isinstance(expression, str) or not expression.strip():
        raise InvalidModel(f"condition `{name}` has no expression")
    if len(expression.encode("utf-8", "surrogatepass")) > LONGEST_EXPRESSION:
        raise InvalidModel(f"condition `{name}`: the expression is longer than {LONGEST_EXPRESSION} bytes")
    return expression


def _parameters(name: str, declared: JsonValue) -> dict[str, ParameterType]:
    if declared is None:
        return {}
    if not isinstance(declared, dict):
        raise InvalidModel(f"condition `{name}`: parameters must be a map")
    if len(declared) > MOST_PARAMETERS:
        raise InvalidModel(f"condition `{name}` has {len(declared)} parameters, more than {MOST_PARAMETERS}")
    parameters = {}
    for key, reference in declared.items():
        if not _NAME.fullmatch(key):
            raise InvalidModel(f"condition `{name}`: parameter name {describe(key)} is malformed")
        try:
            parameters[key] = decode_type(reference)
        except InvalidModel as error:
            raise InvalidModel(f"condition `{name}`: parameter `{key}`: {error.message}") from None
    return parameters


def _program(name: str, expression: str, parameters: dict[str, ParameterType]) -> cel.Expression:
    # Other names are legal, and demanded of every context, but no expression can spell them.
    variables = {
        key: kind.cel_type for key, kind in parameters.items() if _IDENTIFIER.fullmatch(key) and key not in _KEYWORDS
    }
    try:
        env = cel.NewEnv(descriptor_pool=DESCRIPTOR_POOL, variables=variables, functions=list(FUNCTIONS))
        return env.compile(expression)
    except (RuntimeError, ValueError, LookupError, TypeError) as error:
        raise InvalidModel(f"condition `{name}` does not compile: {_explain(str(error))}") from error


def _explain(text: str) -> str:
    """The first issue of the compiler with its place, in one line."""
    issue = _ISSUE.search(text)
    if issue is None:
        clash = re.search(r"variable '([^']*)' declared multiple times", text)
        return f"parameter name `{clash[1]}` is taken by CEL" if clash else "the expression cannot be read"
    line, column, message = issue.groups()
    if "recursion depth" in message:
        return "the expression is nested too deeply"
    message = message.removeprefix("Syntax error: ").split(" expecting ")[0].replace(" (in container '')", "")
    message = _readable(message).replace("'", "`")
    return f"line {line}, column {column}: {message}"


def _readable(text: str) -> str:
    """The library's names of types as the modelling language spells them."""
    text = text.replace(ADDRESS_TYPE_NAME, "ipaddress")
    return text.replace("google.protobuf.Timestamp", "timestamp").replace("google.protobuf.Duration", "duration")
