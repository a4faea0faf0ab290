"""Verification of a JWT: well formed, by a configured issuer, of an accepted type, signed by one of that issuer's keys.

Called by `authenticator` for tokens that it does not know yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import jwt

from authz.access.authentication.claims import ClaimReader
from authz.access.authentication.credential import Credential
from authz.access.authentication.keyset import KeySet, PublicKey
from authz.access.authentication.parsing import Parsed, parse_token
from authz.access.authentication.sources import KeySource, key_source
from authz.clock import Clock
from authz.errors import InvalidBearerToken, InvalidIssuer, Unauthenticated, Unavailable
from authz.settings.access import IssuerSettings


class Candidate(NamedTuple):
    """A token that is well formed and names a key of its issuer. Nothing is verified yet."""

    token: str
    parsed: Parsed
    reader: ClaimReader
    key: PublicKey
    keys: KeySet
    """The keys that `key` is one of."""
    source: KeySource
    """Where they are from: once it has others, what `key` signed must be verified again."""

    def __repr__(self) -> str:
        return "Candidate()"


class _Issuer:
    """One configured issuer: its rules and its keys."""

    def __init__(self, settings: IssuerSettings, keys: KeySource) -> None:
        self.settings = settings
        self.keys = keys
        self.reader = ClaimReader(settings)
        self.algorithms = frozenset[str](settings.algorithms)
        self.types = frozenset(each.lower() for each in settings.types)


class TokenVerifier:
    """Verifies tokens of the configured issuers.

    Raises:
        InvalidSettings: a file with keys cannot be read.

    """

    def __init__(self, issuers: Sequence[IssuerSettings], clock: Clock) -> None:
        # INVARIANT: the `iss` of a token does nothing but choose an entry here.
        self._issuers = {each.issuer: _Issuer(each, key_source(each, clock)) for each in issuers}
        self._signatures = jwt.PyJWS(options={"verify_signature": True, "enforce_minimum_key_length": True})

    async def follow_forever(self) -> None:
        """Keep all keys fresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            for issuer in self._issuers.values():
                group.create_task(issuer.keys.follow_forever())

    def claimed(self, token: str) -> str:
        """The id of the principal that a token claims to name; empty if it is malformed. Nothing of it is verified."""
        try:
            parsed = parse_token(token)
            issuer = self._issuer_of(parsed)
            return "" if issuer is None else issuer.reader.principal(parsed.claims)
        except Unauthenticated:
            return ""

    def ages(self) -> dict[str, float]:
        """How many seconds ago the keys of each issuer were read, by its name; without those that never were."""
        found = {each.settings.name: each.keys.age for each in self._issuers.values()}
        return {name: age for name, age in found.items() if age < float("inf")}

    async def candidate(self, token: str) -> Candidate:
        """A token with the key that must have signed it. Waits for keys if need be, no longer than a fetch may take.

        Raises:
            InvalidBearerToken: the token is malformed, of a kind that is not accepted, or by an unknown key.
            InvalidIssuer: it is from an issuer that is not configured.
            Unavailable: the issuer's keys are not known.

        """
        parsed = parse_token(token)
        issuer = self._issuer_of(parsed)
        if issuer is None:
            raise InvalidIssuer("the token is from an unknown issuer")
        if parsed.type.lower() not in issuer.types:
            raise InvalidBearerToken("the `typ` of the token is not accepted")
        if parsed.algorithm not in issuer.algorithms:
            raise InvalidBearerToken("the `alg` of the token is not accepted")
        keys, key = await _key_of(issuer, parsed)
        return Candidate(token, parsed, issuer.reader, key, keys, issuer.keys)

    def _issuer_of(self, parsed: Parsed) -> _Issuer | None:
        name = parsed.claims.get("iss")
        return self._issuers.get(name) if isinstance(name, str) else None

    def verify(self, candidate: Candidate) -> Credential:
        """What a token is good for; its times, orders and binding are still to be checked. Costs 50 to 100 µs of CPU.

        Raises:
            Unauthenticated: the token is not acceptable; one of its subclasses says why.

        """
        token, parsed, reader, key, _, _ = candidate
        try:
            self._signatures.decode(token, key, algorithms=[parsed.algorithm])
        except jwt.PyJWTError:
            raise InvalidBearerToken("the signature of the token is wrong") from None
        return reader.read(parsed.claims)


async def _key_of(issuer: _Issuer, parsed: Parsed) -> tuple[KeySet, PublicKey]:
    known = issuer.keys.keys
    if known is None or (parsed.key_id is not None and parsed.key_id not in known.ids):
        await issuer.keys.renew(parsed.key_id)
        known = issuer.keys.keys
    if known is None:
        raise Unavailable(f"the keys of issuer `{issuer.settings.name}` are not known: try again")
    key = known.find(parsed.key_id, parsed.algorithm)
    if key is None:
        raise InvalidBearerToken(f"the token is not signed with a key of issuer `{issuer.settings.name}`")
    return known, key
