"""Syntax errors in words that a person who writes models understands.

Called by `find`. Says what was found, what could have stood there, and, for the mistakes that people make, what to do
about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.lexer import CONTAINER_TYPES, SCALAR_TYPES, SYMBOLS

if TYPE_CHECKING:
    from schema_dsl.lexer import Token
    from schema_dsl.recovery.strategy import Finding

_NAME_KINDS = frozenset({"IDENTIFIER", "MODEL", "SCHEMA", "TYPE", "RELATION", "MODULE", "EXTEND"})
# Where more could stand, as inside a condition, an enumeration says nothing.
_MOST_KINDS = 8
_OPERATORS = frozenset({"OR", "AND", "BUT_NOT"})
_DESCRIPTIONS = {
    "NEWLINE": "a new line",
    "WHITESPACE": "a space",
    "IDENTIFIER": "a name",
    "EXTENDED_IDENTIFIER": "a name with `.` or `/`",
    "SCHEMA_VERSION": "a schema version such as `1.1`",
    "PARAM_TYPE": f"a type ({', '.join(SCALAR_TYPES)})",
    "PARAM_CONTAINER": " or ".join(f"`{word}<...>`" for word in sorted(CONTAINER_TYPES)),
    "EOF": "the end of the text",
    "HASH": "`#`",
    "BUT_NOT": "`but not`",
} | {kind: f"`{symbol}`" for symbol, kind in SYMBOLS.items() if symbol != "#"}


def explain(tokens: list[Token], finding: Finding) -> str:
    """Return the message for one finding."""
    token = tokens[finding.token]
    following = tokens[min(finding.token + 1, len(tokens) - 1)]
    hint = _hint(tokens, finding, token, following)
    expected = describe_kinds(finding.expected, found=token.kind)
    found = _found(token, following)
    if finding.how == "missing" and expected:
        text = f"missing {expected} before {found}"
    else:
        text = f"unexpected {found}" + (f", expected {expected}" if expected else "")
    return f"{text}: {hint}" if hint else text


def explain_characters(text: str) -> str:
    """Return the message for characters that are no part of the language."""
    if text == "\n":
        return "unexpected end of the line: the name and parameters of a condition stand on one line"
    if text[:1] in "\"'" or text[1:2] in ('"', "'"):
        return f"text {_quoted(text)} is never closed"
    return f"unexpected {_quoted(text)}: the modelling language has no such character here"


def describe_kinds(kinds: frozenset[str], *, found: str = "") -> str:
    """Return an enumeration of token kinds, names first; what may always stand there and helps nobody is left out."""
    rest = set(kinds)
    words: list[str] = []
    if "IDENTIFIER" in rest:
        words.append("a name")
        rest -= _NAME_KINDS | {"EXTENDED_IDENTIFIER", "NEWLINE"}
    if rest & {"MODEL", "TYPE", "DEFINE", "NEWLINE"}:
        rest.discard("HASH")
    if "MODEL" in rest:
        rest.discard("NEWLINE")
    if len(rest) + len(words) > 1 and found != "NEWLINE":
        rest.discard("WHITESPACE")
    if len(rest) <= _MOST_KINDS:
        described = (_DESCRIPTIONS.get(kind, f"`{kind.lower()}`") for kind in rest)
        words.extend(sorted(described, key=lambda word: (word.startswith("`"), word)))
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _found(token: Token, following: Token) -> str:
    if token.kind == "EOF":
        return "end of the text"
    if token.kind == "NEWLINE":
        return "end of the line"
    if token.kind == "WHITESPACE":
        return f"space before {_found(following, following)}" if following.kind != "WHITESPACE" else "space"
    return _quoted(token.text)


def _quoted(text: str) -> str:
    line = text.strip("\r\n").split("\n", 1)[0]
    return f"`{line if len(line) <= 40 else line[:37] + '...'}`"


def _hint(tokens: list[Token], finding: Finding, token: Token, following: Token) -> str:
    """Return what to do about a mistake that is often made, or nothing."""
    if token.kind in _OPERATORS or (token.kind == "WHITESPACE" and following.kind in _OPERATORS):
        if "NEWLINE" in finding.expected or "RPAREN" in finding.expected:
            return "operators on one level need parentheses, and `but not` takes one operand"
        return "an operator stands between two operands"
    before = tokens[finding.token - 1] if finding.token else token
    if token.kind in ("NEWLINE", "EOF") and before.kind in _OPERATORS | {"FROM", "WITH"}:
        return f"{_quoted(before.text)} needs {'a condition' if before.kind == 'WITH' else 'a relation'} behind it"
    if token.kind == "LBRACKET" and "IDENTIFIER" in finding.expected:
        return "direct type restrictions come first in a definition"
    if token.text == "as" and "COLON" in finding.expected:
        return "`define name as ...` is schema 1.0, write `define name: ...`"
    if token.kind == "DEFINE" and finding.how == "no alternative":
        return "`define` belongs under a line `relations`"
    if token.kind == "MODULE" and finding.token > 0:
        return "a file is a model or a module, not both"
    if token.kind == "TYPE" and any(earlier.kind == "CONDITION" for earlier in tokens[: finding.token]):
        return "conditions come after all types"
    if (
        token.kind in ("AND", "OR", "FROM", "WITH", "IN", "DEFINE", "RELATIONS", "CONDITION")
        and "IDENTIFIER" in finding.expected
    ):
        return f"`{token.text}` is a word of the language and no name"
    return ""
