"""Which class of work a call is, and what it costs. Read once a method when the edge is built."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from authz.call import Scope

if TYPE_CHECKING:
    from authz.settings.limits import Costs


class Work(IntEnum):
    """The class of a call by which rates are counted: its scope, with lists apart from checks."""

    CHECK = 0
    LIST = 1
    READ = 2
    WRITE = 3
    MODEL = 4
    ADMIN = 5


_OF_SCOPE = MappingProxyType(
    {
        Scope.CHECK: Work.CHECK,
        Scope.READ: Work.READ,
        Scope.WRITE: Work.WRITE,
        Scope.MODEL: Work.MODEL,
        Scope.ADMIN: Work.ADMIN,
    }
)
_LISTS = frozenset(
    {"ListObjects", "StreamedListObjects", "ListUsers", "SubjectSearch", "ResourceSearch", "ActionSearch"}
)
# By the name of the method: which cost it has, and whether it has it once more for every further item.
_COSTS = MappingProxyType(
    {
        "Check": ("check", False),
        "BatchCheck": ("batch_check", True),
        "ListObjects": ("list_objects", False),
        "StreamedListObjects": ("list_objects", False),
        "ListUsers": ("list_users", False),
        "Evaluation": ("check", False),
        "Evaluations": ("batch_check", True),
        "SubjectSearch": ("list_users", False),
        "ResourceSearch": ("list_objects", False),
        "ActionSearch": ("list_objects", False),
        "Expand": ("expand", False),
        "Read": ("read", False),
        "ReadChanges": ("read", False),
        "Write": ("write", True),
        "WriteAuthorizationModel": ("write_model", False),
    }
)


class Price(NamedTuple):
    """What a call of a method is counted as."""

    work: Work
    cost: float
    """What it costs before it is read: what it would with one item."""
    each: float
    """What every further item costs; 0 when items cost nothing."""

    def extra(self, items: int) -> float:
        """What it costs beyond `cost`, now that it is known how many items it has."""
        return self.each * (items - 1) if items > 1 else 0.0


def price_of(method: str, scope: Scope, costs: Costs) -> Price:
    """The price of a method, by its name without its service."""
    work = Work.LIST if method in _LISTS else _OF_SCOPE[scope]
    name, is_by_item = _COSTS.get(method, ("", False))
    cost = float(getattr(costs, name)) if name else 1.0
    return Price(work, cost, cost if is_by_item else 0.0)
