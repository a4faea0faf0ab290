"""A program that writes until it is killed, telling on stdout what was acknowledged. Started by `test_crash`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from authz.call import Origin
from authz.store.api import TupleWrite
from authz.store.sql import SqlDatastore, open_datastore
from authz.tuples import RelationshipTuple
from tests.support.scribe import PlainScribe

TUPLES_PER_WRITE = 5
WRITERS = 4


def tuples_of(name: str, step: int) -> list[RelationshipTuple]:
    """What a writer writes in a step, and deletes in the next."""
    return [RelationshipTuple(f"doc:{name}-{step}", "viewer", f"user:{number}") for number in range(TUPLES_PER_WRITE)]


async def keep_writing(store: SqlDatastore, name: str) -> None:
    """Write for ever."""
    step = 0
    while True:
        write = TupleWrite(
            deletes=[item.key for item in tuples_of(name, step - 1)] if step else [], writes=tuples_of(name, step)
        )
        result = await store.write("S", write, by=Origin(name), now=datetime.now(UTC))
        print(name, step, result.revision, flush=True)
        step += 1


async def main(uri: str, run: str) -> None:
    """Several writers of one store."""
    store = open_datastore(uri, PlainScribe())
    await asyncio.gather(*(keep_writing(store, f"{run}{number}") for number in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
