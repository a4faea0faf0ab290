"""Refusals in the log: a few have lines, a flood has a number."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from authz.rpc import refusal_lines
from authz.rpc.refusal_lines import SHOWN, RefusalLines

pytestmark = pytest.mark.anyio


async def test_a_flood_is_told_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of a second have lines, and nothing is lost in number; then lines begin anew."""
    monkeypatch.setattr(refusal_lines, "WINDOW", 0.05)
    lines = RefusalLines()
    with structlog.testing.capture_logs() as logs:
        assert [lines.has_line() for _ in range(1000)] == [True] * SHOWN + [False] * (1000 - SHOWN)
        await asyncio.sleep(0.1)
        assert lines.has_line()
        await asyncio.sleep(0.1)
    assert [(each["event"], each["count"]) for each in logs] == [("rpc_refusals_without_line", 1000 - SHOWN)]
