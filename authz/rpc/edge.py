"""What the steps of the chain work with. Built once by `app`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authz.access.authentication import Authenticator, StrongRules
from authz.access.authorization import Authorizer
from authz.access.limits.limiter import Limiter
from authz.access.limits.peers import PeerLimiter
from authz.audit.recorder import Recorder
from authz.commands.services import Services
from authz.detection import AuthenticationFailures, Detector
from authz.rpc.refusal_lines import RefusalLines
from authz.settings.deprecations import Deprecation
from authz.settings.limits import Costs
from authz.telemetry.telemetry import Telemetry


@dataclass(slots=True)
class Gate:
    """Whether new calls are welcome; closed when the server drains."""

    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Guard:
    """Finds out who calls. The edge has none while authentication is off."""

    authenticator: Authenticator
    strong: StrongRules
    failures: AuthenticationFailures | None = None
    takes_certificates: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """The commands' services, and what stands before them; what is None is off."""

    services: Services
    authorizer: Authorizer
    recorder: Recorder
    telemetry: Telemetry
    detector: Detector | None = None
    guard: Guard | None = None
    peers: PeerLimiter | None = None
    limiter: Limiter | None = None
    costs: Costs = field(default_factory=Costs)
    deprecations: Mapping[str, Deprecation] = field(default_factory=dict)
    """By service, or by method as `SERVICE/METHOD`."""
    is_audit_sync: bool = False
    """Whether an answer waits until its record is written."""
    raise_bugs: bool = False
    """Let broken invariants escape with their traceback; for tests."""
    max_message_bytes: int = 616_448
    gate: Gate = field(default_factory=Gate)
    refusal_lines: RefusalLines = field(default_factory=RefusalLines)
