"""Which right every call needs, and on what. Read by the authorizer; a test holds it against the interface.

A call without a rule cannot be served: the chain of its method refuses to be composed.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import NamedTuple


class Reach(Enum):
    """What an action is asked about."""

    SERVICE = "service"
    """The whole service."""
    STORE = "store"
    """The store of the request."""
    TUPLES = "tuples"
    """The store of the request, or else the modules of all relations that the request writes to."""
    LISTING = "listing"
    """All stores, or else at least one: the answer shows no others."""
    GRANT = "grant"
    """The store that a role is about, or else the whole service."""
    RECORDS = "records"
    """The store whose records are wanted, or else the whole service."""


class Rule(NamedTuple):
    """The action that a caller must be allowed on what the call is about."""

    reach: Reach
    action: str
    """The action on the store; empty where no store is named."""
    above: str = ""
    """The action that the service itself asks for, when the call is not about an ordinary store."""
    is_reading: bool = False
    """Whether the call may be made on the system store, by those who are allowed `above`; else nobody may."""
    needs_proof: bool = False
    """Whether the call is refused while nobody must prove who he is: what it does would outlast that time."""


_CHECK = Rule(Reach.STORE, "can_check", "can_administer", is_reading=True)
_READ = Rule(Reach.STORE, "can_read", "can_administer", is_reading=True)
_MODEL = Rule(Reach.STORE, "can_write_model")
_MANAGE = Rule(Reach.STORE, "can_manage")
_GRANTS = Rule(Reach.GRANT, "can_manage", "can_administer")
_GRANT = _GRANTS._replace(needs_proof=True)
_ADMINISTER = Rule(Reach.SERVICE, "", "can_administer")
_ORDER = _ADMINISTER._replace(needs_proof=True)

_OPENFGA = {
    "Read": _READ,
    "Write": Rule(Reach.TUPLES, "can_write"),
    "Check": _CHECK,
    "BatchCheck": _CHECK,
    "Expand": _READ,
    "ReadAuthorizationModels": _READ,
    "ReadAuthorizationModel": _READ,
    "WriteAuthorizationModel": _MODEL,
    "WriteAssertions": _MODEL,
    "ReadAssertions": _READ,
    "ReadChanges": _READ,
    "CreateStore": Rule(Reach.SERVICE, "", "can_create_store"),
    "UpdateStore": _MANAGE,
    "DeleteStore": _MANAGE,
    "GetStore": _READ,
    "ListStores": Rule(Reach.LISTING, "can_read", "can_list_stores"),
    "StreamedListObjects": _CHECK,
    "ListObjects": _CHECK,
    "ListUsers": _CHECK,
}
_ACCESS = {
    "Grant": _GRANT,
    "Withdraw": _GRANT,
    "ListGrants": _GRANTS,
    "RevokeTokens": _ORDER,
    "Suspend": _ORDER,
    "Lift": _ORDER,
    "ListDirectives": _ADMINISTER,
}
_AUDIT = {
    "QueryRecords": Rule(Reach.RECORDS, "can_audit", "can_audit", is_reading=True),
    "StartCapture": _ADMINISTER,
    "StopCapture": _ADMINISTER,
}
_AUTHZEN = {
    "Evaluation": _CHECK,
    "Evaluations": _CHECK,
    "SubjectSearch": _CHECK,
    "ResourceSearch": _CHECK,
    "ActionSearch": _CHECK,
}
_GATEWAY = {"Check": _CHECK}

RULES: MappingProxyType[str, Rule] = MappingProxyType(
    {
        f"/{service}/{name}": rule
        for service, rules in (
            ("openfga.v1.OpenFGAService", _OPENFGA),
            ("authz.v1.AccessService", _ACCESS),
            ("authz.v1.AuditService", _AUDIT),
            ("authz.v1.AuthZenService", _AUTHZEN),
            ("envoy.service.auth.v3.Authorization", _GATEWAY),
        )
        for name, rule in rules.items()
    }
)
"""The rule of every call, by its path on the wire."""
