"""The rules of `buf.validate` as keywords of JSON Schema. Used by `openapi_schemas`.

A schema never refuses what the service takes. Where JSON Schema lacks the word it is laxer: it counts characters and
not bytes, and knows no `now`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from authz._proto.buf.validate import validate_pb2 as rules_pb

Schema = dict[str, Any]

_NUMBERS = frozenset({"int32", "int64", "uint32", "uint64", "float", "double"})
_CLASSES = {"s": r"\t\n\f\r ", "d": "0-9", "w": "0-9A-Za-z_"}
"""What RE2 means by these; readers of JSON Schema differ about them."""
_TOKEN = re.compile(r"\\(.)|\[\^?|\]|.", re.DOTALL)


def rules_of(field: FieldDescriptor) -> Any:
    """What a field must fulfil."""
    return field.GetOptions().Extensions[rules_pb.field]


def is_checked(field: FieldDescriptor) -> bool:
    """Whether any rule of a field is looked at."""
    return bool(rules_of(field).ignore != rules_pb.IGNORE_ALWAYS)


def is_needed(field: FieldDescriptor) -> bool:
    """Whether a request without the field is refused: a field that is absent has its zero value."""
    rules = rules_of(field)
    if rules.ignore != rules_pb.IGNORE_UNSPECIFIED:
        return False
    if rules.required:
        return True
    kind = rules.WhichOneof("type")
    if kind == "repeated":
        return bool(rules.repeated.min_items)
    if kind == "map":
        return bool(rules.map.min_pairs)
    if field.has_presence or kind is None:
        return False
    given = getattr(rules, kind)
    return not _takes_empty(given) if kind == "string" else kind in _NUMBERS and not _takes_zero(given)


def constrain(schema: Schema, field: FieldDescriptor) -> None:
    """Add what the rules of a field ask for to the schema of its value, which is an array for repeated fields."""
    rules = rules_of(field)
    takes_zero = rules.ignore == rules_pb.IGNORE_IF_ZERO_VALUE
    kind = rules.WhichOneof("type")
    if kind == "repeated":
        _put(schema, minItems=rules.repeated.min_items, maxItems=rules.repeated.max_items)
        if rules.repeated.unique:
            schema["uniqueItems"] = True
        _one(schema["items"], rules.repeated.items, takes_zero=False)
    elif kind == "map":
        _put(schema, minProperties=rules.map.min_pairs, maxProperties=rules.map.max_pairs)
        names: Schema = {}
        _one(names, rules.map.keys, takes_zero=False)
        if names:
            schema["propertyNames"] = names
        _one(schema["additionalProperties"], rules.map.values, takes_zero=False)
    else:
        _one(schema, rules, takes_zero=takes_zero)
        if kind is None and rules.required and schema.get("type") == "string":
            schema["minLength"] = 1


def portable(pattern: str) -> str:
    r"""A pattern of RE2 that means the same to other readers: without `\s`, `\d` and `\w`."""
    parts: list[str] = []
    is_in_class = False
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text.startswith("[") and not is_in_class:
            is_in_class = True
        elif text == "]":
            is_in_class = False
        meant = _CLASSES.get(token[1] or "")
        if meant is not None:
            text = meant if is_in_class else f"[{meant}]"
        parts.append(text)
    return "".join(parts)


def _one(schema: Schema, rules: Any, *, takes_zero: bool) -> None:
    kind = rules.WhichOneof("type")
    if kind == "string":
        _string(schema, rules.string, takes_empty=takes_zero)
    elif kind in _NUMBERS:
        _number(schema, getattr(rules, kind))


def _string(schema: Schema, given: Any, *, takes_empty: bool) -> None:
    if given.HasField("pattern"):
        pattern = portable(given.pattern)
        schema["pattern"] = f"^$|{pattern}" if takes_empty else pattern
    if given.HasField("const"):
        schema["enum"] = _texts([given.const], takes_empty=takes_empty)
    values = getattr(given, "in")
    if values:
        schema["enum"] = _texts(values, takes_empty=takes_empty)
    least = 0 if takes_empty else max(given.len, given.min_len, -(-max(given.min_bytes, given.len_bytes) // 4))
    _put(schema, minLength=least, maxLength=min(filter(None, (given.len, given.max_len, given.max_bytes)), default=0))
    if given.max_bytes:
        schema["description"] = f"At most {given.max_bytes} bytes of UTF-8."


def _texts(values: Iterable[str], *, takes_empty: bool) -> list[str]:
    return list(dict.fromkeys([*values, ""] if takes_empty else values))


def _number(schema: Schema, given: Any) -> None:
    for name, word in (
        ("gte", "minimum"),
        ("gt", "exclusiveMinimum"),
        ("lte", "maximum"),
        ("lt", "exclusiveMaximum"),
    ):
        if given.HasField(name):
            schema[word] = getattr(given, name)


def _takes_empty(given: Any) -> bool:
    least = max(given.len, given.min_len, given.min_bytes, given.len_bytes)
    values = getattr(given, "in")
    fits = not given.HasField("pattern") or re.search(given.pattern, "") is not None
    return not least and fits and (not values or "" in values) and not given.const


def _takes_zero(given: Any) -> bool:
    is_low_enough = not (given.HasField("lt") and given.lt <= 0) and not (given.HasField("lte") and given.lte < 0)
    return (
        is_low_enough and not (given.HasField("gt") and given.gt >= 0) and not (given.HasField("gte") and given.gte > 0)
    )


def _put(schema: Schema, **keywords: int) -> None:
    schema.update({word: value for word, value in keywords.items() if value})
