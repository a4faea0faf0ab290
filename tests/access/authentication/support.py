"""What tests of authentication stand on: a clock that jumps, orders in memory, and a forge for tokens of every kind."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz.access.authentication import Authenticator, Revocations
from authz.call import Origin
from authz.commands.directives import Directives
from authz.errors import AuthzError
from authz.settings.access import AccessSettings, IssuerSettings
from authz.store.directives import Directive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BY = Origin("test/admin")
ISSUER = "https://issuer.example"
AUDIENCE = "authz"


class JumpingClock:
    """A clock that a test moves; the time of day can jump without the monotonic one."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)
        self.elapsed = 1000.0

    def now(self) -> datetime:
        """The time of day."""
        return self.moment

    def monotonic(self) -> float:
        """Seconds that passed."""
        return self.elapsed

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.elapsed += seconds
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Set the time of day forward or back; no time passes."""
        self.moment += timedelta(seconds=seconds)


class DirectivesInMemory:
    """Orders as a datastore keeps them."""

    lineage = 0

    def __init__(self) -> None:
        self._orders: dict[str, Directive] = {}
        self._version = 0

    async def add_directive(self, directive: Directive, *, by: Origin) -> Directive:
        """Add an order."""
        return self._put(directive)

    async def lift_directive(self, directive_id: str, now: datetime, *, by: Origin) -> Directive | None:
        """End an order."""
        found = self._orders.get(directive_id)
        return None if found is None or found.lifted_at is not None else self._put(found._replace(lifted_at=now))

    async def directives_after(self, version: int, *, limit: int) -> Sequence[Directive]:
        """What is newer than a version."""
        newer = [each for each in self._orders.values() if each.version > version]
        return sorted(newer, key=lambda each: each.version)[:limit]

    async def forget_directives(self, ended_before: datetime, *, limit: int) -> int:
        """Nothing is forgotten here."""
        return 0

    def _put(self, directive: Directive) -> Directive:
        self._version += 1
        stored = self._orders[directive.id] = directive._replace(version=self._version)
        return stored


@dataclass
class Door:
    """An authenticator with everything that it stands on."""

    settings: AccessSettings
    takes_certificates: bool = False
    clock: JumpingClock = field(default_factory=JumpingClock)

    def __post_init__(self) -> None:
        self.directives = Directives(DirectivesInMemory(), self.clock)
        self.revocations = Revocations(self.directives, self.clock, self.settings.revocation_max_age)
        self.authenticator = Authenticator(
            self.settings, self.revocations, self.clock, takes_certificates=self.takes_certificates
        )

    async def opened(self) -> Door:
        """This, once it knows the orders that hold."""
        await self.directives.refresh()
        return self


def b64(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """A private key, always the same for a kind and a number: `RSA`, `RSA-1024`, `P-256`, `P-384`, `Ed25519`."""
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("P-"):
        return ec.generate_private_key({"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[kind])
    return rsa.generate_private_key(65_537, int(kind.partition("-")[2] or 2048))


KIND_OF = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519"}


def key_for(algorithm: str, number: int = 0) -> Any:
    """A private key that can sign with an algorithm."""
    return private_key(KIND_OF.get(algorithm, "RSA"), number)


def public_jwk(key: Any, key_id: str | None = "k1", **members: Any) -> dict[str, Any]:
    """The public part of a key as a JWK."""
    algorithm = {"RSAPrivateKey": "RS256", "Ed25519PrivateKey": "EdDSA"}.get(type(key).__name__, "ES256")
    jwk: dict[str, Any] = dict(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True))
    return jwk | ({} if key_id is None else {"kid": key_id}) | members


def pem(key: Any) -> bytes:
    """The public part of a key as PEM."""
    raw: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return raw


def compact(header: dict[str, Any] | bytes, payload: Any, key: Any, algorithm: str) -> str:
    """Sign whatever is given; bytes are taken as they are."""
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, payload)]
    signed = ".".join(map(b64, parts))
    return f"{signed}.{b64(jwt.get_algorithm_by_name(algorithm).sign(signed.encode(), key))}"


def claims_at(clock: JumpingClock, **changes: Any) -> dict[str, Any]:
    """Claims that are good now, with changes; None removes one."""
    now = int(clock.now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": now - 10,
        "exp": now + 300,
        "jti": "t-1",
        "client_id": "app",
        "scope": "authz:check openid",
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def header_of(algorithm: str = "RS256", **changes: Any) -> dict[str, Any]:
    """A header that is good, with changes; None removes a member."""
    header = {"alg": algorithm, "typ": "at+jwt", "kid": "k1"}
    return {name: value for name, value in (header | changes).items() if value is not None}


def token_at(clock: JumpingClock, algorithm: str = "RS256", **changes: Any) -> str:
    """A token that is good now, but for the changes of its claims."""
    return compact(header_of(algorithm), claims_at(clock, **changes), key_for(algorithm), algorithm)


def issuer_with(folder: Path, *jwks: dict[str, Any], **settings: Any) -> IssuerSettings:
    """Settings of an issuer whose keys are in a file."""
    path = folder / f"{settings.get('name', 'main')}.jwks"
    path.write_text(json.dumps({"keys": list(jwks)}))
    given = {"name": "main", "issuer": ISSUER, "audiences": (AUDIENCE,), "jwks_file": path}
    return IssuerSettings.model_validate(given | settings)


def door_with(folder: Path, *, algorithm: str = "RS256", **settings: Any) -> Door:
    """A door for one issuer that signs with one algorithm; settings are those of the issuer."""
    issuer = issuer_with(folder, public_jwk(key_for(algorithm)), **{"algorithms": (algorithm,), **settings})
    return Door(AccessSettings(issuers=(issuer,)))


async def refused(door: Door, token: str, certificate: bytes | None = None) -> AuthzError:
    """The refusal of a token: by `verify`, twice the same, and never by a principal from `known`."""
    assert door.authenticator.known(token, certificate) is None
    with pytest.raises(AuthzError) as first:
        await door.authenticator.verify(token, certificate)
    with pytest.raises(type(first.value)) as again:
        await door.authenticator.verify(token, certificate)
    assert door.authenticator.known(token, certificate) is None
    assert again.value.message == first.value.message
    return first.value


async def signed(door: Door, header: Any = None, payload: Any = None, key: Any = None) -> AuthzError:
    """The refusal of a token with a good signature over what is given."""
    header = header_of() if header is None else header
    payload = claims_at(door.clock) if payload is None else payload
    return await refused(door, compact(header, payload, key or key_for("RS256"), "RS256"))
