"""How much memory the tuples may take in tests: none said, or little, so that rows are read on demand and forgotten.

`AUTHZ_TEST_INDEX_BUDGET` (bytes) makes every suite that asks questions do so with that budget: 1 keeps nothing, and
32000 keeps some dozens of rows. No store is resident with either.
"""

from __future__ import annotations

import os


def index_budget() -> int | None:
    """The budget that this run asks for."""
    chosen = os.environ.get("AUTHZ_TEST_INDEX_BUDGET")
    return int(chosen) if chosen else None
