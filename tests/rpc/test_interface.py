"""The descriptors against an independent transcription of the interface (`interface.tsv`), and generated code against
its sources."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import Message

from authz._proto.buf.validate import validate_pb2
from authz._proto.openfga.v1 import (
    authzmodel_pb2,
    errors_ignore_pb2,
    openfga_pb2,
    openfga_service_consistency_pb2,
    openfga_service_pb2,
)

_FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        openfga_service_pb2,
        openfga_pb2,
        authzmodel_pb2,
        errors_ignore_pb2,
        openfga_service_consistency_pb2,
    )
)
_TABLE = [
    line.split("\t")
    for line in Path(__file__).with_name("interface.tsv").read_text().splitlines()
    if not line.startswith("#")
]
_SCALARS = {FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BOOL: "bool"}


def _messages() -> dict[str, Descriptor]:
    found: dict[str, Descriptor] = {}

    def walk(descriptor: Descriptor) -> None:
        if not descriptor.GetOptions().map_entry:
            found[_short(descriptor.full_name)] = descriptor
        for nested in descriptor.nested_types:
            walk(nested)

    for file in _FILES:
        for descriptor in file.message_types_by_name.values():
            walk(descriptor)
    return found


def _enums() -> dict[str, EnumDescriptor]:
    top = [enum for file in _FILES for enum in file.enum_types_by_name.values()]
    nested = [enum for message in _messages().values() for enum in message.enum_types]
    return {_short(enum.full_name): enum for enum in top + nested}


def _short(full_name: str) -> str:
    return full_name.removeprefix("openfga.v1.")


def _rows(kind: str) -> list[list[str]]:
    return [row[1:] for row in _TABLE if row[0] == kind]


def _single_type(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return _short(field.message_type.full_name)
    return _short(field.enum_type.full_name) if field.enum_type is not None else _SCALARS[field.type]


def _type(field: FieldDescriptor) -> str:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        key, value = (_single_type(entry.fields_by_name[name]) for name in ("key", "value"))
        return f"map<{key}, {value}>"
    return f"repeated {_single_type(field)}" if field.is_repeated else _single_type(field)


def _constraints(text: str) -> set[str]:
    """The constraints of a line as `path=value` terms, independent of order."""
    if not text:
        return set()
    outer, keys = text, re.search(r"(?:, )?keys\[(.*)\]$", text)
    terms: set[str] = set()
    if keys is not None:
        outer = text[: keys.start()]
        terms = {f"keys.{term}" for term in _constraints(keys.group(1))}
    pattern = re.search(r"pattern=('(?:[^']*)')", outer)
    if pattern is not None:
        terms.add(f"pattern={ast.literal_eval(pattern.group(1))}")
        outer = outer.replace(pattern.group(0), "")
    choice = re.search(r"in=(\[.*\])", outer)
    if choice is not None:
        terms.add(f"in={ast.literal_eval(choice.group(1))}")
        outer = outer.replace(choice.group(0), "")
    return terms | {term.strip() for term in outer.split(",") if term.strip()}


def _rule_terms(rules: Message) -> Iterator[str]:
    """The constraints of a descriptor in the same terms."""
    for field, value in rules.ListFields():
        if field.name == "ignore":
            yield "may be empty"
        elif field.name == "required":
            yield "required"
        elif field.name == "keys":
            yield from (f"keys.{term}" for term in _rule_terms(value))
        elif field.message_type is not None and not field.is_repeated:
            yield from _rule_terms(value)
        else:
            yield f"{field.name}={list(value) if field.is_repeated else value}"


def test_every_field_keeps_its_number_type_and_names() -> None:
    """
    Messages have exactly the fields of the public interface: number, name, type, oneof and JSON name.
    """
    expected: dict[str, set[tuple[str, ...]]] = {name: set() for (name,) in _rows("empty")}
    for message, *rest in _rows("field"):
        expected.setdefault(message, set()).add(tuple(rest[:5]))
    actual = {
        name: {
            (
                str(field.number),
                field.name,
                _type(field),
                field.containing_oneof.name if field.containing_oneof else "",
                field.json_name,
            )
            for field in descriptor.fields
        }
        for name, descriptor in _messages().items()
    }
    assert expected == actual


def test_fields_are_declared_in_the_order_of_the_interface() -> None:
    """
    The order of declaration, which decides the first of several errors, is that of the interface.
    """
    for name, descriptor in _messages().items():
        expected = [row[2] for row in _rows("field") if row[0] == name]
        assert expected == [field.name for field in descriptor.fields]


@pytest.mark.parametrize("row", _rows("field"), ids=lambda row: f"{row[0]}.{row[2]}")
def test_every_constraint_is_a_rule(row: list[str]) -> None:
    """
    A field carries exactly the constraints of the public interface.
    """
    message, _, name, _, _, _, text = row
    options = _messages()[message].fields_by_name[name].GetOptions()
    actual = set(_rule_terms(options.Extensions[validate_pb2.field]))
    expected = _constraints(text)
    if expected == {"may be empty"} or "min_items=0" in expected:
        expected -= {"may be empty"}
    assert expected == actual


def test_enums_keep_their_numbers() -> None:
    """
    Enums have exactly the values of the public interface.
    """
    expected: dict[str, dict[str, int]] = {}
    for enum, value, number in _rows("enum"):
        expected.setdefault(enum, {})[value] = int(number)
    assert expected == {name: {v.name: v.number for v in enum.values} for name, enum in _enums().items()}


def test_rpcs_keep_their_messages_and_routes() -> None:
    """
    The service has exactly the public RPCs, with their messages, streaming and HTTP routes.
    """
    service = openfga_service_pb2.DESCRIPTOR.services_by_name["OpenFGAService"]
    actual = []
    for method in service.methods:
        rule = method.GetOptions().Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        route = f"{verb.upper()} {getattr(rule, verb)}" + (f" body={rule.body}" if rule.body else "")
        streams = "server" if method.server_streaming else ""
        assert not method.client_streaming
        actual.append(
            [method.name, _short(method.input_type.full_name), _short(method.output_type.full_name), streams, route]
        )
    assert service.full_name == "openfga.v1.OpenFGAService"
    assert _rows("rpc") == actual


def _tool() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "tools" / "proto.py"
    spec = importlib.util.spec_from_file_location("proto_tool", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_code_is_what_the_sources_give(tmp_path: Path) -> None:
    """
    Generating again reproduces the committed files byte for byte, and a change is noticed.
    """
    pytest.importorskip("grpc_tools", reason="grpcio-tools generates the code; group `proto`")
    tool = _tool()
    assert tool.stale_files(tool.TARGET) == []
    shutil.copytree(tool.TARGET, tmp_path / "copy")
    (tmp_path / "copy" / "openfga" / "v1" / "openfga_pb2.py").write_text("")
    assert tool.stale_files(tmp_path / "copy") == ["openfga/v1/openfga_pb2.py"]
