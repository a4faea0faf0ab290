"""Sources in the canonical layout, with their comments.

Called by users of the library. Statements are printed from the tree; comments and single blank lines are found in the
gaps between tokens. Order, and everything that a model means, stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schema_dsl.bracket_layout import direct_text
from schema_dsl.errors import DslSyntaxError
from schema_dsl.lexer import Token, lex
from schema_dsl.nodes import Direct, leaves
from schema_dsl.parser import parse
from schema_dsl.source import normalized
from schema_dsl.write_dsl import parameters_text, rewrite_text
from schema_dsl.write_json import model_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schema_dsl.nodes import Condition, Relation

_SPACE = frozenset({"NEWLINE", "WHITESPACE"})
_INDENT = {"SCHEMA": "  ", "RELATIONS": "  ", "DEFINE": "    "}
# Statements with a blank line before them, and those that stand directly under the line before.
_APART = frozenset({"TYPE", "EXTEND", "CONDITION"})
_TIGHT = frozenset({"SCHEMA", "RELATIONS"})


@dataclass(slots=True)
class _Statement:
    """A line of the model (a condition is one, with its body), the comments above it and the one behind it."""

    tokens: list[Token]
    above: list[str]
    behind: str = ""

    @property
    def kind(self) -> str:
        return self.tokens[0].kind


def format_dsl(text: str) -> str:
    """Return a source in the canonical layout; comments stay at what they belong to.

    Raises:
        DslSyntaxError: when the text is not in the language.
    """
    model = parse(text)
    text = normalized(text)
    relations = (relation for type_def in model.types for relation in type_def.relations)
    conditions = iter(model.conditions)
    statements, rest = _statements(text)
    lines: list[str] = []
    previous = ""
    for statement in statements:
        indent = _INDENT.get(statement.kind, "")
        lines += [f"{indent}{line}" if line else "" for line in _lines_above(statement, previous)]
        if statement.kind == "DEFINE":
            content = _relation_text(next(relations), statement, text)
        elif statement.kind == "CONDITION":
            content = _condition_text(next(conditions), statement, text)
        else:
            content = " ".join(token.text for token in statement.tokens if token.kind not in _SPACE)
        lines.append(f"{indent}{content} {statement.behind}".rstrip())
        previous = statement.kind
    lines += _single_blanks(rest)
    formatted = "\n".join(lines).rstrip("\n") + "\n"
    return formatted if _means(formatted, model_json(model)) else text


def _means(formatted: str, body: dict[str, Any]) -> bool:
    """Whether the formatted text still says what was written; where it cannot, the text is better left alone."""
    try:
        return model_json(parse(formatted)) == body
    except DslSyntaxError:
        return False


def _relation_text(relation: Relation, statement: _Statement, text: str) -> str:
    has_direct = any(isinstance(leaf, Direct) for leaf in leaves(relation.rewrite))
    direct = direct_text(relation.restrictions, statement.tokens, text) if has_direct else ""
    return f"define {relation.name.text}: {rewrite_text(relation.rewrite, direct, is_nested=False)}"


def _condition_text(condition: Condition, statement: _Statement, text: str) -> str:
    opening = next(token for token in statement.tokens if token.kind == "LBRACE")
    # The body is CEL and taken as it is; only the space around it is ours.
    body = text[opening.end : statement.tokens[-1].start].strip()
    inside = f"  {body}\n" if body else ""
    return f"condition {condition.name.text}({parameters_text(condition.parameters)}) {{\n{inside}}}"


def _lines_above(statement: _Statement, previous: str) -> list[str]:
    """Return the comments before a statement and the blank lines that belong there."""
    if statement.kind in _TIGHT:
        return [line for line in statement.above if line]
    lines = _single_blanks(statement.above)
    if lines and not lines[0] and previous in ("", "RELATIONS"):
        return lines[1:]
    is_apart = statement.kind in _APART and not (lines and not lines[0])
    return ["", *lines] if is_apart else lines


def _single_blanks(lines: Sequence[str]) -> list[str]:
    """Return the lines with at most one empty line in a row."""
    return [line for index, line in enumerate(lines) if line or index == 0 or lines[index - 1]]


def _statements(text: str) -> tuple[list[_Statement], list[str]]:
    """Return the statements, and the comments after the last one."""
    statements: list[_Statement] = []
    end = 0
    for tokens in _split(lex(text).tokens):
        behind, *above = _gap(text[end : tokens[0].start])
        if statements:
            statements[-1].behind = behind
        elif behind:
            above.insert(0, behind)
        # What precedes a statement on its own line is indentation.
        statements.append(_Statement(tokens, above[:-1]))
        end = tokens[-1].end
    statements[-1].behind, *rest = _gap(text[end:])
    return statements, rest


def _gap(text: str) -> list[str]:
    """Return the lines between two statements: what ends the first one's line, comments and empty lines."""
    return [line.strip() for line in text.split("\n")]


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each statement, without space at its ends."""
    depth = 0
    current: list[Token] = []
    for token in tokens:
        depth += (token.kind in ("LBRACKET", "LBRACE")) - (token.kind in ("RBRACKET", "RBRACE"))
        if token.kind == "EOF" or (token.kind == "NEWLINE" and depth == 0):
            if current:
                yield current
            current = []
        elif current or token.kind not in _SPACE:
            current.append(token)
