"""Read the request and hold it to the rules written in `proto/`. A step of the chain.

The first broken rule in the order of the fields decides the error. Reasons are the codes that OpenFGA gives to some
fields; every other broken rule is a `validation_error`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protovalidate import Validator

from authz.errors import InvalidRequest
from authz.rpc.asked import asked_by
from authz.rpc.exchange import Exchange, Method, Proceed

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from protovalidate import Violation

    from authz.rpc.edge import Edge

_validator = Validator()  # keeps the compiled rules of every message that it has seen
_NO_STORE = (
    "no store: use `/stores/STORE/access/v1/…`, or let the setting `authzen.store` name the one that `/access/v1/…` is"
    " about"
)
_SHOWN = 64
_TOO_LONG = ("string.max_len", "string.max_bytes")
_LENGTH = ("string.min_len", "string.min_bytes", "string.len", *_TOO_LONG)
_PATTERN = ("string.pattern",)
_REQUIRED = ("required",)
_COUNT = ("repeated.min_items", "repeated.max_items")

# (field, rules, reason); `relations[]` is a key of the map
_REASONS = (
    ("assertions", ("repeated.max_items",), "assertions_too_many_items"),
    ("authorization_model_id", _TOO_LONG, "authorization_model_id_too_long"),
    ("base", _REQUIRED, "difference_base_missing_value"),
    ("id", _TOO_LONG, "id_too_long"),
    ("object", _TOO_LONG, "object_too_long"),
    ("object", _PATTERN, "object_invalid_pattern"),
    ("page_size", ("int32.gte_lte", "int32.gte", "int32.lte"), "page_size_invalid"),
    ("params", _REQUIRED, "param_missing_value"),
    ("relation", _TOO_LONG, "relation_too_long"),
    ("relations", ("map.min_pairs",), "relations_too_few_items"),
    ("relations[]", _TOO_LONG, "relations_too_long"),
    ("relations[]", _PATTERN, "relations_invalid_pattern"),
    ("start_time", ("timestamp.lt_now",), "invalid_start_time"),
    ("store_id", _LENGTH, "store_id_invalid_length"),
    ("subtract", _REQUIRED, "subtract_base_missing_value"),
    ("tuple_key", _REQUIRED, "tuple_key_value_not_specified"),
    ("tuple_keys", _COUNT, "tuple_keys_too_many_or_too_few_items"),
    ("type", _LENGTH, "type_invalid_length"),
    ("type", _PATTERN, "type_invalid_pattern"),
    ("type_definitions", ("repeated.min_items",), "type_definitions_too_few_items"),
)
_REASON_OF = {(field, rule): reason for field, rules, reason in _REASONS for rule in rules}


class InvalidField(InvalidRequest):
    """A field that breaks a rule of the interface; `field_reason` is OpenFGA's code for this field and rule."""

    def __init__(self, message: str, field_reason: str) -> None:
        super().__init__(message)
        self.field_reason = field_reason


def field_reason(field: str, rule: str) -> str:
    """OpenFGA's code for a field (`name[]` for the keys of a map) that breaks a rule of buf.validate."""
    return _REASON_OF.get((field, rule), InvalidRequest.reason)


def validate(_edge: Edge, method: Method, inner: Proceed) -> Proceed:
    """The step: parse, check every rule, note the store and what is asked."""
    violations = _validator.collect_violations
    has_store = "store_id" in method.request.DESCRIPTOR.fields_by_name
    has_grant = "grant" in method.request.DESCRIPTOR.fields_by_name
    asked = asked_by(method.request)
    violations(method.request())  # compiles the rules now, so that the first call does not wait for it

    async def check(exchange: Exchange) -> Message | None:
        request: Any = exchange.read(method.request, exchange.payload)
        broken = violations(request, fail_fast=True)
        if broken:
            raise invalid_field(broken[0])
        exchange.request = request
        if has_store:
            exchange.store_id = request.store_id or method.store or ""
        elif has_grant:
            exchange.store_id = request.grant.store_id
        else:
            exchange.store_id = method.store or ""
        if method.store is not None and not exchange.store_id:
            raise InvalidRequest(_NO_STORE)
        if asked is not None:
            exchange.keys = asked(request)
        return await inner(exchange)

    return check


def invalid_field(violation: Violation) -> InvalidField:
    """The error for a broken rule: which field, which rule, and the value as far as it can be shown."""
    broken = violation.proto
    elements = broken.field.elements if broken.field is not None else []
    name = elements[-1].field_name if elements else ""
    message = f"`{_path(elements)}` {_rule_text(broken)}"
    value = violation.field_value
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        message += f": got `{shown(str(value))}`"
    return InvalidField(message, field_reason(f"{name}[]" if broken.for_key else name, broken.rule_id))


def _rule_text(broken: Any) -> str:
    text: str = broken.message or f"breaks the rule {broken.rule_id}"
    if text.startswith("value "):
        text = text.removeprefix("value ")
    return f"key {text}" if broken.for_key else text


def _path(elements: Any) -> str:
    path = ""
    for element in elements:
        path += f".{element.field_name}" if path else element.field_name
        subscript = element.subscript
        if subscript is not None:
            path += f"[{shown(str(subscript.value))}]"
    return path


def shown(text: str) -> str:
    """User text that is safe in messages and logs: of bounded length, without control characters or backticks."""
    cut = text[:_SHOWN]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut.replace("`", "'"))
    return safe + ("…" if len(text) > _SHOWN else "")
