"""The tree of an expansion as text for people. Called by `queries`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from authz._proto.openfga.v1.openfga_pb2 import UsersetTree

_SETS = {"union": "any of", "intersection": "all of"}


def tree_text(root: UsersetTree.Node) -> Tree:
    """The tree below its name."""
    tree = Tree(Text(root.name, style="bold"))
    _add(tree, root)
    return tree


def _add(tree: Tree, node: Any) -> None:
    kind = node.WhichOneof("value")
    if kind in _SETS:
        branch = tree.add(_SETS[kind])
        for child in getattr(node, kind).nodes:
            _add(branch, child)
    elif kind == "difference":
        branch = tree.add("but not")
        _add(branch.add("base"), node.difference.base)
        _add(branch.add("subtract"), node.difference.subtract)
    else:
        _add_leaf(tree, node.leaf)


def _add_leaf(tree: Tree, leaf: Any) -> None:
    match leaf.WhichOneof("value"):
        case "users":
            branch = tree.add(f"users ({len(leaf.users.users)})")
            for user in leaf.users.users:
                branch.add(Text(user))
        case "computed":
            tree.add(Text(f"computed {leaf.computed.userset}"))
        case "tuple_to_userset":
            branch = tree.add(Text(f"from {leaf.tuple_to_userset.tupleset}"))
            for computed in leaf.tuple_to_userset.computed:
                branch.add(Text(computed.userset))
