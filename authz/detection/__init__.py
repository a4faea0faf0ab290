"""What is noticed: unusual behaviour of principals, repeated failures to authenticate, and the alerts about them.

Built by `app`; the edge tells `Detector` of every call and `AuthenticationFailures` of every failure.
"""

from __future__ import annotations

from authz.detection.alerts import Alert, Alerts, alert_of
from authz.detection.detector import Detector
from authz.detection.deviation import Deviation, Phase
from authz.detection.failures import AuthenticationFailures
from authz.detection.responses import CallableResponder, Responder, Responses, exemptions
from authz.detection.watch import watch_forever, watch_once

__all__ = [
    "Alert",
    "Alerts",
    "AuthenticationFailures",
    "CallableResponder",
    "Detector",
    "Deviation",
    "Phase",
    "Responder",
    "Responses",
    "alert_of",
    "exemptions",
    "watch_forever",
    "watch_once",
]
