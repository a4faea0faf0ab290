"""The rules of rights once more, as plain sets: what the engine's answers are held against. Used by property tests."""

from __future__ import annotations

from collections.abc import Set

from authz.access.authorization.grants import Grant
from authz.call import Principal

CHECK = {"Check", "BatchCheck", "ListObjects", "StreamedListObjects", "ListUsers"}
CHECK |= {"Evaluation", "Evaluations", "SubjectSearch", "ResourceSearch", "ActionSearch"}
MANAGE = {"UpdateStore", "DeleteStore", "Grant", "Withdraw", "ListGrants"}
MODEL = {"WriteAuthorizationModel", "WriteAssertions"}
ORDER = {"RevokeTokens", "Suspend", "Lift", "ListDirectives", "StartCapture", "StopCapture"}
READ = {
    "Read",
    "Expand",
    "ReadChanges",
    "ReadAuthorizationModels",
    "ReadAuthorizationModel",
    "ReadAssertions",
    "GetStore",
}


def may(grants: Set[Grant], who: Principal, call: str, store_id: str) -> bool:
    """Whether a caller may make a call about a store, or about the service for the empty id."""
    if not store_id and call in CHECK | READ | MODEL | {"Write", "UpdateStore", "DeleteStore"}:
        return False
    service = _roles(grants, who, "")
    if "admin" in service:
        return True
    store = _roles(grants, who, store_id) if store_id else set()
    if call in CHECK:
        return bool({"checker", "reader"} & service) or bool({"checker", "reader", "admin"} & store)
    if call in READ:
        return "reader" in service or bool({"reader", "admin"} & store)
    if call in MODEL:
        return bool({"model_writer", "admin"} & store)
    if call == "Write":
        return bool({"writer", "admin"} & store)
    if call in MANAGE:
        return "admin" in store
    if call == "QueryRecords":
        return "auditor" in service or "admin" in store
    if call == "CreateStore":
        return "store_creator" in service
    if call == "ListStores":
        return "reader" in service or bool(readable(grants, who))
    assert call in ORDER
    return False


def readable(grants: Set[Grant], who: Principal) -> set[str]:
    """The stores that a caller was itself given to read."""
    return {
        grant.store_id
        for grant in grants
        if grant.store_id and not grant.module and {"reader", "admin"} & _roles(grants, who, grant.store_id)
    }


def _roles(grants: Set[Grant], who: Principal, store_id: str) -> set[str]:
    """The roles that a caller has on a store, or on the service for the empty id."""
    groups = who.groups | {grant.group for grant in grants if grant.group and grant.principal == who.id}
    names = {who.id, *(f"group:{group}" for group in groups)}
    return {
        grant.role
        for grant in grants
        if grant.store_id == store_id and not grant.module and not grant.group and grant.principal in names
    }
