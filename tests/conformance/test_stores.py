"""Sample stores: models (one of them modular), tuples and tests as authors write them hold on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schema_dsl import combine_modules, dsl_to_json, parse_mod
from tests.conformance.client import Json, Question
from tests.conformance.data import files, needs_data, read_yaml, with_ids
from tests.conformance.judge import Judge

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.mark import ParameterSet

    from tests.conformance.client import RemoteStore
    from tests.conformance.conftest import NewStore

pytestmark = needs_data


def _tests() -> list[ParameterSet]:
    found: list[tuple[str, object]] = []
    for file in files("stores/**/*.fga.yaml"):
        content = read_yaml(file.read_text())
        name = f"{file.parent.name}/{file.name.removesuffix('.fga.yaml')}"
        found += [(f"{name}: {test.get('name', '')}", (file, content, test)) for test in content["tests"]]
    return with_ids(found)


@pytest.mark.parametrize("sample", _tests())
def test_store(sample: Any, new_store: NewStore) -> None:
    """The test's assertions hold over the store's tuples and its own."""
    file, content, test = sample
    store = new_store()
    store.write_model(_model(file.parent, content))
    store.write(_tuples(file.parent, content) + _tuples(file.parent, test))
    judge = Judge(f"stores/{file.parent.name}/{file.name}: {test.get('name', '')}")
    for check in test.get("check") or []:
        _check(store, judge, check)
    for listing in test.get("list_objects") or []:
        _list_objects(store, judge, listing)
    for listing in test.get("list_users") or []:
        _list_users(store, judge, listing)
    judge.verdict()


def _model(folder: Path, content: Json) -> Json:
    if "model" in content:
        return dsl_to_json(content["model"])
    file = folder / content["model_file"]
    if file.name != "fga.mod":
        return dsl_to_json(file.read_text())
    mod = parse_mod(file.read_text())
    names = [entry["value"] for entry in mod["contents"]["value"]]
    return combine_modules({name: (folder / name).read_text() for name in names}, mod["schema"]["value"])


def _tuples(folder: Path, content: Json) -> list[Json]:
    found = list(content.get("tuples") or [])
    named = [content["tuple_file"]] if "tuple_file" in content else []
    for name in [*named, *(content.get("tuple_files") or [])]:
        found += read_yaml((folder / name).read_text())
    return found


def _check(store: RemoteStore, judge: Judge, check: Json) -> None:
    for relation, expected in check["assertions"].items():
        key = {"user": check["user"], "relation": relation, "object": check["object"]}
        answer = store.check(key, Question(context=check.get("context")))
        judge.same(f"check {' '.join(key.values())} {check.get('context', '')}".rstrip(), expected, answer)


def _list_objects(store: RemoteStore, judge: Judge, listing: Json) -> None:
    for relation, expected in listing["assertions"].items():
        request = {"user": listing["user"], "relation": relation, "type": listing["type"]}
        answer = store.list_objects(request, Question(context=listing.get("context")))
        judge.same(f"list objects {' '.join(request.values())}", expected or [], answer)


def _list_users(store: RemoteStore, judge: Judge, listing: Json) -> None:
    (wanted,) = listing["user_filter"]
    filter_ = f"{wanted['type']}#{wanted['relation']}" if "relation" in wanted else wanted["type"]
    for relation, expected in listing["assertions"].items():
        answer = store.list_users(listing["object"], relation, filter_, Question(context=listing.get("context")))
        judge.same(f"list users {listing['object']} {relation} {filter_}", expected["users"] or [], answer)
