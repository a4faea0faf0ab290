"""Messages as JSON Schema, in the form in which HTTP carries them: see `reading` and `printing`. Used by `openapi`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import Enum
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor

from authz._proto.buf.validate import validate_pb2 as rules_pb
from authz.http.openapi_rules import Schema, constrain, is_checked, is_needed

_Field = FieldDescriptor
_LARGE = frozenset({_Field.CPPTYPE_INT64, _Field.CPPTYPE_UINT64})
_WHOLE = frozenset({_Field.CPPTYPE_INT32, _Field.CPPTYPE_UINT32})
_FLOATS = frozenset({_Field.CPPTYPE_DOUBLE, _Field.CPPTYPE_FLOAT})

_DIGITS: Schema = {"type": "string", "format": "int64"}
_INTEGER: Schema = {"type": "integer", "format": "int32"}
_STRUCT: Schema = {"type": "object", "additionalProperties": True}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Struct": _STRUCT,
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.Int32Value": _INTEGER,
    "google.protobuf.UInt32Value": {**_INTEGER, "minimum": 0},
    "google.protobuf.Int64Value": _DIGITS,
    "google.protobuf.UInt64Value": _DIGITS,
}


class Form(Enum):
    """Where a message stands; the value is the end of its schema's name."""

    ASKED = ""
    """In a request, held to the rules."""
    UNCHECKED = ".unchecked"
    """In a request, held to no rules."""
    ANSWERED = ".answer"
    """In an answer."""
    ANSWERED_WHOLE = ".whole"
    """In an answer that shows messages that are not set, as null."""

    @property
    def is_request(self) -> bool:
        """Whether callers send it."""
        return self in {Form.ASKED, Form.UNCHECKED}


class Schemas:
    """Collects the schemas of all messages that are asked for, by name."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def refer(self, descriptor: Descriptor, form: Form) -> Schema:
        """The schema of a message: a well-known one itself, others by reference."""
        known = _WELL_KNOWN.get(descriptor.full_name)
        if known is not None:
            return dict(known)
        name = f"{descriptor.full_name}{form.value}"
        if name not in self.found:
            self.found[name] = {}  # messages may hold others of their own kind
            self.found[name] = self._message(descriptor, form, ())
        return {"$ref": f"#/components/schemas/{name}"}

    def body(self, descriptor: Descriptor, without: Collection[str]) -> Schema:
        """The body of a request, whose path gives the fields `without`; by reference."""
        name = f"{descriptor.full_name}.body"
        self.found[name] = self._message(descriptor, Form.ASKED, without)
        return {"$ref": f"#/components/schemas/{name}"}

    def field(self, field: FieldDescriptor, form: Form) -> Schema:
        """The schema of a field's value."""
        if form is Form.ASKED and not is_checked(field):
            form = Form.UNCHECKED
        schema = self._value(field, form)
        if form is Form.ASKED and "$ref" not in schema:
            constrain(schema, field)
        return schema

    def _message(self, descriptor: Descriptor, form: Form, without: Collection[str]) -> Schema:
        fields = [field for field in descriptor.fields if field.name not in without]
        schema: Schema = {
            "type": "object",
            "title": descriptor.name,
            "properties": {field.json_name: self._property(field, form) for field in fields},
        }
        is_there = is_needed if form is Form.ASKED else _always_printed(form)
        needed = [field.json_name for field in fields if is_there(field)]
        if needed:
            schema["required"] = needed
        choices = [_choice(oneof, form) for oneof in _oneofs(descriptor)]
        if len(choices) == 1:
            schema["oneOf"] = choices[0]
        elif choices:
            schema["allOf"] = [{"oneOf": each} for each in choices]
        return schema

    def _property(self, field: FieldDescriptor, form: Form) -> Schema:
        schema = self.field(field, form)
        may_be_null = form is Form.ANSWERED_WHOLE and _is_optional_message(field)
        if form.is_request:  # null says as much as to leave it out
            is_free = form is Form.UNCHECKED or not is_needed(field)
            may_be_null = is_free and field.containing_oneof is None
        return _or_null(schema) if may_be_null else schema

    def _value(self, field: FieldDescriptor, form: Form) -> Schema:
        if field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = self._single(field.message_type.fields_by_name["value"], form)
            return {"type": "object", "additionalProperties": value}
        if field.is_repeated:
            return {"type": "array", "items": self._single(field, form)}
        return self._single(field, form)

    def _single(self, field: FieldDescriptor, form: Form) -> Schema:
        if field.message_type is not None:
            return self.refer(field.message_type, form)
        if field.enum_type is not None:
            return _enum(field.enum_type)
        return _scalar(field)


def _scalar(field: FieldDescriptor) -> Schema:
    if field.type == _Field.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    if field.type == _Field.TYPE_BOOL:
        return {"type": "boolean"}
    if field.cpp_type in _LARGE:
        return dict(_DIGITS)
    if field.cpp_type in _WHOLE:
        least = {"minimum": 0} if field.cpp_type == _Field.CPPTYPE_UINT32 else {}
        return {**_INTEGER, **least}
    return {"type": "number"} if field.cpp_type in _FLOATS else {"type": "string"}


def _enum(enum: EnumDescriptor) -> Schema:
    return {"type": "string", "enum": [value.name for value in enum.values]}


def _or_null(schema: Schema) -> Schema:
    if not schema:
        return schema
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    listed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **listed}


def _is_optional_message(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.is_repeated and field.containing_oneof is None


def _always_printed(form: Form) -> Any:
    def is_there(field: FieldDescriptor) -> bool:
        if form.is_request:
            return False
        return not field.has_presence or (form is Form.ANSWERED_WHOLE and _is_optional_message(field))

    return is_there


def _oneofs(descriptor: Descriptor) -> Iterator[OneofDescriptor]:
    """Those that the interface declares: an `optional` field is one in name only."""
    for oneof in descriptor.oneofs:
        if oneof.name != f"_{oneof.fields[0].name}":
            yield oneof


def _choice(oneof: OneofDescriptor, form: Form) -> list[Schema]:
    given: list[Schema] = [{"required": [field.json_name]} for field in oneof.fields]
    rules: Any = oneof.GetOptions().Extensions[rules_pb.oneof]
    if form is Form.ASKED and rules.required:
        return given
    return [*given, {"properties": {field.json_name: False for field in oneof.fields}}]
