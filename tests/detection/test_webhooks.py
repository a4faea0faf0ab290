"""Webhooks: signed, in order, again until they arrive, and never lost silently."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from authz.clock import SystemClock
from authz.detection import Alerts
from authz.settings.alerts import AlertsSettings
from authz.settings.detection import Severity
from examples.webhook_receiver.receiver import make_server
from tests.detection.receivers import (
    SECRET,
    alerts_to,
    answering,
    lines,
    numbered,
    receiver,
    self_signed,
    served,
    until,
)
from tests.detection.support import FakeClock

pytestmark = pytest.mark.anyio


async def test_alerts_arrive_in_order_after_failures() -> None:
    """
    While the receiver answers 500 the first alert is tried again; the others wait their turn. Every try is signed anew.
    """
    with answering(lambda number: 500 if number <= 3 else 204) as (url, posts):
        alerts = alerts_to(url)
        for number in range(5):
            alerts.send(numbered(number))
        until(lambda: alerts.delivered == 5)
        await alerts.close()
    assert [body["principal"] for body, _ in posts] == ["issuer/0"] * 3 + [f"issuer/{number}" for number in range(5)]
    assert len({body["id"] for body, _ in posts}) == 5
    assert len({headers["authz-nonce"] for _, headers in posts}) == 8
    assert len({headers["authz-signature"] for _, headers in posts}) == 8
    assert posts[0][1]["content-type"] == "application/json"


async def test_an_answer_that_is_lost_does_not_count_twice() -> None:
    """
    A delivery that is repeated has the same id, so that the receiver takes it once.
    """
    with receiver() as (url, found):
        alerts = alerts_to(url)
        parcel = alerts._parcel(numbered(1), 1)
        for _ in range(3):
            alerts._webhooks[0].put(parcel)
        until(lambda: alerts.delivered == 3)
        await alerts.close()
    assert len(found) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 410, 413])
async def test_redirects_and_final_answers_are_not_tried_again(status: int, log: io.StringIO) -> None:
    """
    Nothing is sent elsewhere; the alert is lost, logged, and reported with the next that arrives.
    """
    with answering(lambda number: status if number == 1 else 204) as (url, posts):
        alerts = alerts_to(url)
        alerts.send(numbered(1))
        until(lambda: alerts.lost == 1)
        alerts.send(numbered(2))
        until(lambda: len(posts) >= 3)
        await alerts.close()
    assert [body["kind"] for body, _ in posts] == ["rate", "rate", "alerts"] or [body["kind"] for body, _ in posts] == [
        "rate",
        "alerts",
        "rate",
    ]
    report = next(body for body, _ in posts if body["kind"] == "alerts")
    assert report["details"] == {"text": "1 alerts were not delivered", "lost": 1}
    (line,) = lines(log, "alert_not_delivered")
    assert line["why"] == f"status {status}"
    assert "/hook" not in json.dumps(line)


async def test_an_alert_is_given_up_after_a_while(log: io.StringIO) -> None:
    """
    A receiver that never answers well gets an alert for so long; then it is lost, and that is logged.
    """
    with answering(lambda _number: 503) as (url, posts):
        alerts = alerts_to(url, give_up=0.2)
        alerts.send(numbered(1))
        until(lambda: alerts.lost == 1)
        await alerts.close()
    assert len(posts) >= 3
    assert len(lines(log, "alert_not_delivered")) == 1


async def test_a_full_queue_is_counted_and_reported(log: io.StringIO) -> None:
    """
    When more alerts come than can wait, critical ones displace others; what is lost is counted, logged and reported.
    """
    gate = threading.Event()

    def wait(_number: int) -> int:
        gate.wait(5)
        return 204

    with answering(wait) as (url, posts):
        alerts = alerts_to(url, queue=3, timeout=5)
        alerts.send(numbered(0))
        until(lambda: bool(posts))
        for number in range(1, 10):
            alerts.send(numbered(number))
        alerts.send(numbered(10, Severity.CRITICAL))
        assert alerts.lost == 7
        gate.set()
        until(lambda: len(posts) >= 5)
        await alerts.close()
    assert [body["principal"] for body, _ in posts if body["kind"] == "rate"] == [
        "issuer/0",
        "issuer/2",
        "issuer/3",
        "issuer/10",
    ]
    assert [body["details"]["lost"] for body, _ in posts if body["kind"] == "alerts"] == [7]
    assert len(lines(log, "alert_not_delivered")) == 7


async def test_a_receiver_that_is_down_holds_up_no_other(log: io.StringIO) -> None:
    """
    Each webhook has its own queue and thread.
    """
    with receiver() as (url, found):
        alerts = alerts_to("http://127.0.0.1:1/closed", url)
        for number in range(10):
            alerts.send(numbered(number))
        until(lambda: len(found) == 10)
        started = time.monotonic()
        await alerts.close()
        assert time.monotonic() - started < 3
    assert alerts.lost == 10
    assert {line["webhook"] for line in lines(log, "alert_not_delivered")} == {"http://127.0.0.1:1"}


async def test_stopping_is_bounded_though_a_receiver_drips() -> None:
    """
    A receiver that sends its answer byte by byte is cut off; nothing waits for it beyond the time that is given.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        ends = threading.Event()

        def drip() -> None:
            connected, _ = listening.accept()
            with connected:
                try:
                    while not ends.wait(0.05):
                        connected.sendall(b"H")
                except OSError:
                    return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        alerts = alerts_to(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=0.3, timeout=0.2)
        alerts.send(numbered(1))
        await asyncio.sleep(0.1)
        started = time.monotonic()
        await alerts.close()
        assert time.monotonic() - started < 1.5
        ends.set()
        thread.join(5)
    assert alerts.lost == 1


