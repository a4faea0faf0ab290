"""The metadata of the policy decision point (AuthZEN 1.0, section 9). Asked by the HTTP edge.

A decision point is the service as a whole, for the store of the setting `authzen.store`, or one of its stores. All URLs
come from the settings, never from a request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cachetools import LRUCache

if TYPE_CHECKING:
    from authz.access.signing import Signer
    from authz.clock import Clock
    from authz.tuples import JsonValue

WELL_KNOWN = "/.well-known/authzen-configuration"
CAPABILITIES = (
    "urn:authz:authzen:evaluations-semantic",
    "urn:authz:authzen:reasons",
    "urn:authz:authzen:search-pagination",
    "urn:authz:authzen:consistency",
)
"""What this service can do beyond what its endpoints say. No capability is registered with IANA yet: these are its own,
explained in the README."""
SIGNED_FOR = 3600.0
"""Seconds after which a document is signed anew."""
_MAX_SIGNED = 1024

_ENDPOINTS = (
    ("access_evaluation_endpoint", "evaluation"),
    ("access_evaluations_endpoint", "evaluations"),
    ("search_subject_endpoint", "search/subject"),
    ("search_resource_endpoint", "search/resource"),
    ("search_action_endpoint", "search/action"),
)
_STORE = re.compile(r"/(?:stores/)?([0-7][0-9A-HJKMNP-TV-Z]{25})")


class Configuration:
    """What clients are told about the service.

    Args:
        public_url: the URL by which clients reach the service, without a slash at its end.
        clock: when documents are signed.
        signer: signs the metadata; without one they are not signed.
        has_store: whether calls that name no store are about one.

    """

    def __init__(self, public_url: str, clock: Clock, signer: Signer | None = None, *, has_store: bool) -> None:
        parts = urlsplit(public_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._base = parts.path
        self._clock = clock
        self._signer = signer
        self._has_store = has_store
        self._signed: LRUCache[str, tuple[str, float, str]] = LRUCache(_MAX_SIGNED)

    def at(self, path: str) -> dict[str, JsonValue] | None:
        """The document of the decision point whose metadata stands at `WELL_KNOWN` followed by a path.

        The path is that of the decision point (RFC 8615, as AuthZEN 1.0, section 9.2, uses it): empty for the whole
        service, `/stores/STORE` or, as OpenFGA has it, `/STORE` for a store, all behind the path of the public URL.

        Returns: None when there is no such decision point.
        """
        inner = path.removeprefix(self._base) if self._base and path.startswith(self._base) else path
        if not inner:
            return self._document(f"{self._origin}{path}", "") if self._has_store else None
        found = _STORE.fullmatch(inner)
        if found is None:
            return None
        return self._document(f"{self._origin}{path}", f"/stores/{found[1]}")

    def document(self, store_id: str = "") -> dict[str, JsonValue] | None:
        """The document of a store, or of the whole service, under the name that the service itself uses."""
        return self.at(f"{self._base}/stores/{store_id}" if store_id else self._base)

    def _document(self, identifier: str, scope: str) -> dict[str, JsonValue]:
        root = f"{self._origin}{self._base}{scope}/access/v1"
        document: dict[str, JsonValue] = {"policy_decision_point": identifier}
        document |= {name: f"{root}/{path}" for name, path in _ENDPOINTS}
        document["capabilities"] = list(CAPABILITIES)
        if self._signer is not None:
            document["signed_metadata"] = self._signature(self._signer, identifier, document)
        return document

    def _signature(self, signer: Signer, identifier: str, document: dict[str, JsonValue]) -> str:
        """The document as a token; signing costs much, so that a token serves for a while."""
        key_id, now = signer.key_id, self._clock.now().timestamp()
        known = self._signed.get(identifier)
        if known is not None and known[0] == key_id and 0 <= now - known[1] < SIGNED_FOR:
            return known[2]
        token = signer.sign({"iss": identifier, "iat": int(now), **document})
        self._signed[identifier] = (key_id, now, token)
        return token
