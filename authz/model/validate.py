"""The rules that make a model usable: names, references, tuplesets, cycles and entry points. Called by `model.compile`.

The rules are those of the public modelling language (schema 1.1 and 1.2). `schema_dsl` reports them with positions for
people who edit text; this module guards the service, whatever client wrote the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from authz.errors import InvalidModel
from authz.model.dependents import RelationKey, least_fixpoint
from authz.model.rewrite import Computed, Direct, Exclusion, Intersection, Rewrite, TupleToUserset, Union, leaves

if TYPE_CHECKING:
    from authz.model.compile import CompiledModel, Relation

RESERVED = ("self", "this")
_TYPE_NAME = re.compile(r"[^:#@*\s]{1,254}")
_RELATION_NAME = re.compile(r"[^:#@*\s]{1,50}")


def validate_model(model: CompiledModel) -> None:
    """Refuse a model that breaks a rule.

    Raises:
        InvalidModel: naming the type and relation, and what is wrong with it.

    """
    for type_, relations in model.types.items():
        _check_name(type_, "type", _TYPE_NAME)
        for relation in relations.values():
            _check_name(relation.name, f"relation of type `{type_}`", _RELATION_NAME)
            _check_references(model, relation)
            _check_restrictions(model, relation)
    for type_ in model.types:
        _check_no_cycles(model, type_)
    _check_entry_points(model)


def _check_name(name: str, what: str, pattern: re.Pattern[str]) -> None:
    if name in RESERVED:
        raise InvalidModel(f"`{name}` is reserved and cannot name a {what}")
    if not pattern.fullmatch(name):
        raise InvalidModel(f"`{name}` cannot name a {what}")


def _check_references(model: CompiledModel, relation: Relation) -> None:
    for leaf in leaves(relation.rewrite):
        match leaf:
            case Computed(name):
                _check_defined(model, relation, name)
                if name == relation.name:
                    raise InvalidModel(f"relation `{relation}` is defined by itself")
            case TupleToUserset(tupleset, computed):
                _check_defined(model, relation, tupleset)
                _check_tupleset(model, relation, tupleset, computed)


def _check_defined(model: CompiledModel, relation: Relation, name: str) -> None:
    if not model.has_relation(relation.type, name):
        raise InvalidModel(f"relation `{relation}` refers to relation `{relation.type}#{name}`, which is not defined")


def _check_tupleset(model: CompiledModel, relation: Relation, tupleset: str, computed: str) -> None:
    source = model.types[relation.type][tupleset]
    named = f"relation `{relation}` uses `{source}` as a tupleset"
    if not isinstance(source.rewrite, Direct):
        raise InvalidModel(f"{named}, which must be a direct relation")
    for restriction in source.restrictions:
        if restriction.user.relation or restriction.user.wildcard:
            raise InvalidModel(f"{named}, which cannot hold `{restriction.user}`: only objects")
    if not any(model.has_relation(restriction.user.type, computed) for restriction in source.restrictions):
        raise InvalidModel(f"{named}, but none of its types defines relation `{computed}`")


def _check_restrictions(model: CompiledModel, relation: Relation) -> None:
    if relation.is_assignable and not relation.restrictions:
        raise InvalidModel(f"relation `{relation}` is assignable but names no type of user")
    if relation.restrictions and not relation.is_assignable:
        raise InvalidModel(f"relation `{relation}` has type restrictions but is not assignable")
    for restriction in relation.restrictions:
        user = restriction.user
        if not model.has_type(user.type):
            raise InvalidModel(f"relation `{relation}` allows `{user}`, but type `{user.type}` is not defined")
        if user.relation and user.wildcard:
            raise InvalidModel(f"relation `{relation}` allows `{user.type}` both as a wildcard and with a relation")
        if user.relation and not model.has_relation(user.type, user.relation):
            raise InvalidModel(f"relation `{relation}` allows `{user}`, but that relation is not defined")
        if restriction.condition and restriction.condition not in model.conditions:
            raise InvalidModel(f"relation `{relation}` names condition `{restriction.condition}`, which is not defined")


def _check_no_cycles(model: CompiledModel, type_: str) -> None:
    """No relation may lead back to itself through computed relations alone: such a definition says nothing."""
    named = {
        name: [leaf.relation for leaf in leaves(relation.rewrite) if isinstance(leaf, Computed)]
        for name, relation in model.types[type_].items()
    }
    done: set[str] = set()
    for root, first in named.items():
        path: dict[str, Iterator[str]] = {} if root in done else {root: iter(first)}
        while path:
            name, following = next(reversed(path.items()))
            for successor in following:
                if successor in path:
                    raise InvalidModel(f"relation `{type_}#{successor}` is defined by itself through others: a cycle")
                if successor not in done:
                    path[successor] = iter(named[successor])
                    break
            else:
                done.add(name)
                del path[name]


def _check_entry_points(model: CompiledModel) -> None:
    """Every relation needs a way for a user to get it: the least fixpoint of "some tuple can lead here"."""
    open_ = least_fixpoint(model, lambda relation, held: _is_open(model, relation, relation.rewrite, held))
    for relations in model.types.values():
        for relation in relations.values():
            if (relation.type, relation.name) not in open_:
                raise InvalidModel(f"relation `{relation}` has no entry point: no user can ever have it")


def _is_open(model: CompiledModel, relation: Relation, rewrite: Rewrite, open_: set[RelationKey]) -> bool:
    match rewrite:
        case Direct(restrictions):
            return any(
                not entry.user.relation or (entry.user.type, entry.user.relation) in open_ for entry in restrictions
            )
        case Computed(name):
            return (relation.type, name) in open_
        case TupleToUserset(tupleset, computed):
            source = model.types[relation.type][tupleset]
            return any((restriction.user.type, computed) in open_ for restriction in source.restrictions)
        case Union(operands):
            return any(_is_open(model, relation, operand, open_) for operand in operands)
        case Intersection(operands):
            return all(_is_open(model, relation, operand, open_) for operand in operands)
        case Exclusion(base, subtract):
            return _is_open(model, relation, base, open_) and _is_open(model, relation, subtract, open_)
