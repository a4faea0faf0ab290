"""A service with everything on, for as long as it is measured. Used by `chain`.

It is the one that `app` builds: tokens of an issuer, rights, limits, audit, detection, metrics, over SQLite in a
temporary folder. Rates and thresholds are set so high that nothing is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from authz.access.authorization.grants import Grant, give
from authz.app.edge import open_edge
from authz.app.services import build
from authz.app.trail import open_sealed
from authz.audit.captures import Captures
from authz.audit.chain import Payload
from authz.audit.keys import FixedKeys, Key, KeyRing
from authz.audit.recorder import Policy, Recorder
from authz.audit.redaction import Redaction
from authz.audit.trail import AuditTrail
from authz.call import Call
from authz.clock import SystemClock
from authz.rpc.edge import Edge
from authz.rpc.methods import METHODS
from authz.settings import Settings, load_settings
from authz.telemetry import open_telemetry

ISSUER, AUDIENCE, SUBJECT, NAME = "https://issuer.example", "authz", "orders-api", "bench"
STORE = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
_UNLIMITED = "999999999/second"
_CLASSES = ("check", "list", "read", "write", "model", "admin")
_FLOORS = ("burst_rate", "sustained_rate", "denials", "denied_objects", "objects")

Sink = Literal["null", "sqlite"]
Auth = Literal["jwt", "none"]
"""Whether callers must prove who they are, and have rights; without, everybody may do everything."""


class Bench(NamedTuple):
    """What is measured: the edge, and a token of a caller that may check, if one is needed."""

    edge: Edge
    token: str | None


class NullSink:
    """Takes records and forgets them."""

    name = "null"
    outside = None

    async def write(self, payloads: Sequence[Payload]) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


@asynccontextmanager
async def bench(folder: Path, sink: Sink, auth: Auth = "jwt") -> AsyncIterator[Bench]:
    """The edge while the block runs; files go to `folder`."""
    key = ec.generate_private_key(ec.SECP256R1()) if auth == "jwt" else None
    settings, clock = _settings(folder, key), SystemClock()
    methods = [method.path for method in METHODS]
    async with AsyncExitStack() as stack:
        opening = open_telemetry(settings.telemetry, methods=methods, clock=clock, version="bench")
        telemetry = await stack.enter_async_context(opening)
        sealed = await open_sealed(settings, clock)
        stack.push_async_callback(sealed.datastore.close)
        built = await build(settings, sealed.datastore, clock)
        trail = AuditTrail(settings.audit, sealed.sealing, sealed.datastore, clock)
        stack.push_async_callback(trail.close)
        await trail.start()
        opened = open_edge(settings, built.services, built.authorizer, trail, telemetry)
        edge = await stack.enter_async_context(opened)
        if key is not None:
            await give(built.services, Call(), Grant(f"{NAME}/{SUBJECT}", "checker", STORE))
        if sink == "null":
            recorder = _null_recorder(edge)
            recorder.start()
            stack.push_async_callback(recorder.close, 1.0)
            edge = replace(edge, recorder=recorder)
        yield Bench(edge, None if key is None else _token(key))


def _null_recorder(edge: Edge) -> Recorder:
    clock, keys = edge.services.clock, FixedKeys(KeyRing([Key("bench", b"k" * 32)]))
    return Recorder([NullSink()], Policy(), Redaction((), keys), Captures(clock), clock)


def _settings(folder: Path, key: ec.EllipticCurvePrivateKey | None) -> Settings:
    given: dict[str, Any] = {
        "datastore_uri": f"sqlite:///{folder}/bench.db",
        "log_level": "warning",
        "limits.tiers": {tier: dict.fromkeys(_CLASSES, _UNLIMITED) for tier in ("standard", "store")},
        "limits.peer": _UNLIMITED,
        "telemetry.metrics_addr": "127.0.0.1:0",
    }
    if key is not None:
        public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"keys": [public | {"kid": "1", "alg": "ES256"}]}), encoding="utf-8")
        given["access.issuers"] = [{"name": NAME, "issuer": ISSUER, "jwks_file": keys, "audiences": [AUDIENCE]}]
    return load_settings(given | {f"detection.{name}": 10**9 for name in _FLOORS})


def _token(key: ec.EllipticCurvePrivateKey) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + 3600, "jti": "1"}
    return jwt.encode(
        claims | {"scope": "authz:check authz:read", "client_id": "orders"},
        key,
        algorithm="ES256",
        headers={"kid": "1", "typ": "at+jwt"},
    )
