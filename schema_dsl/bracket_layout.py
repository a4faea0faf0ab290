"""Direct type restrictions as the formatter prints them: on one line, or one a line where they were on several.

Called by `formatter`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema_dsl.lexer import Token
    from schema_dsl.nodes import Restriction

_INDENT = "      "
_CLOSING = "    "


@dataclass(slots=True)
class _Item:
    """A restriction with the comments above it and the one behind it."""

    above: list[str] = field(default_factory=list)
    behind: str = ""


def direct_text(restrictions: Sequence[Restriction], tokens: Sequence[Token], text: str) -> str:
    """Return the restrictions of a relation in brackets.

    Args:
        restrictions: What to print.
        tokens: The tokens of the relation, brackets among them.
        text: The source, where the comments are.
    """
    first = next(index for index, token in enumerate(tokens) if token.kind == "LBRACKET")
    last = next(index for index, token in enumerate(tokens) if token.kind == "RBRACKET")
    inside = tokens[first + 1 : last]
    if not any(token.kind == "NEWLINE" for token in inside):
        return f"[{', '.join(str(restriction) for restriction in restrictions)}]"
    items, rest = _comments(inside, text)
    lines = ["["]
    for number, (restriction, item) in enumerate(zip(restrictions, items, strict=True), start=1):
        comma = "," if number < len(restrictions) else ""
        behind = f" {item.behind}" if item.behind else ""
        lines += [f"{_INDENT}{remark}" for remark in item.above]
        lines.append(f"{_INDENT}{restriction}{comma}{behind}")
    lines += [f"{_INDENT}{remark}" for remark in rest]
    return "\n".join([*lines, f"{_CLOSING}]"])


def _comments(inside: Sequence[Token], text: str) -> tuple[list[_Item], list[str]]:
    """Return the comments of each restriction, and those after the last."""
    items: list[_Item] = []
    waiting: list[str] = []
    is_new = True
    for token in inside:
        if token.kind == "NEWLINE":
            lines = [line.strip() for line in text[token.start : token.end].split("\n")]
            if lines[0] and items and not items[-1].behind and not waiting:
                items[-1].behind = lines.pop(0)
            waiting += [line for line in lines if line]
        elif token.kind == "COMMA":
            is_new = True
        elif token.kind != "WHITESPACE" and is_new:
            items.append(_Item(waiting))
            waiting, is_new = [], False
    return items, waiting
