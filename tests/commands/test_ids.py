"""Ids grow, whatever the clock does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from authz.commands.ids import new_id

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_ids_of_one_moment_grow() -> None:
    """
    A thousand ids of the same millisecond are distinct and in order, and of the form that the interface demands.
    """
    made = [new_id(_NOW) for _ in range(1000)]
    assert sorted(set(made)) == made
    assert all(re.fullmatch("[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}", name) for name in made)


@given(st.integers(-10_000, 10_000))
def test_an_id_is_greater_than_the_newest_of_the_store(seconds: int) -> None:
    """
    An id made by a clock that lags is still greater than the one before it.
    """
    before = new_id(_NOW)
    assert before < new_id(_NOW + timedelta(seconds=seconds), after=before)
