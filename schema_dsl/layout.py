"""Raw tokens to the parser's tokens: folds whitespace and line breaks into the words they belong to.

Called by `parser`. The language asks for whitespace around operators and for a line break before each statement;
after folding, an `OR` is an operator with its whitespace, a `LINE_DEFINE` is a `define` that starts a line, and one
token of lookahead is enough.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from schema_dsl.lexer import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPACED = frozenset({"OR", "AND", "BUT_NOT", "FROM", "WITH"})
_STATEMENTS = frozenset({"SCHEMA", "TYPE", "EXTEND", "RELATIONS", "DEFINE", "CONDITION"})


def fold(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens that the grammar is written in, without EOF."""
    return _fold_space(_fold_bodies(tokens))


def _fold_bodies(tokens: Sequence[Token]) -> list[Token]:
    """Turn what stands between a condition's braces into one EXPRESSION token; inner braces must match."""
    folded: list[Token] = []
    body: list[Token] = []
    depth = 0
    for token in tokens:
        depth -= token.kind == "RBRACE" and depth > 0
        if depth:
            body.append(token)
        else:
            if body or (token.kind == "RBRACE" and folded and folded[-1].kind == "LBRACE"):
                text = "".join(inner.text for inner in body).strip()
                folded.append(Token("EXPRESSION", text, folded[-1].end, token.start))
                body = []
            folded.append(token)
        depth += token.kind == "LBRACE"
    return folded + body


def _fold_space(tokens: Sequence[Token]) -> list[Token]:
    folded: list[Token] = []
    in_brackets = False
    for token, following in pairwise(tokens):
        previous = folded[-1].kind if folded else ""
        in_brackets = token.kind == "LBRACKET" or (in_brackets and token.kind != "RBRACKET")
        if _means_nothing(token.kind, previous, following.kind):
            continue
        kind = token.kind
        if kind in _SPACED:
            kind = kind if previous == following.kind == "WHITESPACE" else f"BARE_{kind}"
        elif kind in _STATEMENTS and previous == "NEWLINE" and not in_brackets:
            kind = f"LINE_{kind}"
        if kind in _SPACED or kind.startswith("LINE_"):
            folded.pop()
        folded.append(token if kind is token.kind else token._replace(kind=kind))
    if folded and folded[-1].kind == "NEWLINE":
        folded.pop()
    return folded


def _means_nothing(kind: str, previous: str, following: str) -> bool:
    """Return whether the grammar need not see a stretch of space: at the start, after a break, around parentheses."""
    if kind == "NEWLINE":
        return previous in ("", "NEWLINE")
    return kind == "WHITESPACE" and (previous in ("", "LPAREN") or previous in _SPACED or following == "RPAREN")
