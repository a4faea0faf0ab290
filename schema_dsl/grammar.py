"""The parser generated from grammar.lark, built once; its rules become the tree of `nodes` bottom up.

Called by `parser` alone.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from lark import Lark, Transformer
from lark import Token as LarkToken
from lark.lexer import Lexer

from schema_dsl import nodes
from schema_dsl.nodes import Name, Span, spanning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schema_dsl.lexer import Token
    from schema_dsl.source import Source

# Terminals that mean something; the parser drops all others, which an underscore marks.
_WORDS = {"MODEL", "MODULE", "SCHEMA", "TYPE", "RELATION", "EXTEND", "IDENTIFIER", "EXTENDED_IDENTIFIER"}
_OTHERS = {"SCHEMA_VERSION", "STAR", "LBRACKET", "RBRACKET", "EXPRESSION", "PARAM_TYPE", "PARAM_CONTAINER"}
_MEANING = frozenset(_WORDS | _OTHERS)


class _FoldedTokens(Lexer):
    """Hands folded tokens, with their places, to the generated parser."""

    def __init__(self, lexer_conf: object) -> None:
        del lexer_conf

    def lex(self, data: tuple[Source, Sequence[Token]]) -> Iterator[LarkToken]:  # type: ignore[override]
        source, tokens = data
        for kind, text, start, end in tokens:
            if kind not in _MEANING:
                yield LarkToken(f"_{kind}", text, start)
                continue
            place = source.place
            (line, column), (end_line, end_column) = place(start), place(end)
            yield LarkToken(kind, text, start, line, column, end_line, end_column, end)


def _span(token: LarkToken) -> Span:
    return Span(token.line or 0, token.column or 0, token.end_line or 0, token.end_column or 0)


def _name(token: LarkToken) -> Name:
    return Name(str(token), _span(token))


class _TreeBuilder(Transformer[LarkToken, nodes.Model]):
    """One method per rule of the grammar; each gets the values of its parts."""

    def start(self, parts: list[Any]) -> nodes.Model:
        schema, module = parts[0]
        types = tuple(part for part in parts if isinstance(part, nodes.TypeDef))
        return nodes.Model(schema, module, types, tuple(part for part in parts if isinstance(part, nodes.Condition)))

    def model_header(self, parts: list[Any]) -> tuple[Name, None]:
        return _name(parts[1]), None

    def module_header(self, parts: list[Any]) -> tuple[None, Name]:
        return None, _name(parts[1])

    def typedef(self, parts: list[Any]) -> nodes.TypeDef:
        return nodes.TypeDef(_name(parts[0]), *parts[1:])

    def extension(self, parts: list[Any]) -> nodes.TypeDef:
        return nodes.TypeDef(_name(parts[1]), parts[2] if len(parts) > 2 else (), is_extension=True)

    def relations(self, parts: list[Any]) -> tuple[nodes.Relation, ...]:
        return tuple(parts)

    def relation(self, parts: list[Any]) -> nodes.Relation:
        name, rewrite = parts
        return nodes.Relation(_name(name), rewrite, nodes.restrictions_of(rewrite))

    def group(self, parts: list[Any]) -> nodes.Rewrite:
        return parts[0]  # type: ignore[no-any-return]

    def union(self, parts: list[Any]) -> nodes.Union:
        return nodes.Union(tuple(parts))

    def intersection(self, parts: list[Any]) -> nodes.Intersection:
        return nodes.Intersection(tuple(parts))

    def exclusion(self, parts: list[Any]) -> nodes.Exclusion:
        return nodes.Exclusion(*parts)

    def computed(self, parts: list[Any]) -> nodes.Computed:
        name = _name(parts[0])
        return nodes.Computed(name, name.span)

    def tuple_to_userset(self, parts: list[Any]) -> nodes.TupleToUserset:
        computed, tupleset = (_name(part) for part in parts)
        return nodes.TupleToUserset(computed, tupleset, spanning(_span(parts[0]), _span(parts[1])))

    def direct(self, parts: list[Any]) -> nodes.Direct:
        return nodes.Direct(tuple(parts[1:-1]), spanning(_span(parts[0]), _span(parts[-1])))

    def restriction(self, parts: list[Any]) -> nodes.Restriction:
        found = dict(parts[1:])
        end = parts[0] if len(parts) == 1 else list(found.values())[-1]
        return nodes.Restriction(
            _name(parts[0]),
            _name(found["userset"]) if "userset" in found else None,
            "wildcard" in found,
            _name(found["condition"]) if "condition" in found else None,
            spanning(_span(parts[0]), _span(end)),
        )

    def wildcard(self, parts: list[Any]) -> tuple[str, LarkToken]:
        return "wildcard", parts[0]

    def userset(self, parts: list[Any]) -> tuple[str, LarkToken]:
        return "userset", parts[0]

    def condition_use(self, parts: list[Any]) -> tuple[str, LarkToken]:
        return "condition", parts[0]

    def condition(self, parts: list[Any]) -> nodes.Condition:
        name, parameters, expression = parts
        return nodes.Condition(_name(name), parameters, str(expression))

    def parameters(self, parts: list[Any]) -> tuple[nodes.Parameter, ...]:
        return tuple(parts)

    def parameter(self, parts: list[Any]) -> nodes.Parameter:
        name, kind = parts
        container, generic = kind if isinstance(kind, tuple) else (str(kind), None)
        return nodes.Parameter(_name(name), container, generic)

    def container(self, parts: list[Any]) -> tuple[str, str]:
        return str(parts[0]), str(parts[1])


@cache
def generated_parser() -> Lark:
    """Return the LALR parser.

    Its `parse((source, folded tokens))` gives a `nodes.Model` or raises lark's `UnexpectedInput`.
    """
    return Lark.open("grammar.lark", rel_to=__file__, parser="lalr", lexer=_FoldedTokens, transformer=_TreeBuilder())