async def test_secrets_rotate_while_alerts_are_sent(tmp_path: Path) -> None:
    """
    When the file gets a new first line, alerts are signed with it.
    """
    path = tmp_path / "secret"
    path.write_text("the-first-secret-of-all\n")
    valid = [b"the-first-secret-of-all"]
    clock = FakeClock()
    with receiver(lambda: valid) as (url, found):
        settings = AlertsSettings.model_validate({"webhooks": [{"url": url, "secret_file": path}]})
        clock.wall = SystemClock().now()
        alerts = Alerts(settings, clock, node="n", first_wait=0.01)
        alerts.start()
        alerts.send(numbered(1))
        until(lambda: len(found) == 1)
        path.write_text("the-second-secret-of-all\nthe-first-secret-of-all\n")
        valid[:] = [b"the-second-secret-of-all"]
        clock.move(2)
        alerts.send(numbered(2))
        until(lambda: len(found) == 2)
        await alerts.close()


async def test_the_receiver_must_be_who_its_certificate_says(tmp_path: Path, log: io.StringIO) -> None:
    """
    Over https an alert arrives only where an authority that is trusted vouches for the receiver.
    """
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    found: list[Any] = []
    server = make_server(("127.0.0.1", 0), lambda: [SECRET.encode()], found.append)
    server.handle_error = lambda *_args: None  # type: ignore[method-assign]  # a sender that hangs up is expected
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with served(server) as plain:
        url = plain.replace("http://", "https://")
        for authority, arrived in ((None, 0), (certificate, 1)):
            given = {"url": url, "secret": SECRET, "ca_file": authority}
            settings = AlertsSettings.model_validate({"webhooks": [given], "give_up": 0.001, "timeout": 2})
            alerts = Alerts(settings, SystemClock(), node="n", first_wait=0.01)
            alerts.start()
            alerts.send(numbered(1))
            until(lambda alerts=alerts: alerts.delivered + alerts.lost == 1)  # type: ignore[misc]
            await alerts.close()
            assert (alerts.delivered, len(found)) == (arrived, arrived)
    assert [line["why"] for line in lines(log, "alert_not_delivered")] == ["SSLCertVerificationError"]
