"""What a command knows of its call: who asks, until when, and whether anybody still waits. Made by the edge."""

from __future__ import annotations

from dataclasses import dataclass

ANONYMOUS = "anonymous"
"""The principal when authentication is off."""


@dataclass(slots=True)
class Call:
    """One call. `deadline` is a time of `Clock.monotonic`; `cancelled` is set by the edge when the caller goes away."""

    request_id: str = ""
    principal: str = ANONYMOUS
    deadline: float | None = None
    cancelled: bool = False
