"""Random models and sources for property tests. Used by the tests of this folder."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from schema_dsl.lexer import KEYWORDS, SCALAR_TYPES

Json = dict[str, Any]

_RESERVED = (set(KEYWORDS) - {"model", "schema", "type", "relation", "module", "extend"}) | {"self", "this"}
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}([./][A-Za-z0-9_]{1,4})?", fullmatch=True).filter(
    lambda name: name not in _RESERVED and not re.search(r"-([./]|$)|--", name)
)
words = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda word: word not in KEYWORDS and word not in (*SCALAR_TYPES, "map", "list")
)
expressions = st.sampled_from(
    [
        "x < 100",
        'x == "{}"',
        "m == {'a': {'b': 1}}",
        "a &&\n  b",
        's == "a #b"',
        "x in [1, 2.5, 3u]",
        'r"\\d" == y',
        "true",
    ]
)


@st.composite
def models(draw: st.DrawFn) -> Json:
    """A JSON model that the modelling language can write; its references need not make sense."""
    condition_names = draw(st.lists(words, max_size=2, unique=True))
    type_names = draw(st.lists(names, max_size=4, unique=True))
    model: Json = {
        "schema_version": draw(st.sampled_from(["1.1", "1.2"])),
        "type_definitions": [draw(type_definitions(name, condition_names)) for name in type_names],
    }
    if condition_names:
        model["conditions"] = {name: draw(conditions(name)) for name in condition_names}
    return model


@st.composite
def type_definitions(draw: st.DrawFn, name: str, condition_names: list[str]) -> Json:
    """A type with up to four relations."""
    relations: Json = {}
    metadata: Json = {}
    for relation in draw(st.lists(names, max_size=4, unique=True)):
        users = draw(st.lists(restrictions(condition_names), max_size=3))
        relations[relation] = draw(rewrites(depth=draw(st.integers(0, 3)), may_be_direct=bool(users)))
        uses_direct = "'this'" in repr(relations[relation])
        metadata[relation] = {"directly_related_user_types": users if uses_direct else []}
    definition: Json = {"type": name, "relations": relations}
    return definition | ({"metadata": {"relations": metadata}} if metadata else {})


@st.composite
def restrictions(draw: st.DrawFn, condition_names: list[str]) -> Json:
    """A direct type restriction of any of the six forms."""
    user: Json = {"type": draw(names)}
    form = draw(st.sampled_from(["object", "userset", "wildcard"]))
    if form == "userset":
        user["relation"] = draw(names)
    if form == "wildcard":
        user["wildcard"] = {}
    if condition_names and draw(st.booleans()):
        user["condition"] = draw(st.sampled_from(condition_names))
    return user


@st.composite
def rewrites(draw: st.DrawFn, *, depth: int, may_be_direct: bool) -> Json:
    """A rewrite with direct assignment first or not at all."""
    if depth == 0:
        if may_be_direct and draw(st.booleans()):
            return {"this": {}}
        computed = {"relation": draw(names)}
        if draw(st.booleans()):
            return {"computedUserset": computed}
        return {"tupleToUserset": {"tupleset": {"relation": draw(names)}, "computedUserset": computed}}
    first = draw(rewrites(depth=depth - 1, may_be_direct=may_be_direct))
    count = draw(st.integers(1, 2))
    others = [draw(rewrites(depth=draw(st.integers(0, depth - 1)), may_be_direct=False)) for _ in range(count)]
    kind = draw(st.sampled_from(["union", "intersection", "difference"]))
    if kind == "difference":
        return {"difference": {"base": first, "subtract": others[0]}}
    return {kind: {"child": [first, *others]}}


@st.composite
def conditions(draw: st.DrawFn, name: str) -> Json:
    """A condition with one to three parameters."""
    parameters: Json = {}
    for parameter in draw(st.lists(words, min_size=1, max_size=3, unique=True)):
        scalar = {"type_name": f"TYPE_NAME_{draw(st.sampled_from(SCALAR_TYPES)).upper()}"}
        container = draw(st.sampled_from([None, "LIST", "MAP"]))
        parameters[parameter] = (
            {"type_name": f"TYPE_NAME_{container}", "generic_types": [scalar]} if container else scalar
        )
    return {"name": name, "expression": draw(expressions), "parameters": parameters}


_PIECE = re.compile(r"but not|[A-Za-z_][\w.-]*|\n *| +|.")
_VOCABULARY = [*KEYWORDS, *"[](){}<>:,#*@=é ", "\n", "but not", "user", "a.b", "1.1", '"s"', "//", "as", "map", "int"]


@st.composite
def damaged(draw: st.DrawFn, sources: list[str]) -> str:
    """One of the sources with one to three words left out, doubled, put in or exchanged."""
    pieces = _PIECE.findall(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(pieces) - 1))
        change = draw(st.sampled_from(["delete", "insert", "replace", "double"]))
        word = pieces[index] if change == "double" else draw(st.sampled_from(_VOCABULARY))
        pieces[index : index + (change in ("delete", "replace"))] = [] if change == "delete" else [word]
        pieces = pieces or ["type"]
    return "".join(pieces).rstrip()
