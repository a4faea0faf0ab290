"""What a sink is. Implemented by the other modules here; written to by `recorder`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from authz.audit.chain import Payload
from authz.store.trail import Head


class SinkProblem(Exception):
    """A sink cannot take records now; it is tried again. The message may be logged."""


class Sink(Protocol):
    """A place where records go, each in a chain of its own."""

    @property
    def name(self) -> str:
        """The word of the settings."""
        ...

    @property
    def outside(self) -> Head | None:
        """Where its chain ends, if that is not in the datastore."""
        ...

    async def write(self, payloads: Sequence[Payload]) -> None:
        """Record payloads, all or none; when it returns they are safe.

        Called again with the same sequence after it failed, whether or not some arrived.

        Raises:
            SinkProblem, AuthzError, OSError: they could not be written.

        """
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
