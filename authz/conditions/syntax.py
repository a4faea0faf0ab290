"""The checked expression as plain nodes. Called by compile, which hands them to safety and cost.

cel-expr-python shows its syntax tree only in serialized form: a `cel.expr.CheckedExpr`, whose field numbers are the
public interchange format of CEL (github.com/google/cel-spec, `proto/cel/expr`). Only what the analyses need is here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "cel.expr"
_DOUBLE, _STRING, _BYTES, _MESSAGE = (
    FieldDescriptorProto.TYPE_DOUBLE,
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_BYTES,
    FieldDescriptorProto.TYPE_MESSAGE,
)

# message -> fields: (name, number, scalar type or message name, repeated)
_FORMAT: dict[str, tuple[tuple[str, int, Any, bool], ...]] = {
    "CheckedExpr": (("expr", 4, "Expr", False),),
    "Expr": (
        ("const_expr", 3, "Constant", False),
        ("ident_expr", 4, "Ident", False),
        ("select_expr", 5, "Select", False),
        ("call_expr", 6, "Call", False),
        ("list_expr", 7, "CreateList", False),
        ("struct_expr", 8, "CreateStruct", False),
        ("comprehension_expr", 9, "Comprehension", False),
    ),
    "Constant": (
        ("double_value", 5, _DOUBLE, False),
        ("string_value", 6, _STRING, False),
        ("bytes_value", 7, _BYTES, False),
    ),
    "Ident": (("name", 1, _STRING, False),),
    "Select": (("operand", 1, "Expr", False), ("field", 2, _STRING, False)),
    "Call": (("target", 1, "Expr", False), ("function", 2, _STRING, False), ("args", 3, "Expr", True)),
    "CreateList": (("elements", 1, "Expr", True),),
    "CreateStruct": (("entries", 2, "Entry", True),),
    "Entry": (("map_key", 3, "Expr", False), ("value", 4, "Expr", False)),
    "Comprehension": (
        ("iter_var", 1, _STRING, False),
        ("iter_range", 2, "Expr", False),
        ("accu_var", 3, _STRING, False),
        ("accu_init", 4, "Expr", False),
        ("loop_condition", 5, "Expr", False),
        ("loop_step", 6, "Expr", False),
        ("result", 7, "Expr", False),
    ),
}


class Constant(NamedTuple):
    """A literal: a double, a string, bytes, or None for what cannot be large or infinite."""

    value: float | str | bytes | None


class Ident(NamedTuple):
    """A parameter, a variable of a macro, or the name of a type."""

    name: str


class Select(NamedTuple):
    """`operand.field`, also inside `has(…)`."""

    operand: Node
    field: str


class Call(NamedTuple):
    """A function or operator; the receiver of a method comes first."""

    function: str
    args: tuple[Node, ...]


class Collection(NamedTuple):
    """A literal list, map or message."""

    parts: tuple[Node, ...]
    is_list: bool


class Comprehension(NamedTuple):
    """What `all`, `exists`, `exists_one`, `map` and `filter` expand to."""

    iter_var: str
    iter_range: Node
    accu_var: str
    accu_init: Node
    loop_condition: Node
    loop_step: Node
    result: Node


Node = Constant | Ident | Select | Call | Collection | Comprehension


def _checked_expr_class() -> Any:
    file = FileDescriptorProto(name="authz/conditions/syntax.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _FORMAT.items():
        declared = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            field = declared.field.add(name=name, number=number, label=label)
            field.type = _MESSAGE if isinstance(kind, str) else kind
            if isinstance(kind, str):
                field.type_name = f".{_PACKAGE}.{kind}"
    # `Constant` must tell an absent value from an empty one, as the oneof of the real message does.
    file.message_type[list(_FORMAT).index("Constant")].oneof_decl.add(name="constant_kind")
    for field in file.message_type[list(_FORMAT).index("Constant")].field:
        field.oneof_index = 0
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr"))


_CheckedExpr = _checked_expr_class()


def decode(serialized: bytes) -> Node:
    """The root of a serialized `cel_expr_python` expression."""
    wrapper = AnyMessage.FromString(serialized)
    return _node(_CheckedExpr.FromString(wrapper.value).expr)


def _node(expr: Any) -> Node:
    if expr.HasField("const_expr"):
        constant = expr.const_expr
        kind = constant.WhichOneof("constant_kind")
        return Constant(getattr(constant, kind) if kind else None)
    if expr.HasField("ident_expr"):
        return Ident(expr.ident_expr.name)
    if expr.HasField("select_expr"):
        return Select(_node(expr.select_expr.operand), expr.select_expr.field)
    if expr.HasField("call_expr"):
        call = expr.call_expr
        receiver = (_node(call.target),) if call.HasField("target") else ()
        return Call(call.function, receiver + tuple(_node(arg) for arg in call.args))
    if expr.HasField("comprehension_expr"):
        loop = expr.comprehension_expr
        return Comprehension(
            loop.iter_var,
            _node(loop.iter_range),
            loop.accu_var,
            _node(loop.accu_init),
            _node(loop.loop_condition),
            _node(loop.loop_step),
            _node(loop.result),
        )
    if expr.HasField("list_expr"):
        return Collection(tuple(_node(element) for element in expr.list_expr.elements), is_list=True)
    entries = expr.struct_expr.entries
    keys = tuple(_node(entry.map_key) for entry in entries if entry.HasField("map_key"))
    return Collection(keys + tuple(_node(entry.value) for entry in entries), is_list=False)
