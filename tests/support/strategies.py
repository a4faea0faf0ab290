"""Random models, tuples and questions for property tests. Small names, so that things meet."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from authz.errors import InvalidModel
from authz.model.compile import CompiledModel, compile_model
from authz.tuples import RelationshipCondition, RelationshipTuple

TYPES = ("user", "group", "folder", "doc")
RELATIONS = ("parent", "r0", "r1", "r2", "r3")
IDS = ("1", "2", "3")

CONDITIONS: dict[str, Any] = {
    "c_flag": {"name": "c_flag", "expression": "flag", "parameters": {"flag": {"type_name": "TYPE_NAME_BOOL"}}},
    "c_size": {
        "name": "c_size",
        "expression": "x > 10 && y",
        "parameters": {"x": {"type_name": "TYPE_NAME_INT"}, "y": {"type_name": "TYPE_NAME_BOOL"}},
    },
}


def naive_condition(name: str, context: dict[str, Any]) -> bool | None:
    """What the two conditions mean, written without CEL."""
    if name == "c_flag":
        return context.get("flag")
    if "x" not in context or "y" not in context:
        return None
    return context["x"] > 10 and context["y"]


class Scenario(NamedTuple):
    """A valid model in JSON and compiled form, with tuples that it allows."""

    body: dict[str, Any]
    model: CompiledModel
    tuples: tuple[RelationshipTuple, ...]


contexts = st.one_of(
    st.just({}),
    st.fixed_dictionaries({}, optional={"flag": st.booleans(), "x": st.sampled_from([5, 20]), "y": st.booleans()}),
)


def _leaf(draw: st.DrawFn, *, direct: bool) -> dict[str, Any]:
    options = ["computed", "computed", "ttu"] + ["this"] * (2 if direct else 0)
    match draw(st.sampled_from(options)):
        case "this":
            return {"this": {}}
        case "computed":
            return {"computedUserset": {"relation": draw(st.sampled_from(RELATIONS[1:]))}}
        case _:
            computed = draw(st.sampled_from(RELATIONS[1:]))
            return {"tupleToUserset": {"tupleset": {"relation": "parent"}, "computedUserset": {"relation": computed}}}


def _rewrite(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    shape = draw(st.sampled_from(["leaf", "leaf", "union", "union", "intersection", "difference"]))
    if depth == 0 or shape == "leaf":
        return _leaf(draw, direct=True)
    if shape == "difference":
        return {"difference": {"base": _rewrite(draw, depth - 1), "subtract": _rewrite(draw, depth - 1)}}
    children = [_rewrite(draw, depth - 1) for _ in range(draw(st.integers(2, 3)))]
    return {shape: {"child": children}}


def _restriction(draw: st.DrawFn) -> dict[str, Any]:
    reference: dict[str, Any] = {"type": draw(st.sampled_from(TYPES))}
    match draw(st.sampled_from(["object", "object", "userset", "userset", "wildcard"])):
        case "userset" if reference["type"] != "user":
            reference["relation"] = draw(st.sampled_from(RELATIONS[1:]))
        case "wildcard":
            reference["wildcard"] = {}
    condition = draw(st.sampled_from(["", "", "", "c_flag", "c_size"]))
    return {**reference, "condition": condition} if condition else reference


def _mentions_this(rewrite: dict[str, Any]) -> bool:
    ((operator, operand),) = rewrite.items()
    if operator == "difference":
        return _mentions_this(operand["base"]) or _mentions_this(operand["subtract"])
    return operator == "this" or any(_mentions_this(child) for child in operand.get("child", ()))


def _definition(draw: st.DrawFn, type_: str) -> dict[str, Any]:
    parents = draw(st.lists(st.sampled_from(TYPES[1:]), min_size=1, max_size=2, unique=True))
    relations: dict[str, Any] = {"parent": {"this": {}}}
    conditional = draw(st.sampled_from(["", "c_flag"]))
    parent_references = [{"type": parent} | ({"condition": conditional} if conditional else {}) for parent in parents]
    metadata: dict[str, Any] = {"parent": {"directly_related_user_types": parent_references}}
    for relation in RELATIONS[1:]:
        relations[relation] = _rewrite(draw, draw(st.integers(0, 2)))
        if _mentions_this(relations[relation]):
            references = [_restriction(draw) for _ in range(draw(st.integers(1, 4)))]
            metadata[relation] = {"directly_related_user_types": references}
    return {"type": type_, "relations": relations, "metadata": {"relations": metadata}}


@st.composite
def models(draw: st.DrawFn) -> tuple[dict[str, Any], CompiledModel]:
    """A valid model. Relations that break a rule are replaced by plain direct ones until the model is valid."""
    definitions = [{"type": "user"}, *(_definition(draw, type_) for type_ in TYPES[1:])]
    body = {"schema_version": "1.1", "type_definitions": definitions, "conditions": CONDITIONS}
    while True:
        try:
            return body, compile_model("MODEL", body)
        except InvalidModel as error:
            _mend(definitions, error.message)


def _mend(definitions: list[dict[str, Any]], message: str) -> None:
    for definition in definitions[1:]:
        for relation in RELATIONS[1:]:
            if message.startswith(f"relation `{definition['type']}#{relation}` "):
                definition["relations"][relation] = {"this": {}}
                definition["metadata"]["relations"][relation] = {"directly_related_user_types": [{"type": "user"}]}
                return
    raise AssertionError(message)


@st.composite
def tuples_of(draw: st.DrawFn, model: CompiledModel, max_size: int = 25) -> tuple[RelationshipTuple, ...]:
    """Tuples that the model allows, with unique keys. Often of few shapes, so that they form chains and circles."""
    allowed = sorted(model.allowed)
    if draw(st.booleans()):
        allowed = draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=5))
    found: dict[Any, RelationshipTuple] = {}
    for type_, relation, kind, condition in draw(st.lists(st.sampled_from(allowed), max_size=max_size)):
        user = f"{kind.type}:{'*' if kind.wildcard else draw(st.sampled_from(IDS))}"
        tuple_ = RelationshipTuple(
            f"{type_}:{draw(st.sampled_from(IDS))}",
            relation,
            f"{user}#{kind.relation}" if kind.relation else user,
            RelationshipCondition(condition, draw(contexts)) if condition else None,
        )
        if condition:
            keep = set(model.conditions[condition].parameters)
            context = {key: value for key, value in tuple_.condition.context.items() if key in keep}
            tuple_ = tuple_._replace(condition=RelationshipCondition(condition, context))
        found[tuple_.key] = tuple_
    return tuple(found.values())


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A model with tuples."""
    body, model = draw(models())
    return Scenario(body, model, draw(tuples_of(model)))


def objects() -> st.SearchStrategy[str]:
    """An object of any type but user."""
    return st.builds(lambda type_, id_: f"{type_}:{id_}", st.sampled_from(TYPES[1:]), st.sampled_from(IDS))


def users() -> st.SearchStrategy[str]:
    """An object, a userset or a typed wildcard."""
    plain = st.builds(lambda type_, id_: f"{type_}:{id_}", st.sampled_from(TYPES), st.sampled_from([*IDS, "9"]))
    usersets = st.builds(lambda name, relation: f"{name}#{relation}", objects(), st.sampled_from(RELATIONS))
    wildcards = st.sampled_from([f"{type_}:*" for type_ in TYPES])
    return st.one_of(plain, plain, usersets, wildcards)
