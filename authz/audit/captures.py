"""Which bodies are recorded for now. Fed by the directives of kind `capture`; asked by `recorder` at every call."""

from __future__ import annotations

import orjson
import structlog

from authz.call import Completed
from authz.clock import Clock
from authz.commands.directives import CAPTURE, Directives, holds
from authz.store.directives import Directive

_MEMBERS = frozenset({"principal", "store_id", "call"})

_log = structlog.get_logger(__name__)


class Captures:
    """The captures that hold. All that a capture names must match, and it names something."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[Directive, dict[str, str]]] = {}
        self.is_active = False
        """Whether any capture may hold: false almost always, and then nothing else needs to be asked."""

    def follow(self, directives: Directives) -> None:
        """Learn of captures as they begin and end."""
        directives.subscribe(CAPTURE, self.apply)

    def apply(self, directive: Directive) -> None:
        """Know of a capture that begins or is lifted."""
        if holds(directive, self._clock.now()):
            wanted = _wanted(directive)
            if wanted:
                self._held[directive.id] = (directive, wanted)
        else:
            self._held.pop(directive.id, None)
        self.is_active = bool(self._held)

    def matches(self, completed: Completed) -> bool:
        """Whether a capture asks for the body of this call."""
        if not self.is_active:
            return False
        now = self._clock.now()
        for ended in [id_ for id_, (directive, _) in self._held.items() if not holds(directive, now)]:
            del self._held[ended]
        self.is_active = bool(self._held)
        return any(_is_matched(wanted, completed) for _, wanted in self._held.values())


def _wanted(directive: Directive) -> dict[str, str]:
    try:
        body = orjson.loads(directive.body)
        wanted = {name: str(value) for name, value in body.items() if value}
    except (ValueError, AttributeError):
        wanted = {"": ""}
    if wanted and wanted.keys() <= _MEMBERS:
        return wanted
    # What is not understood captures nothing: bodies are recorded only where that was asked for exactly.
    _log.error("capture_not_understood", directive=directive.id)
    return {}


def _is_matched(wanted: dict[str, str], completed: Completed) -> bool:
    path = completed.call.method
    return (
        wanted.get("principal", completed.call.principal.id) == completed.call.principal.id
        and wanted.get("store_id", completed.store_id) == completed.store_id
        and wanted.get("call", path) in (path, path.rpartition("/")[2])
    )
