"""Ids of stores and models: ULIDs that grow. Called by the commands that create them."""

from __future__ import annotations

from datetime import datetime

from ulid import ULID


def new_id(now: datetime, after: str | None = None) -> str:
    """A ULID of this moment, greater than every other of this process and than `after`.

    `after` is the newest id of the store: the newest model is the one with the greatest id, so an id made on a machine
    whose clock lags must still be greater than those before it.
    """
    fresh = str(ULID.from_datetime(now))
    if after is None or fresh > after:
        return fresh
    return str(ULID.from_int(int(ULID.from_str(after)) + 1))
