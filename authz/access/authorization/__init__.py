"""What a caller may do: rights on the API, decided by the service's own engine over a store of its own.

`app` builds the `Authorizer` and prepares the system store; the chain and the handlers of the edge ask them.
"""

from __future__ import annotations

from authz.access.authorization.authorizer import DENIED, Authorizer, Gate
from authz.access.authorization.names import SYSTEM_STORE
from authz.access.authorization.rules import RULES, Reach, Rule
from authz.access.authorization.system import prepare_system_store

__all__ = [
    "DENIED",
    "RULES",
    "SYSTEM_STORE",
    "Authorizer",
    "Gate",
    "Reach",
    "Rule",
    "prepare_system_store",
]
