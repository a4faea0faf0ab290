"""How large a world is to be. Given by whoever builds one."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """What is asked of a workload; None leaves a figure to the workload."""

    tuples: int | None = None
    """About how many tuples."""
    depth: int | None = None
    """Levels of nesting, where the workload nests."""
    width: int | None = None
    """Members of a group, where the workload has a wide one."""
    questions: int = 20_000
    """How many different checks; batches and lists are fewer."""
    seed: int = 1
