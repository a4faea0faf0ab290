"""Show the metadata of AuthZEN's decision points. Asked by `application`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from authz.errors import RateLimited
from authz.http.errors import error_body
from authz.http.pages import JSON, Shown, shown_json
from authz.rpc.authzen.configuration import WELL_KNOWN

if TYPE_CHECKING:
    from authz.rpc.authzen.configuration import Configuration

_TOO_MANY_REQUESTS = 429
MAX_AGE = 300
"""For how many seconds clients may keep a document."""


class Discovery:
    """The documents at `WELL_KNOWN` and below it; everybody may read them.

    Args:
        configuration: makes them.
        admit: says how many seconds an address must wait, if it must: to sign a document costs a millisecond.

    """

    def __init__(self, configuration: Configuration, admit: Callable[[str], float | None] | None) -> None:
        self._configuration = configuration
        self._admit = admit

    def show(self, path: str, peer: str) -> Shown | None:
        """What is shown at a path; None where there is nothing."""
        if not path.startswith(WELL_KNOWN):
            return None
        wait = None if self._admit is None else self._admit(peer)
        if wait is not None:
            body = error_body(RateLimited.reason, "too many calls from this address")
            return Shown(_TOO_MANY_REQUESTS, JSON, body, retry_after=math.ceil(wait))
        document = self._configuration.at(path.removeprefix(WELL_KNOWN))
        return None if document is None else shown_json(document)._replace(max_age=MAX_AGE)
