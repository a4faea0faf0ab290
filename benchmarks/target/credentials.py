"""How the driver proves who it is to a server under measurement. Used by `opened`."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.target.variant import Auth

_ISSUER, _AUDIENCE, _NAME, _SUBJECT = "https://issuer.example", "authz", "bench", "driver"
_TOKEN_SECONDS = 86_000


class Credentials(NamedTuple):
    """Settings of the server, and the bearer token that it then accepts; none when authentication is off."""

    settings: Mapping[str, str] = MappingProxyType({})
    token: str = ""


def credentials(auth: Auth, folder: Path) -> Credentials:
    """Make the credentials of a run; files go to `folder`. Their holder is an administrator."""
    if auth == "key":
        return _preshared(folder)
    return _signed(folder) if auth == "jwt" else Credentials()


def _preshared(folder: Path) -> Credentials:
    key = secrets.token_urlsafe(32)
    path = folder / f"keys-{secrets.token_hex(4)}.txt"
    path.write_text(f"{_NAME} sha256:{hashlib.sha256(key.encode()).hexdigest()}\n", encoding="utf-8")
    path.chmod(0o600)
    return Credentials({"access_keys_file": str(path), "access_admins": json.dumps([f"key/{_NAME}"])}, key)


def _signed(folder: Path) -> Credentials:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # A file of its own for each server: they look at it again when it changes.
    path = folder / f"keys-{secrets.token_hex(4)}.json"
    path.write_text(json.dumps({"keys": [public | {"kid": "1", "alg": "ES256"}]}), encoding="utf-8")
    now = int(time.time())
    claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": _SUBJECT, "iat": now, "exp": now + _TOKEN_SECONDS, "jti": "1"}
    scopes = "authz:check authz:read authz:write authz:model authz:admin"
    headers = {"kid": "1", "typ": "at+jwt"}
    token = jwt.encode({**claims, "scope": scopes, "client_id": "bench"}, key, algorithm="ES256", headers=headers)
    issuer = {"name": _NAME, "issuer": _ISSUER, "jwks_file": str(path), "audiences": [_AUDIENCE]}
    issuer["max_lifetime"] = str(_TOKEN_SECONDS + 60)
    settings = {"access_issuers": json.dumps([issuer]), "access_admins": json.dumps([f"{_NAME}/{_SUBJECT}"])}
    return Credentials(settings, token)
