"""Text to tokens: words, whitespace, line breaks, comments, and the tokens of CEL inside conditions.

Called by `parser` (through `layout`) and by `recovery`; both see the same tokens, so both agree on what is there.
Matching is longest-first like in the published lexer of the language; a comment belongs to the line break that ends
it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# A `#` opens a comment at the start of a line or after whitespace; elsewhere it joins names (`group#member`).
_COMMENT = r"(?:(?<!\S)\#[^\n]*)"
_ESCAPE = r"\\(?:[abfnrtv\"'\\?`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"
_STRING = (
    rf"[rR]\"\"\"[\s\S]*?\"\"\"|[rR]'''[\s\S]*?'''|[rR]\"[^\"\n]*\"|[rR]'[^'\n]*'"
    rf"|\"\"\"(?:{_ESCAPE}|[^\\])*?\"\"\"|'''(?:{_ESCAPE}|[^\\])*?'''"
    rf"|\"(?:{_ESCAPE}|[^\\\"\n])*\"|'(?:{_ESCAPE}|[^\\'\n])*'"
)
_MODEL_TOKEN = re.compile(
    rf"""
    (?P<NEWLINE>(?:[ \t\f]*{_COMMENT}?\n)+[ \t\f]*(?:\#[^\n]*\Z)?)
    |(?P<END>[ \t\f]*{_COMMENT}?\Z)
    |(?P<WHITESPACE>[ \t\f]+)
    |(?P<BYTES>[bB](?:{_STRING}))
    |(?P<STRING>{_STRING})
    |(?P<BUT_NOT>but\ not)
    |(?P<WORD>[A-Za-z_][A-Za-z0-9_\-]*)
    |(?P<NUMBER>0x[0-9a-fA-F]+[uU]?|\d+\.\d+(?:[eE][+\-]?\d+)?|\d+[eE][+\-]?\d+|\.\d+(?:[eE][+\-]?\d+)?|\d+[uU]?)
    |(?P<CEL_COMMENT>//[^\n]*)
    |(?P<SYMBOL>==|!=|<=|>=|&&|\|\||[\#:,<>\[\]{{}}().\-!?+*/%])
    """,
    re.VERBOSE,
)
_CONDITION_TOKEN = re.compile(
    rf"""
    (?P<END>[ \t\f]*{_COMMENT}|[ \t\f]+(?=\n|\Z))
    |(?P<WHITESPACE>[ \t\f]+)
    |(?P<WORD>[A-Za-z_][A-Za-z0-9_\-]*)
    |(?P<SYMBOL>[:,<>()])
    """,
    re.VERBOSE,
)
_EXTENDED = re.compile(r"[A-Za-z_](?:[/.\-]?[A-Za-z0-9_]+)*+")
_SCHEMA_VERSION = re.compile(r"\d+\.\d+")
# What the longest failed attempt at a token swallows: the failing character goes with it.
_BROKEN = re.compile(rf"(?:\"(?:{_ESCAPE}|[^\\\"\n])*|'(?:{_ESCAPE}|[^\\'\n])*)(?:\\?[\s\S]|\Z)|[=&|]?[\s\S]")
_COMMENT_IN_BREAK = re.compile(r"[ \t\f]*(?:#[^\n]*)?(?=\n)|#[^\n]*\Z")

_WORDS = "and or from with module model schema extend type condition relations relation define in true false null"
KEYWORDS = {word: word.upper() for word in _WORDS.split()}
SYMBOLS = {
    "#": "HASH", ":": "COLON", ",": "COMMA", "*": "STAR", "<": "LESS", ">": "GREATER", "[": "LBRACKET", "]": "RBRACKET",
    "{": "LBRACE", "}": "RBRACE", "(": "LPAREN", ")": "RPAREN",
}  # fmt: skip
SCALAR_TYPES = ("bool", "string", "int", "uint", "double", "duration", "timestamp", "ipaddress")
CONTAINER_TYPES = ("map", "list")
_PARAMETER_WORDS = dict.fromkeys(SCALAR_TYPES, "PARAM_TYPE") | dict.fromkeys(CONTAINER_TYPES, "PARAM_CONTAINER")


class Token(NamedTuple):
    """One token: its kind, its text without comments, and where it stands in the source (offsets)."""

    kind: str
    text: str
    start: int
    end: int


class LexicalError(NamedTuple):
    """Text that is no token, and how many tokens come before it."""

    text: str
    start: int
    after: int


class Lexed(NamedTuple):
    """All tokens, ending with EOF, and the stretches of text that are no tokens."""

    tokens: list[Token]
    errors: list[LexicalError]


def lex(text: str) -> Lexed:
    """Split a normalized model source into tokens.

    CEL comments are left out; a broken stretch is skipped and noted.
    """
    tokens: list[Token] = []
    errors: list[LexicalError] = []
    # After `condition`, until the closing parenthesis, parameter types are words of their own.
    depth = 0
    position = blank_start = blank_end = 0
    while position < len(text):
        match = (_CONDITION_TOKEN if depth else _MODEL_TOKEN).match(text, position)
        if match is None:
            end = _after_broken(text, position, in_condition=depth > 0)
            # A line break among parameters counts from where the text of its line ends, like any other.
            start = blank_start if blank_end == position else position
            errors.append(LexicalError(text[position:end], start, len(tokens)))
            position = end
            continue
        kind, end = _classify(text, match, in_condition=depth > 0)
        depth += (kind == "CONDITION") - (kind == "RPAREN" and depth > 0)
        if kind == "END":
            blank_start, blank_end = position, end
        elif kind != "CEL_COMMENT":
            value = text[position:end]
            tokens.append(Token(kind, _COMMENT_IN_BREAK.sub("", value) if kind == "NEWLINE" else value, position, end))
        position = end
    end = _end_of_text(text, tokens, errors)
    tokens.append(Token("EOF", "<EOF>", end, end))
    return Lexed(tokens, errors)


def _after_broken(text: str, position: int, *, in_condition: bool) -> int:
    broken = None if in_condition else _BROKEN.match(text, position)
    return broken.end() if broken else position + 1


def _classify(text: str, match: re.Match[str], *, in_condition: bool) -> tuple[str, int]:
    """Return the exact kind of a match and its end, which an extended identifier moves on."""
    kind, end = match.lastgroup or "", match.end()
    if kind == "SYMBOL":
        return SYMBOLS.get(match.group(), "CEL"), end
    if kind == "NUMBER":
        return ("SCHEMA_VERSION" if _SCHEMA_VERSION.fullmatch(match.group()) else "CEL"), end
    if kind in ("STRING", "BYTES"):
        return "CEL", end
    if kind != "WORD":
        return kind, end
    if in_condition:
        return _PARAMETER_WORDS.get(match.group(), "IDENTIFIER"), end
    if text[end : end + 1] in ("/", "."):
        extended = _EXTENDED.match(text, match.start())
        if extended is not None and extended.end() > end:
            return "EXTENDED_IDENTIFIER", extended.end()
    return KEYWORDS.get(match.group(), "IDENTIFIER"), end


def _end_of_text(text: str, tokens: list[Token], errors: list[LexicalError]) -> int:
    """Return the offset of the end, not counting whitespace and comments after the last word of the last line."""
    broken = errors[-1].start + len(errors[-1].text) if errors else 0
    if not tokens or broken > tokens[-1].start:
        return broken
    return text.rfind("\n") + 1 if tokens[-1].kind == "NEWLINE" else tokens[-1].end
