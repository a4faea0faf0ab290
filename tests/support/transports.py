"""Which transports can be tried here. Used by the fixtures of tests that speak gRPC."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

_why_not = "pygrpc-native is not installed: it comes with authz[native]"

needs_native = pytest.mark.skipif(find_spec("pygrpc_native") is None, reason=_why_not)
NATIVE = pytest.param("native", marks=needs_native)
TRANSPORTS = ("grpcio", NATIVE)
