"""Build the service from its settings and serve it. The only place that builds things; called by `cli` and tests."""

from __future__ import annotations

from authz.app.process import run
from authz.app.servable import check_servable
from authz.app.services import build_limits, build_services
from authz.app.serving import Serving, serving

__all__ = ["Serving", "build_limits", "build_services", "check_servable", "run", "serving"]
