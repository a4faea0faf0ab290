"""Who is calling: bearer tokens (JWT), verified before any endpoint runs. Used by `app`.

`python -m examples.documents.accounts NAME` prints a token for somebody, as an identity provider would.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Annotated

import jwt
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

KEY = "DOCUMENTS_KEY"
"""The environment variable with the key that tokens are signed with."""
_ISSUER, _AUDIENCE = "https://login.example.com", "https://documents.example.com"
_ALGORITHM = "HS256"
_SHORTEST_KEY = 32
NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")
"""What users are called."""
_bearer = HTTPBearer(auto_error=False)


def authenticate(request: Request, proof: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Put the verified claims where `require` finds them.

    Raises:
        HTTPException: 401 without a valid token.

    """
    token = proof.credentials if proof else ""
    try:
        claims = jwt.decode(
            token,
            _key(),
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            audience=_AUDIENCE,
            options={"require": ["exp", "sub", "aud", "iss"]},
        )
    except jwt.InvalidTokenError:
        claims = {}
    # A name that no tuple could hold is nobody's: what it made would be half made.
    if not NAME.fullmatch(str(claims.get("sub", ""))):
        raise HTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})
    request.state.claims = claims


def token_for(name: str, seconds: int = 3600) -> str:
    """A token of somebody."""
    claims = {"iss": _ISSUER, "sub": name, "aud": _AUDIENCE, "exp": int(time.time()) + seconds}
    return jwt.encode(claims, _key(), algorithm=_ALGORITHM)


def _key() -> str:
    key = os.environ.get(KEY, "")
    if len(key) < _SHORTEST_KEY:
        raise RuntimeError(f"set {KEY} to a secret of at least {_SHORTEST_KEY} characters")
    return key


if __name__ == "__main__":
    print(token_for(sys.argv[1]))  # noqa: T201 - what the command is for
