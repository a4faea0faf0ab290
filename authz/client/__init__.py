"""Ask the service from a program: `Client` for threads, `AsyncClient` for asyncio. Plain values in and out.

`authz.client.fastapi`, `starlette`, `flask` and `interceptors` turn object-level authorization into one line per
endpoint; each needs its framework, and nothing here imports one. Errors are in `authz.client.errors`; whatever is
raised, nothing was allowed.
"""

from authz.client import errors
from authz.client.aio import AsyncClient
from authz.client.consistency import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    Consistency,
    at_least_as_fresh,
    exact_snapshot,
)
from authz.client.oauth import ClientCredentials
from authz.client.retries import RetryPolicy
from authz.client.sync import Client
from authz.client.target import Tls
from authz.client.values import (
    Change,
    Changes,
    Check,
    Condition,
    Decision,
    Listing,
    Model,
    Store,
    StoredTuple,
    Tuple,
    Written,
)

__all__ = [
    "FULLY_CONSISTENT",
    "MINIMIZE_LATENCY",
    "AsyncClient",
    "Change",
    "Changes",
    "Check",
    "Client",
    "ClientCredentials",
    "Condition",
    "Consistency",
    "Decision",
    "Listing",
    "Model",
    "RetryPolicy",
    "Store",
    "StoredTuple",
    "Tls",
    "Tuple",
    "Written",
    "at_least_as_fresh",
    "errors",
    "exact_snapshot",
]
