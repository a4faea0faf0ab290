"""Settings of the Authorization API of AuthZEN. A section of `tree`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from authz.settings.types import Count, Section

MAX_EVALUATIONS = 10_000
"""More are not even looked at: they would hold up everybody else."""
Pattern = Annotated[str, Field(pattern=r"^[^:#@\s]{1,50}$")]


class AuthzenSettings(Section):
    """The table `[authzen]`."""

    store: str = Field(default="", pattern=r"^([0-7][0-9A-HJKMNP-TV-Z]{25})?$")
    """The store that `/access/v1/…` is about. Without it only `/stores/STORE/access/v1/…` is answered."""
    max_evaluations: int = Field(default=1000, ge=1, le=MAX_EVALUATIONS)
    """How many evaluations one request may hold."""
    max_page_size: Count = 1000
    """How many results a page of a search holds at most, and holds when its caller names no limit."""
    actions: tuple[Pattern, ...] = Field(default=("*",), min_length=1)
    """Which relations are actions, for searches of actions: `["can_*"]` keeps roles such as `owner` out of them.
    Evaluations may name any relation."""
    signing_key_file: Path | None = None
    """File with the private key that signs the metadata at `/.well-known/authzen-configuration`: PEM, of RSA (at least
    2048 bits), an elliptic curve (P-256, P-384, P-521) or Ed25519. Read again when it changes. Everybody may ask, and a
    signature costs 0.04 ms with Ed25519, 0.1 with P-256, 0.4 to 1.7 with RSA: prefer the first two."""
