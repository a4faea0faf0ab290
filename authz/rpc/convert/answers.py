"""Answers of the questions: trees, users, results of a batch. Called by the handlers."""

from __future__ import annotations

from authz._proto.openfga.v1 import openfga_pb2 as pb
from authz._proto.openfga.v1.errors_ignore_pb2 import ErrorCode, InternalErrorCode
from authz._proto.openfga.v1.openfga_service_pb2 import BatchCheckSingleResult, CheckError
from authz.codes import NUMBERS
from authz.engine import expand
from authz.errors import AuthzError
from authz.tuples import split_object, split_userset

_Tree = pb.UsersetTree
_INPUT = frozenset(ErrorCode.values())
_INTERNAL = frozenset(InternalErrorCode.values())


def tree_message(root: expand.Node) -> pb.UsersetTree:
    """An opened rewrite."""
    return _Tree(root=_node(root))


def user_message(user: str) -> pb.User:
    """`type:id`, `type:id#relation` or `type:*` as one of the three kinds of a user."""
    name, relation = split_userset(user)
    type_, id_ = split_object(name)
    if relation:
        return pb.User(userset=pb.UsersetUser(type=type_, id=id_, relation=relation))
    if id_ == "*":
        return pb.User(wildcard=pb.TypedWildcard(type=type_))
    return pb.User(object=pb.Object(type=type_, id=id_))


def batch_result(outcome: bool | AuthzError) -> BatchCheckSingleResult:  # noqa: FBT001 - the outcome itself
    """One answer of a batch: the decision, or why there is none."""
    if not isinstance(outcome, AuthzError):
        return BatchCheckSingleResult(allowed=outcome)
    number = NUMBERS.get(outcome.reason, NUMBERS["internal_error"])
    error = CheckError(message=outcome.message)
    if number in _INPUT:
        error.input_error = ErrorCode.ValueType(number)
    else:
        fallback = InternalErrorCode.internal_error
        error.internal_error = InternalErrorCode.ValueType(number) if number in _INTERNAL else fallback
    return BatchCheckSingleResult(error=error)


def _node(node: expand.Node) -> pb.UsersetTree.Node:
    match node:
        case expand.UsersLeaf(name, users):
            return _Tree.Node(name=name, leaf=_Tree.Leaf(users=_Tree.Users(users=users)))
        case expand.ComputedLeaf(name, userset):
            return _Tree.Node(name=name, leaf=_Tree.Leaf(computed=_Tree.Computed(userset=userset)))
        case expand.TupleToUsersetLeaf(name, tupleset, computed):
            parts = [_Tree.Computed(userset=userset) for userset in computed]
            found = _Tree.TupleToUserset(tupleset=tupleset, computed=parts)
            return _Tree.Node(name=name, leaf=_Tree.Leaf(tuple_to_userset=found))
        case expand.UnionNode(name, children):
            return _Tree.Node(name=name, union=_nodes(children))
        case expand.IntersectionNode(name, children):
            return _Tree.Node(name=name, intersection=_nodes(children))
        case expand.DifferenceNode(name, base, subtract):
            difference = _Tree.Difference(base=_node(base), subtract=_node(subtract))
            return _Tree.Node(name=name, difference=difference)


def _nodes(children: tuple[expand.Node, ...]) -> pb.UsersetTree.Nodes:
    return _Tree.Nodes(nodes=[_node(child) for child in children])
