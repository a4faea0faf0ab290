"""What the forms of export have in common. Used by `ocsf` and `cef`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

IDENTITY = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"})
"""Codes of calls that were refused for who their caller is."""


def method_of(record: Mapping[str, Any]) -> str:
    """The name of the method that was called."""
    return str(record.get("call", "")).rpartition("/")[2] or "unknown"


def given(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def milliseconds(time: str) -> int:
    """A time of a record since 1970."""
    return int(datetime.fromisoformat(time).timestamp() * 1000)
