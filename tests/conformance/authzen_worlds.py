"""Models and tuples for the scenarios of AuthZEN, made from what `interop_world.json` says. Used by `test_authzen`.

Roles that depend on properties are tuples with conditions: what the world knows of a subject stands with the tuple,
what the request says of the resource comes as `resource_NAME`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import yaml

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

TODO_MODEL = """
model
  schema 1.1
type user
  relations
    define system: [system]
    define can_read_user: anybody from system
type system
  relations
    define anybody: [user:*]
    define admin: [user]
    define evil_genius: [user]
    define editor: [user]
    define owning_editor: [user with is_owner]
type todo
  relations
    define system: [system]
    define can_read_todos: anybody from system
    define can_create_todo: editor from system or admin from system or evil_genius from system
    define can_update_todo: owning_editor from system or evil_genius from system
    define can_delete_todo: owning_editor from system or admin from system
condition is_owner(email: string, resource_ownerID: string) {
  email == resource_ownerID
}
"""
GATEWAY_MODEL = """
model
  schema 1.1
type identity
type route
  relations
    define GET: [identity:*]
    define POST: [identity]
    define PUT: [identity]
    define DELETE: [identity]
"""
SEARCH_MODEL = """
model
  schema 1.1
type user
type department
  relations
    define member: [user]
    define manager: [user]
type company
  relations
    define manager: [user]
type record
  relations
    define department: [department]
    define company: [company]
    define delete: [user]
    define edit: delete or manager from department
    define view: delete or member from department or manager from company
"""
_WRITING = frozenset({"editor", "admin", "evil_genius"})


class World(NamedTuple):
    """What a store holds while a scenario runs."""

    model: str
    tuples: list[Json]


def worlds(folder: Path) -> dict[str, World]:
    """The world of each file of cases, by the name of the file."""
    known = orjson.loads((folder / "interop_world.json").read_bytes())
    fixture = yaml.safe_load((folder / "certification_fixture.fga.yaml").read_text())
    search = _search(known["search"])
    return {
        "certification_cases": World(fixture["model"], fixture["tuples"]),
        "interop_todo": _todo(known["todo"], _resources(folder / "interop_todo.json")),
        "interop_gateway": _gateway(known["todo"]),
        "interop_search": search,
        "interop_idp": search,
    }


def _resources(path: Path) -> set[tuple[str, str]]:
    """Every resource that requests name: a relation to the system is needed for each."""
    found: set[tuple[str, str]] = set()
    for case in orjson.loads(path.read_bytes()):
        for part in (case["request"], *case["request"].get("evaluations", ())):
            if "resource" in part:
                found.add((part["resource"]["type"], part["resource"]["id"]))
    return found


def _todo(known: Json, resources: set[tuple[str, str]]) -> World:
    system = "system:todo"
    tuples: list[Json] = [_tuple("user:*", "anybody", system)]
    tuples += [_tuple(system, "system", f"{type_}:{id_}") for type_, id_ in sorted(resources)]
    for subject in known["subjects"]:
        user = f"user:{subject['id']}"
        tuples += [_tuple(user, role, system) for role in subject["roles"] if role in _WRITING]
        if "editor" in subject["roles"]:
            condition = {"name": "is_owner", "context": {"email": subject["email"]}}
            tuples.append({**_tuple(user, "owning_editor", system), "condition": condition})
    return World(TODO_MODEL, tuples)


def _gateway(known: Json) -> World:
    tuples = [_tuple("identity:*", "GET", f"route:{route}") for route in ("/users/{userId}", "/todos")]
    for subject in known["subjects"]:
        if _WRITING & set(subject["roles"]):
            user = f"identity:{subject['id']}"
            tuples.append(_tuple(user, "POST", "route:/todos"))
            tuples += [_tuple(user, verb, "route:/todos/{todoId}") for verb in ("PUT", "DELETE")]
    return World(GATEWAY_MODEL, tuples)


def _search(known: Json) -> World:
    tuples: list[Json] = []
    for user in known["users"]:
        name, department = f"user:{user['id']}", f"department:{user['department']}"
        tuples.append(_tuple(name, "member", department))
        if user["role"] == "manager":
            tuples += [_tuple(name, "manager", department), _tuple(name, "manager", "company:all")]
    for record in known["records"]:
        name = f"record:{record['id']}"
        tuples.append(_tuple(f"user:{record['owner']}", "delete", name))
        tuples.append(_tuple(f"department:{record['department']}", "department", name))
        tuples.append(_tuple("company:all", "company", name))
    return World(SEARCH_MODEL, tuples)


def _tuple(user: str, relation: str, object_: str) -> Json:
    return {"user": user, "relation": relation, "object": object_}
