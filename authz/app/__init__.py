"""Build the service from its settings and serve it. The only place that builds things; called by `cli` and tests.

What serves is imported when it is first asked for: a supervisor of workers needs none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from authz.app.process import run
from authz.app.servable import check_servable

if TYPE_CHECKING:
    from authz.app.service import Serving, serving
    from authz.app.services import build_limits, build_services

__all__ = ["Serving", "build_limits", "build_services", "check_servable", "run", "serving"]

_LATER = {
    "Serving": "authz.app.service",
    "build_limits": "authz.app.services",
    "build_services": "authz.app.services",
    "serving": "authz.app.service",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(module), name)
