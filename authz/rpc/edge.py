"""What the steps of the chain work with. Built once by `app`."""

from __future__ import annotations

from dataclasses import dataclass, field

from authz.commands.services import Services


@dataclass(slots=True)
class Gate:
    """Whether new calls are welcome; closed when the server drains."""

    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Edge:
    """The commands' services, and how the edge itself behaves."""

    services: Services
    raise_bugs: bool = False
    """Let broken invariants escape with their traceback; for tests."""
    max_message_bytes: int = 616_448
    gate: Gate = field(default_factory=Gate)
