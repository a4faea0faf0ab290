"""Packages that only the benchmarks need: imported late, with a message that says how to get them. Used throughout."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class BenchmarkError(Exception):
    """Ends a run with a message for the engineer."""


def need(module: str, package: str) -> Any:
    """Import a module of an optional package.

    Raises:
        BenchmarkError: it is not installed.

    """
    try:
        return import_module(module)
    except ImportError:
        raise BenchmarkError(
            f"this needs the package `{package}`: install the dependency group `bench` (pip install --group bench)"
        ) from None
