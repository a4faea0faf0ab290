"""Text to tree, or the list of what is wrong with its syntax.

Called by the package's functions and by `modules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lark.exceptions import UnexpectedToken

from schema_dsl.declarations import declaration_errors
from schema_dsl.errors import DslSyntaxError
from schema_dsl.grammar import generated_parser
from schema_dsl.layout import fold
from schema_dsl.lexer import lex
from schema_dsl.recovery.find import find_errors, first_error
from schema_dsl.source import Source, normalized

if TYPE_CHECKING:
    from schema_dsl.nodes import Model


def parse(text: str) -> Model:
    """Return the tree of a model or module source.

    Raises:
        DslSyntaxError: when the text is not in the language; its `errors` are all that were found, in order.
    """
    source = Source(normalized(text))
    lexed = lex(source.text)
    refused_at = None
    model = None
    if not lexed.errors:
        try:
            model = cast("Model", generated_parser().parse((source, fold(lexed.tokens))))
        except UnexpectedToken as refused:
            refused_at = None if refused.token.type == "$END" else refused.token.start_pos
    if model is None:
        raise DslSyntaxError(find_errors(source, lexed) or [first_error(source, lexed, refused_at)])
    if errors := declaration_errors(model):
        raise DslSyntaxError(errors)
    return model
