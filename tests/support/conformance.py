"""Find the conformance data. Used by every test that runs handed-out cases."""

from __future__ import annotations

import os
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]


def conformance_dir() -> Path | None:
    """The data: in `AUTHZ_CONFORMANCE_DIR`, else in `shared/conformance` beside the repository, else None."""
    named = os.environ.get("AUTHZ_CONFORMANCE_DIR")
    folder = Path(named) if named else _REPOSITORY.parent / "shared" / "conformance"
    return folder if folder.is_dir() else None
