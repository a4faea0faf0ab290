"""A model and tuples to import, and what a store holds afterwards. Used by the tests of imports."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.cli.support import run_cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL = """\
model
  schema 1.1

type user

type group
  relations
    define member: [user]

type doc
  relations
    define viewer: [user, user:*, group#member, user with recent]

condition recent(age: int, tags: list<string>) {
  age < 10 && "x" in tags
}
"""
COUNT = 1500


def viewer(number: int) -> dict[str, Any]:
    """One of many tuples."""
    return {"user": f"user:{number}", "relation": "viewer", "object": f"doc:{number % 7}"}


def write_lines(file: Path, values: list[dict[str, Any]]) -> Path:
    """A JSONL file."""
    file.write_text("".join(json.dumps(value) + "\n" for value in values))
    return file


def stored(*flags: str) -> list[dict[str, Any]]:
    """What a store holds, in some order."""
    result = run_cli("tuple", "export", "--format", "jsonl", *flags)
    assert result.code == 0
    return [json.loads(line) for line in result.out.split("\n") if line]


def keys(values: list[dict[str, Any]]) -> list[str]:
    """Tuples as sorted text."""
    return sorted(json.dumps(value, sort_keys=True) for value in values)


def grown(state: Path) -> Callable[[], bool]:
    """Whether a journal has grown by some batches since now."""
    before = state.stat().st_size if state.exists() else 0
    return lambda: state.exists() and state.stat().st_size > before + 500


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def kill_when(process: Any, condition: Callable[[], bool]) -> None:
    """End a process in the midst of what it does."""
    wait_for(condition)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -9
