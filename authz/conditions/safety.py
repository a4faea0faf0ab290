"""Refuse what the CEL library allows and a condition must not do. Called by compile; condition asks `is_zone`.

OpenFGA does not know quoted field names (`` a.`b c` ``), so a model that uses them would work nowhere else.
The library reads them, and through them the field of an address.

The library looks time zones up in the file system: `getHours("/proc/self/fd/0")` opens that file and may never return.
Zones must therefore be literals, checked here, or parameters, checked by condition before each evaluation.
"""

from __future__ import annotations

import re
from math import isinf

from authz.conditions.syntax import Call, Collection, Comprehension, Constant, Ident, Node, Select
from authz.errors import InvalidModel

_FIELD = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_ZONE = re.compile(
    r"[+-]?[0-9]{1,2}:[0-9]{2}|(?!localtime$)[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9][A-Za-z0-9_+-]*){0,3}"
)
_LONGEST_ZONE = 64
_ZONE_GETTERS = frozenset(
    {
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getFullYear",
        "getHours",
        "getMilliseconds",
        "getMinutes",
        "getMonth",
        "getSeconds",
    }
)


def is_zone(text: str) -> bool:
    """Whether a text looks like an IANA zone (`Europe/Berlin`) or an offset (`+02:00`); the empty text is UTC."""
    return not text or (len(text) <= _LONGEST_ZONE and _ZONE.fullmatch(text) is not None)


def zone_parameters(root: Node) -> frozenset[str]:
    """Check an expression and name the parameters that it uses as time zones.

    Raises:
        InvalidModel: a quoted field name, an infinite literal, or a time zone that is neither a zone's name nor a
            parameter.
    """
    zones: set[str] = set()
    _check(root, frozenset(), zones)
    return frozenset(zones)


def _check(node: Node, variables: frozenset[str], zones: set[str]) -> None:
    if isinstance(node, Constant):
        _check_constant(node)
    elif isinstance(node, Select):
        _check_field(node.field)
        _check(node.operand, variables, zones)
    elif isinstance(node, Comprehension):
        _check(node.iter_range, variables, zones)
        inner = variables | {node.iter_var, node.accu_var}
        for part in (node.accu_init, node.loop_condition, node.loop_step, node.result):
            _check(part, inner, zones)
    elif not isinstance(node, Ident):
        parts = node.parts if isinstance(node, Collection) else node.args
        if isinstance(node, Call) and node.function in _ZONE_GETTERS and len(parts) == 2:
            _check_zone(parts[1], variables, zones)
        for part in parts:
            _check(part, variables, zones)


def _check_constant(node: Constant) -> None:
    if isinstance(node.value, float) and isinf(node.value):
        raise InvalidModel("a double literal is out of range")


def _check_field(field: str) -> None:
    if not _FIELD.fullmatch(field) or field == "in":
        raise InvalidModel("quoted field names are not supported: use an index, as in `map['name']`")


def _check_zone(zone: Node, variables: frozenset[str], zones: set[str]) -> None:
    if isinstance(zone, Ident) and zone.name not in variables:
        zones.add(zone.name)
    elif not isinstance(zone, Constant) or not isinstance(zone.value, str):
        raise InvalidModel("a time zone must be a literal or a parameter")
    elif not is_zone(zone.value):
        raise InvalidModel("a time zone must be an IANA name or an offset such as `+02:00`")
