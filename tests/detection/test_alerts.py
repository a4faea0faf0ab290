"""Alerts: to the log and to webhooks, grouped, bounded, and configured with care."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from authz.detection import Alert, Alerts, Deviation, alert_of
from authz.settings import InvalidSettings
from authz.settings.alerts import AlertsSettings
from authz.settings.detection import Kind, Severity
from tests.detection.receivers import (
    SECRET,
    alerts_to,
    lines,
    numbered,
    receiver,
    until,
)
from tests.detection.support import START, FakeClock

pytestmark = pytest.mark.anyio


async def test_an_alert_is_logged_and_believed(log: io.StringIO) -> None:
    """
    The receiver of the examples gets what the log says, with the documented members.
    """
    with receiver() as (url, found):
        alerts = alerts_to(url)
        alerts.send(alert_of(Deviation("issuer/a", Kind.RATE, 100.0, 1.0, Severity.CRITICAL, START)))
        until(lambda: bool(found))
        await alerts.close()
    (got,), (line,) = found, lines(log, "alert")
    assert set(got) == {"id", "time", "kind", "severity", "principal", "details", "node", "count"}
    assert (got["kind"], got["severity"], got["principal"], got["node"], got["count"]) == (
        "rate",
        "critical",
        "issuer/a",
        "node-1",
        1,
    )
    assert got["details"] == {"phase": "began", "observed": 100.0, "expected": 1.0}
    assert (line["level"], line["alert_id"], line["details"]) == ("error", got["id"], got["details"])
    assert SECRET not in log.getvalue()
    assert (alerts.delivered, alerts.lost) == (1, 0)


async def test_stopping_delivers_what_waits() -> None:
    """
    Alerts that were sent just before the end still arrive, with those that were only counted.
    """
    with receiver() as (url, found):
        alerts = alerts_to(url)
        for _ in range(5):
            alerts.send(numbered(1))
        alerts.send(numbered(2))
        await alerts.close()
    assert [(each["principal"], each["count"]) for each in found] == [("issuer/1", 1), ("issuer/2", 1), ("issuer/1", 4)]


async def test_equal_alerts_are_counted() -> None:
    """
    Within a minute the first of equal alerts is sent, then one with the number of the others; unlike ones are all sent.
    """
    clock = FakeClock()
    alerts = Alerts(AlertsSettings(), clock, node="n")
    for _ in range(100):
        alerts.send(numbered(1))
    alerts.send(numbered(1, Severity.CRITICAL))
    alerts.send(numbered(2))
    assert alerts.sent == 3
    alerts.tick()
    assert alerts.sent == 3
    clock.move(61)
    alerts.tick()
    assert alerts.sent == 4
    alerts.send(numbered(1))
    assert alerts.sent == 5
    await alerts.close()


async def test_groups_are_bounded() -> None:
    """
    A storm of unlike alerts is remembered within bounds.
    """
    alerts = Alerts(AlertsSettings(), FakeClock(), node="n")
    for number in range(5000):
        alerts.send(numbered(number))
    assert len(alerts._groups) <= 1000
    await alerts.close()


@pytest.mark.parametrize(
    ("webhook", "text"),
    [
        ({"url": "http://example.org/x", "secret": SECRET}, "https"),
        ({"url": "ftp://example.org/x", "secret": SECRET}, "https"),
        ({"url": "https://u:p@example.org/x", "secret": SECRET}, "without user"),
        ({"url": "https://example.org/x"}, "signed"),
        ({"url": "https://example.org/x", "secret": SECRET, "secret_file": "f"}, "signed"),
        ({"url": "https://example.org/x", "secret": "short"}, "at least 16"),
    ],
)
async def test_bad_webhooks_are_refused(webhook: dict[str, str], text: str) -> None:
    """
    Only https beyond this machine, and always a secret of some length.
    """
    with pytest.raises(ValueError, match=text):
        AlertsSettings.model_validate({"webhooks": [webhook]})


@pytest.mark.parametrize("name", ["secret_file", "ca_file"])
async def test_unreadable_files_are_named_at_the_start(name: str, tmp_path: Path) -> None:
    """
    A secret or an authority that cannot be read ends the start, by the name of its setting.
    """
    bad = tmp_path / "bad"
    bad.write_text("tiny")
    good = tmp_path / "good"
    good.write_text(SECRET)
    for path in (bad, tmp_path / "missing"):
        given = {"url": "https://example.org/", "secret_file": good, name: path}
        settings = AlertsSettings.model_validate({"webhooks": [given]})
        with pytest.raises(InvalidSettings, match=name) as caught:
            Alerts(settings, FakeClock(), node="n")
        assert "tiny" not in str(caught.value)


async def test_texts_that_cannot_be_sent_are_mended() -> None:
    """
    A principal with half a character, or of any length, breaks no alert.
    """
    with receiver() as (url, found):
        alerts = alerts_to(url)
        alerts.send(Alert("rate", Severity.WARNING, "a\ud800" + "x" * 5000, {"peer": "\udfff"}))
        until(lambda: bool(found))
        await alerts.close()
    assert found[0]["principal"].startswith("a?x")
    assert len(found[0]["principal"]) == 1024
