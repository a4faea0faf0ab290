"""The workloads by name. Asked by the command line, the peers and the micro-benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from benchmarks.workloads import chains, conditional, drive, github, reference
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import World

BUILDERS: Mapping[str, Callable[[Size], World]] = MappingProxyType(
    {
        "reference": reference.build,
        "drive": drive.build,
        "github": github.build,
        "deep": chains.build_deep,
        "wide": chains.build_wide,
        "conditions": conditional.build_conditions,
        "contextual": conditional.build_contextual,
    }
)

CONDITIONS = conditional.TRUTH
"""All conditions that any world uses, in Python, for the second opinion."""


def build(name: str, size: Size = Size()) -> World:  # noqa: B008 - a value without state
    """Build a workload's world.

    Raises:
        KeyError: there is no such workload; `BUILDERS` names them.

    """
    return BUILDERS[name](size)
