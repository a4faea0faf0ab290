"""Keys that all processes of a datastore share."""

from __future__ import annotations

import asyncio

import pytest

from authz.store.api import Datastore

pytestmark = pytest.mark.anyio


async def test_a_secret_is_made_once(datastore: Datastore, other_node: Datastore) -> None:
    """However many nodes ask at the same time, all get the same key; another name is another key."""
    keys = await asyncio.gather(*(node.secret("tokens") for node in (datastore, other_node) for _ in range(5)))
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert await other_node.secret("other") != keys[0]
