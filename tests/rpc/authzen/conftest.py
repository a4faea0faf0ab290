"""Fixtures of the tests of AuthZEN."""

from __future__ import annotations

import pytest

from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipCondition, RelationshipTuple
from tests.rpc.authzen.support import World, new_world

MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
type doc
  relations
    define parent: [folder]
    define owner: [user]
    define viewer: [user, user:*, group#member] or owner
    define editor: [user, group#member] or owner
    define public: [user:*] but not blocked
    define blocked: [user]
    define limited: [user with is_admin]
    define office: [user with in_office]
condition is_admin(subject_role: string, resource_status: string) {
  subject_role == "admin" && resource_status == "open"
}
condition in_office(ip: string) {
  ip == "10.0.0.1"
}
"""


def tuple_(object_: str, relation: str, user: str, condition: str = "") -> RelationshipTuple:
    """A tuple, perhaps with a condition that has no context of its own."""
    named = RelationshipCondition(condition, {}) if condition else None
    return RelationshipTuple(object_, relation, user, named)


TUPLES = (
    tuple_("doc:plan", "owner", "user:ann"),
    tuple_("doc:plan", "viewer", "user:bob"),
    tuple_("doc:plan", "editor", "group:eng#member"),
    tuple_("group:eng", "member", "user:eve"),
    tuple_("doc:plan", "parent", "folder:root"),
    tuple_("doc:news", "viewer", "user:*"),
    tuple_("doc:news", "viewer", "user:bob"),
    tuple_("doc:news", "public", "user:*"),
    tuple_("doc:news", "blocked", "user:mallory"),
    tuple_("doc:plan", "limited", "user:ann", "is_admin"),
    tuple_("doc:plan", "office", "user:ann", "in_office"),
    tuple_("doc:note", "office", "user:ann", "in_office"),
)


@pytest.fixture
async def world(sqlite_datastore: SqlDatastore) -> World:
    """A store with the model and the tuples above."""
    return await new_world(sqlite_datastore, MODEL, *TUPLES)
