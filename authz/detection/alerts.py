"""Tell operators: in the log, and through webhooks. Called by `responses`, and by whatever else must alarm somebody."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson
import structlog

from authz.clock import Clock
from authz.commands.ids import new_id
from authz.detection.deviation import Deviation, Phase
from authz.detection.post import Target
from authz.detection.signature import first_secret
from authz.detection.webhooks import Parcel, Patience, Webhook
from authz.settings.alerts import AlertsSettings, WebhookSettings
from authz.settings.detection import Severity
from authz.settings.types import InvalidSettings
from authz.watched import WatchedFile

MAX_GROUPS = 1000
MAX_TEXT = 1024

_log = structlog.get_logger(__name__)


class Alert(NamedTuple):
    """Something that operators should know. Its texts hold no secret, token or body."""

    kind: str
    severity: Severity
    principal: str = ""
    details: Mapping[str, str | int | float] = {}
    topic: str = ""
    """Alerts of one kind, severity, principal and topic are equal: of many, the first and a count are sent."""


def alert_of(deviation: Deviation) -> Alert:
    """The alert about a deviation."""
    details: dict[str, str | int | float] = {
        "phase": deviation.phase.value,
        "observed": deviation.observed,
        "expected": deviation.expected,
        **deviation.details,
    }
    named = (str(deviation.details.get(name, "")) for name in ("pattern", "peer", "subject", "network"))
    # the end of one is told even shortly after its beginning
    severity = Severity.INFO if deviation.phase is Phase.ENDED else deviation.severity
    return Alert(deviation.kind.value, severity, deviation.principal, details, " ".join((deviation.phase, *named)))


@dataclass(slots=True)
class _Group:
    started: float
    last: Alert
    more: int = 0
    """How many equal alerts came after the first."""


class Alerts:
    """Log, group, and hand over to webhooks. `send` may be called from any thread, and never waits.

    Raises:
        InvalidSettings: a secret or a certificate authority that cannot be read.

    """

    def __init__(
        self, settings: AlertsSettings, clock: Clock, *, node: str, first_wait: float = 1.0, longest_wait: float = 60.0
    ) -> None:
        self._clock = clock
        self._node = node
        self._window = settings.group
        self._flush = settings.flush
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[str, ...], _Group] = OrderedDict()
        patience = Patience(settings.timeout, settings.give_up, settings.queue, first_wait, longest_wait)
        self._webhooks = [self._webhook(each, patience) for each in settings.webhooks]
        self.sent = 0
        """How many alerts there were, those that were only counted left out."""

    @property
    def delivered(self) -> int:
        """How many alerts webhooks took."""
        return sum(webhook.delivered for webhook in self._webhooks)

    @property
    def lost(self) -> int:
        """How many alerts webhooks did not get."""
        return sum(webhook.lost for webhook in self._webhooks)

    def start(self) -> None:
        """Begin to deliver. Threads do not survive a fork: call it in the process that serves."""
        for webhook in self._webhooks:
            webhook.start()

    def send(self, alert: Alert) -> None:
        """Send an alert now, or only count it when an equal one was sent shortly before."""
        key = (alert.kind, alert.severity, alert.principal, alert.topic)
        now = self._clock.monotonic()
        overdue: list[_Group] = []
        with self._lock:
            group = self._groups.get(key)
            if group is not None and now - group.started < self._window:
                group.more += 1
                group.last = alert
                return
            if group is not None:
                overdue.append(self._groups.pop(key))
            elif len(self._groups) >= MAX_GROUPS:
                overdue.append(self._groups.popitem(last=False)[1])
            self._groups[key] = _Group(now, alert)
        self._send_counts(overdue)
        self._dispatch(alert, 1)

    def tick(self) -> None:
        """Send how many equal alerts there were, for those whose time is over."""
        now = self._clock.monotonic()
        overdue: list[_Group] = []
        with self._lock:
            while self._groups:
                key, group = next(iter(self._groups.items()))
                if now - group.started < self._window:
                    break
                overdue.append(self._groups.pop(key))
        self._send_counts(overdue)

    async def close(self) -> None:
        """Send what was only counted, deliver what waits within the time that settings give, and end."""
        with self._lock:
            groups, self._groups = list(self._groups.values()), OrderedDict()
        self._send_counts(groups)
        await asyncio.gather(*(asyncio.to_thread(webhook.close, self._flush) for webhook in self._webhooks))

    def _send_counts(self, groups: list[_Group]) -> None:
        for group in groups:
            if group.more:
                self._dispatch(group.last, group.more)

    def _dispatch(self, alert: Alert, count: int) -> None:
        self.sent += 1
        parcel = self._parcel(alert, count)
        log = {Severity.CRITICAL: _log.error, Severity.WARNING: _log.warning}.get(alert.severity, _log.info)
        log(
            "alert",
            alert_id=parcel.id,
            kind=alert.kind,
            severity=str(alert.severity),
            principal=_text(alert.principal),
            count=count,
            details=_details(alert),
        )
        for webhook in self._webhooks:
            webhook.put(parcel)

    def _parcel(self, alert: Alert, count: int) -> Parcel:
        now = self._clock.now()
        body = {
            "id": new_id(now),
            "time": now.isoformat(),
            "kind": alert.kind,
            "severity": str(alert.severity),
            "principal": _text(alert.principal),
            "details": _details(alert),
            "node": self._node,
            "count": count,
        }
        is_critical = alert.severity is Severity.CRITICAL
        return Parcel(str(body["id"]), orjson.dumps(body), is_critical, self._clock.monotonic())

    def _loss_report(self, count: int) -> Parcel:
        return self._parcel(
            Alert("alerts", Severity.WARNING, details={"text": f"{count} alerts were not delivered", "lost": count}), 1
        )

    def _webhook(self, settings: WebhookSettings, patience: Patience) -> Webhook:
        target = Target(settings.url, _context(settings, self._clock))
        return Webhook(target, _secret(settings, self._clock), patience, self._clock, self._loss_report)


def _secret(settings: WebhookSettings, clock: Clock) -> Callable[[], bytes]:
    if settings.secret is not None:
        fixed = settings.secret.get_secret_value().encode()
        return lambda: fixed
    assert settings.secret_file is not None  # the settings demand one of them
    try:
        file = WatchedFile(settings.secret_file, first_secret, clock.monotonic)
    except (OSError, ValueError) as error:
        raise _unreadable("secret_file", settings.secret_file, error) from None
    return lambda: file.value


def _context(settings: WebhookSettings, clock: Clock) -> Callable[[], ssl.SSLContext]:
    if settings.ca_file is None:
        context = ssl.create_default_context()
        return lambda: context
    try:
        file = WatchedFile(settings.ca_file, _of_authorities, clock.monotonic)
    except (OSError, ValueError) as error:
        raise _unreadable("ca_file", settings.ca_file, error) from None
    return lambda: file.value


def _of_authorities(raw: bytes) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=raw.decode("ascii"))
    except ssl.SSLError:
        raise ValueError("not a PEM file of certificates") from None


def _unreadable(name: str, path: Path, error: OSError | ValueError) -> InvalidSettings:
    why = (error.strerror or "unreadable").lower() if isinstance(error, OSError) else str(error)
    return InvalidSettings(f"setting `alerts.webhooks.{name}`: `{path}`: {why}")


def _details(alert: Alert) -> dict[str, str | int | float]:
    return {name: _text(value) if isinstance(value, str) else value for name, value in alert.details.items()}


def _text(text: str) -> str:
    """A text that fits into an alert and into UTF-8."""
    return text[:MAX_TEXT].encode(errors="replace").decode()
