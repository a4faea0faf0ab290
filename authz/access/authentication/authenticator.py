"""Who calls, from the credentials of the call. Built by `app`; asked by the step `authenticate` of `rpc`.

A bearer token or preshared key is the principal, and a client certificate beside it only binds it: who presents a token
wants to be whom it names. A certificate alone is the principal when there is no token. A credential that is given and
not good is refused; nothing falls back to another.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from cachetools import LRUCache

from authz.access.authentication.certificates import CertificateReader
from authz.access.authentication.credential import Credential
from authz.access.authentication.files import watched
from authz.access.authentication.keyset import KeySet
from authz.access.authentication.parsing import MAX_TOKEN_BYTES
from authz.access.authentication.preshared import KeyTable, find_key, parse_key_file
from authz.access.authentication.revocations import Revocations
from authz.access.authentication.sources import KeySource
from authz.access.authentication.tokens import TokenVerifier
from authz.call import Principal
from authz.clock import Clock
from authz.errors import AuthzError, InvalidBearerToken, MissingBearerToken, Unauthenticated
from authz.settings.access import AccessSettings
from authz.watched import WatchedFile

FAILURES = 1024
FAILURE_SECONDS = 5.0
"""How long a token that was refused is refused again without another look at its signature."""


class _Known(NamedTuple):
    credential: Credential
    until: float
    """When the signature counts as verified no longer, on the monotonic clock."""
    keys: KeyTable | KeySet | None
    """The table that a preshared key was found in, or the keys of the issuer of a token: others may not have it."""
    source: KeySource | None = None
    """Where the keys of the issuer are from."""


class _Failure(NamedTuple):
    error: type[AuthzError]
    message: str
    until: float


class Authenticator:
    """Turns credentials into principals. Used on the event loop only.

    Args:
        settings: the section of the settings.
        revocations: orders against credentials.
        clock: the time.
        takes_certificates: whether the transport verifies client certificates.

    Raises:
        InvalidSettings: a file that the settings name cannot be read.

    """

    def __init__(
        self, settings: AccessSettings, revocations: Revocations, clock: Clock, *, takes_certificates: bool = False
    ) -> None:
        self._settings = settings
        self._revocations = revocations
        self._clock = clock
        self._takes_certificates = takes_certificates
        self._tokens = TokenVerifier(settings.issuers, clock)
        self._keys: WatchedFile[KeyTable] | None = None
        if settings.keys_file is not None:
            self._keys = watched(settings.keys_file, parse_key_file, clock)
        self._certificates = CertificateReader(settings.certificates, settings.cached_certificates)
        # By the SHA-256 of the token, so that no token stays in memory.
        self._known: LRUCache[bytes, _Known] = LRUCache(settings.cached_tokens)
        self._failures: LRUCache[bytes, _Failure] = LRUCache(FAILURES)
        self.hits = self.misses = 0
        """How many tokens were remembered, and how many had to be verified."""

    @property
    def enabled(self) -> bool:
        """Whether any means of authentication is configured; if not, every caller is `ANONYMOUS`."""
        return bool(self._settings.issuers) or self._keys is not None or self._takes_certificates

    async def follow_forever(self) -> None:
        """Keep the keys of the issuers fresh until cancelled."""
        await self._tokens.follow_forever()

    @property
    def is_behind(self) -> bool:
        """Whether another worker of this host gave orders that are not known here: `catch_up` before asking."""
        return self._revocations.is_behind

    async def catch_up(self) -> None:
        """Learn of those orders.

        Raises:
            Unavailable: it is not known which credentials are revoked.

        """
        await self._revocations.catch_up()

    def known(self, token: str, certificate: bytes | None) -> Principal | None:
        """The principal whose credentials were verified before and are good now; None when `verify` must look.

        Args:
            token: what `bearer` found; may be empty.
            certificate: the caller's certificate as PEM, when the transport verified one.

        """
        if token:
            credential = self._remembered(token)
        elif certificate is not None and self._takes_certificates:
            known = self._certificates.known(certificate)
            credential = None if known is None else known.credential
        else:
            credential = None
        if credential is None or self._refusal(credential, certificate) is not None:
            return None
        return credential.principal

    async def verify(self, token: str, certificate: bytes | None) -> Principal:
        """The principal that credentials prove. Waits for keys of an issuer if need be.

        Args:
            token: what `bearer` found; may be empty.
            certificate: the caller's certificate as PEM, when the transport verified one.

        Raises:
            Unauthenticated: they prove nobody; a subclass says why.
            Forbidden: the principal is suspended.
            Unavailable: keys or revocations are not known now.

        """
        credential = await self._of_token(token) if token else self._of_certificate(certificate)
        error = self._refusal(credential, certificate)
        if error is not None:
            raise error
        return credential.principal

    def key_ages(self) -> dict[str, float]:
        """How many seconds ago the keys of each issuer were read, by its name."""
        return self._tokens.ages()

    def claimed(self, token: str) -> str:
        """The principal that a token claims to prove, for counting failures; empty when that is none."""
        return self._tokens.claimed(token) if token and self._settings.issuers else ""

    def _remembered(self, token: str) -> Credential | None:
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            return None
        known = self._known.get(hashlib.sha256(token.encode()).digest())
        if known is None or self._clock.monotonic() >= known.until:
            self.misses += 1
            return None
        if known.keys is not (self._key_table() if known.source is None else known.source.keys):
            self.misses += 1
            return None
        self.hits += 1
        return known.credential

    def _refusal(self, credential: Credential, certificate: bytes | None) -> AuthzError | None:
        """Why a verified credential is not good now: its time, orders against it, the certificate of the connection."""
        now = self._clock.now().timestamp()
        if now < credential.begins:
            return InvalidBearerToken("the credential is not valid yet")
        if now >= credential.ends:
            return InvalidBearerToken("the credential has expired")
        if credential.thumbprint is not None and certificate is None:
            return InvalidBearerToken("the token is bound to a client certificate, and there is none")
        if certificate is not None:
            error = self._mismatch(credential, certificate, now)
            if error is not None:
                return error
        return self._revocations.refusal(credential, now)

    def _mismatch(self, credential: Credential, certificate: bytes, now: float) -> AuthzError | None:
        # A connection outlives the handshake in which its certificate was verified, so the dates count at every call.
        try:
            peer = self._certificates.read(certificate)
        except Unauthenticated as error:
            return error
        if not peer.begins <= now < peer.ends:
            return Unauthenticated("the client certificate has expired or is not valid yet")
        if credential.thumbprint is not None and credential.thumbprint != peer.thumbprint:
            return InvalidBearerToken("the token is bound to another client certificate")
        return None

    def _of_certificate(self, certificate: bytes | None) -> Credential:
        if certificate is None or not self._takes_certificates:
            raise MissingBearerToken("the call carries no bearer token")
        credential = self._certificates.read(certificate).credential
        if credential is None:
            raise Unauthenticated("the client certificate names nobody who could be a principal")
        return credential

    async def _of_token(self, token: str) -> Credential:
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidBearerToken(f"the token is larger than {MAX_TOKEN_BYTES} bytes")
        if not token.isascii():
            raise InvalidBearerToken("the token is not ASCII")
        digest = hashlib.sha256(token.encode()).digest()
        keys = self._key_table()
        credential = None if keys is None else find_key(keys, digest)
        if credential is not None:
            self._remember(digest, credential, keys)
            return credential
        if not self._settings.issuers or (keys is not None and "." not in token):
            raise Unauthenticated("the key is not one of those configured")
        return self._remembered(token) or await self._of_jwt(token, digest)

    async def _of_jwt(self, token: str, digest: bytes) -> Credential:
        failure = self._failures.get(digest)
        if failure is not None and self._clock.monotonic() < failure.until:
            raise failure.error(failure.message)
        candidate = await self._tokens.candidate(token)
        try:
            credential = self._tokens.verify(candidate)
        except Unauthenticated as error:
            until = self._clock.monotonic() + FAILURE_SECONDS
            self._failures[digest] = _Failure(type(error), error.message, until)
            raise
        self._remember(digest, credential, candidate.keys, candidate.source)
        return credential

    def _key_table(self) -> KeyTable | None:
        return None if self._keys is None else self._keys.value

    def _remember(
        self, digest: bytes, credential: Credential, keys: KeyTable | KeySet | None, source: KeySource | None = None
    ) -> None:
        until = self._clock.monotonic() + self._settings.cached_seconds
        self._known[digest] = _Known(credential, until, keys, source)
