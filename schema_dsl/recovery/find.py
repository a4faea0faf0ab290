"""Every syntax error of a text, placed and worded.

Called by `parser` when the text is not in the language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema_dsl.errors import DslError, Range
from schema_dsl.recovery.strategy import Finding
from schema_dsl.recovery.walker import walk
from schema_dsl.recovery.wording import explain, explain_characters

if TYPE_CHECKING:
    from schema_dsl.lexer import Lexed, LexicalError, Token
    from schema_dsl.source import Source

# Finding every error looks ahead again and again; a text beyond these sizes gets its first error only.
_MOST_TOKENS = 20_000
_MOST_NESTING = 100
_MOST_ERRORS = 100


def find_errors(source: Source, lexed: Lexed) -> list[DslError]:
    """Return the syntax errors in the order of their discovery; none when the text is too long or nested too deeply."""
    if len(lexed.tokens) > _MOST_TOKENS or _nesting(lexed.tokens) > _MOST_NESTING:
        return []
    errors: list[DslError] = []
    waiting = list(reversed(lexed.errors))

    def fetch(index: int) -> None:
        while waiting and waiting[-1].after <= index:
            errors.append(_characters_error(source, waiting.pop()))

    def report(finding: Finding) -> None:
        errors.append(_token_error(source, lexed.tokens[finding.token], explain(lexed.tokens, finding)))

    walk(lexed.tokens, report, fetch)
    fetch(len(lexed.tokens))
    return errors[:_MOST_ERRORS]


def first_error(source: Source, lexed: Lexed, offset: int | None) -> DslError:
    """Return the one error that is known without a search: characters of no token, or a token refused at an offset."""
    if lexed.errors:
        return _characters_error(source, lexed.errors[0])
    tokens = lexed.tokens
    index = next((number for number, token in enumerate(tokens) if token.start >= (offset or 0)), len(tokens) - 1)
    index = len(tokens) - 1 if offset is None else index
    if index and tokens[index - 1].kind == "LBRACE":
        return _token_error(source, tokens[index - 1], "`{` is never closed: braces of a condition must match")
    return _token_error(source, tokens[index], explain(tokens, Finding("mismatched", index, frozenset())))


def _token_error(source: Source, token: Token, message: str) -> DslError:
    """Return an error about a token; its columns are those of the token's text, counted on from its first character."""
    line, column = source.place(token.start)
    columns = Range(column, column + len(token.text))
    return DslError(message, Range(line, line), columns, {"symbol": token.text})


def _characters_error(source: Source, error: LexicalError) -> DslError:
    line, column = source.place(error.start)
    return DslError(explain_characters(error.text), Range(line, line), Range(column, column), {"symbol": error.text})


def _nesting(tokens: list[Token]) -> int:
    """Return how deep parentheses are nested at most on one line; they never reach over several."""
    depth = deepest = 0
    for token in tokens:
        if token.kind == "NEWLINE":
            depth = 0
        depth += (token.kind == "LPAREN") - (token.kind == "RPAREN")
        deepest = max(deepest, depth)
    return deepest
