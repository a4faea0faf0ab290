"""What is done about deviations: by kind and severity, for a time, never to the operators."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import timedelta

import pytest

from authz.detection import (
    Alerts,
    AuthenticationFailures,
    CallableResponder,
    Deviation,
    Phase,
    Responses,
    exemptions,
    watch_once,
)
from authz.detection.responses import Timed
from authz.settings.alerts import AlertsSettings
from authz.settings.detection import DetectionSettings, Kind, Severity
from tests.detection.support import HOUR, START, FakeClock, World, completed

pytestmark = pytest.mark.anyio

WHO = "issuer/caller"


class Recorder:
    """Notes what would be done, with the end of each by the monotonic clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.done: list[tuple[str, str]] = []
        self.limits: dict[str, tuple[float, float]] = {}
        self.alerts: list[Deviation] = []
        self.fails: set[str] = set()

    def responder(self) -> CallableResponder:
        """The functions that `app` would give."""

        def noting(name: str) -> Timed:
            async def note(principal: str, seconds: float, reason: str) -> None:
                self._note(name, principal)

            return note

        async def alert(deviation: Deviation) -> None:
            self._note("alert", deviation.principal)
            self.alerts.append(deviation)

        async def limit(principal: str, rate: float, seconds: float, reason: str) -> None:
            self._note("limit", principal)
            self.limits[principal] = (rate, self.clock.monotonic() + seconds)

        return CallableResponder(
            noting("record_more"),
            alert,
            noting("demand_strong"),
            limit,
            noting("suspend"),
        )

    def _note(self, name: str, principal: str) -> None:
        if name in self.fails:
            raise RuntimeError("the datastore is away")
        self.done.append((name, principal))

    def is_limited(self, principal: str = WHO) -> bool:
        """Whether a limit holds now."""
        return self.limits.get(principal, (0.0, 0.0))[1] > self.clock.monotonic()


def deviation(
    kind: Kind = Kind.RATE, severity: Severity = Severity.CRITICAL, phase: Phase = Phase.BEGAN, principal: str = WHO
) -> Deviation:
    """One, with a usual rate of 50 questions per second."""
    return Deviation(principal, kind, 1000.0, 50.0, severity, START, phase, usual_rate=50.0)


def answering(**settings: object) -> tuple[Responses, Recorder]:
    """Responses that are only noted."""
    recorder = Recorder(FakeClock())
    chosen = DetectionSettings.model_validate(settings)
    exempt = exemptions(["issuer/root"], chosen.exempt)
    return Responses(chosen, recorder.responder(), recorder.clock, exempt), recorder


async def test_the_flood_of_a_quiet_principal_end_to_end(log: io.StringIO) -> None:
    """
    A hundred checks an hour turn into ten thousand a minute: within five seconds the principal is limited and an alert
    is out; the limit is renewed while it goes on, and ends after it.
    """
    world = World()
    recorder = Recorder(world.clock)
    responses = Responses(world.settings, recorder.responder(), world.clock, exemptions([], ["anonymous"]))
    failures = AuthenticationFailures(world.settings, world.clock)
    alerts = Alerts(AlertsSettings(), world.clock, node="node-1")

    async def seconds(count: int, rate: float) -> None:
        owed = 0.0
        for _ in range(count):
            owed += rate
            for _ in range(int(owed)):
                world.detector.observe(completed(WHO))
            owed -= int(owed)
            world.clock.move(1.0)
            await watch_once(world.detector, failures, responses, alerts)
            await responses.settle()

    await seconds(3600, 100 / HOUR)
    assert recorder.done == []
    await seconds(5, 10_000 / 60)
    assert recorder.is_limited()
    assert recorder.limits[WHO][0] == 10.0
    assert [name for name, _ in recorder.done] == ["limit", "alert", "record_more"]
    await seconds(900, 10_000 / 60)
    assert recorder.is_limited()
    assert [name for name, _ in recorder.done].count("alert") == 1
    assert [name for name, _ in recorder.done].count("limit") < 10
    await seconds(900, 100 / HOUR)
    assert not recorder.is_limited()
    assert [each.phase for each in recorder.alerts] == [Phase.BEGAN, Phase.ENDED]
    logged = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert logged.count("deviation") == 2
    assert {"response", "deviation"} == set(logged)


@pytest.mark.parametrize("kind", [Kind.RATE, Kind.DENIALS, Kind.ENUMERATION, Kind.OBJECTS])
async def test_the_defaults_are_graduated(kind: Kind) -> None:
    """
    A warning is recorded and told, what is critical is limited too; nobody is suspended unless configured.
    """
    responses, recorder = answering()
    await responses.answer(deviation(kind, Severity.WARNING))
    assert recorder.done == [("alert", WHO), ("record_more", WHO)]
    responses, recorder = answering()
    await responses.answer(deviation(kind))
    assert recorder.done == [("limit", WHO), ("alert", WHO), ("record_more", WHO)]


async def test_responses_are_chosen_by_kind_and_severity() -> None:
    """
    What is configured replaces the default of that kind and severity, and of no other.
    """
    everything = ["record_more", "alert", "demand_strong", "limit", "suspend"]
    responses, recorder = answering(responses={"rate": {"critical": everything, "warning": []}})
    await responses.answer(deviation(severity=Severity.WARNING))
    assert recorder.done == []
    await responses.answer(deviation())
    assert [name for name, _ in recorder.done] == ["limit", "demand_strong", "suspend", "alert", "record_more"]
    recorder.done.clear()
    await responses.answer(deviation(Kind.DENIALS, Severity.WARNING, principal="issuer/other"))
    assert [name for name, _ in recorder.done] == ["alert", "record_more"]


@pytest.mark.parametrize("principal", ["issuer/root", "ops/anne", "anonymous"])
async def test_operators_are_never_held_back(principal: str) -> None:
    """
    Admins and exempt principals are told about and recorded, whatever is configured.
    """
    everything = ["record_more", "alert", "demand_strong", "limit", "suspend"]
    responses, recorder = answering(responses={"rate": {"critical": everything}}, exempt=["ops/*", "anonymous"])
    await responses.answer(deviation(principal=principal))
    assert [name for name, _ in recorder.done] == ["alert", "record_more"]


async def test_exemptions_are_to_the_letter() -> None:
    """
    Only `*` is a pattern, and an admin's name is none.
    """
    is_exempt = exemptions(["issuer/*", "a.b"], ["ops/*", "x.y"])
    assert [is_exempt(name) for name in ("issuer/*", "a.b", "ops/anne", "ops/", "x.y")] == [True] * 5
    assert [is_exempt(name) for name in ("issuer/anne", "axb", "xxy", "devops/anne", "")] == [False] * 5
    assert not exemptions([], [])("")


@pytest.mark.parametrize("kind", [Kind.AUTHENTICATION, Kind.PRINCIPALS])
async def test_nobody_is_acted_on_for_what_others_do(kind: Kind) -> None:
    """
    Failures to authenticate are told only; to configure more is an error.
    """
    responses, recorder = answering()
    await responses.answer(deviation(kind, principal=WHO))
    assert recorder.done == [("alert", WHO)]
    with pytest.raises(ValueError, match="only `alert`"):
        DetectionSettings.model_validate({"responses": {kind.value: {"critical": ["suspend"]}}})


async def test_what_holds_is_renewed_at_half_time() -> None:
    """
    While a deviation lasts its limit never ends, and is not asked for every minute either.
    """
    responses, recorder = answering(limit_seconds=300)
    await responses.answer(deviation())
    for _ in range(60):
        recorder.clock.move(60)
        await responses.answer(deviation(phase=Phase.LASTS))
        assert recorder.is_limited()
    assert 20 <= [name for name, _ in recorder.done].count("limit") <= 31
    assert [name for name, _ in recorder.done].count("alert") == 1


async def test_two_kinds_at_once_limit_once() -> None:
    """
    A flood that is an enumeration too is limited once and told twice.
    """
    responses, recorder = answering()
    await asyncio.gather(responses.answer(deviation()), responses.answer(deviation(Kind.ENUMERATION)))
    assert sorted(name for name, _ in recorder.done) == ["alert", "alert", "limit", "record_more"]


async def test_a_limit_leaves_room_for_the_usual() -> None:
    """
    A busy principal keeps three times what it usually needs.
    """
    responses, recorder = answering()
    await responses.answer(deviation())
    assert recorder.limits[WHO][0] == 150.0


async def test_a_response_that_fails_is_tried_again_and_keeps_none_from_its_turn(log: io.StringIO) -> None:
    """
    With the datastore away the principal is limited and the alert is out; recording follows when it is back.
    """
    responses, recorder = answering()
    recorder.fails = {"record_more"}
    await responses.answer(deviation())
    assert recorder.done == [("limit", WHO), ("alert", WHO)]
    assert '"response_failed"' in log.getvalue()
    recorder.fails = set()
    await responses.answer(deviation(phase=Phase.LASTS))
    assert recorder.done[-1] == ("record_more", WHO)


async def test_answers_under_way_are_bounded(log: io.StringIO) -> None:
    """
    A storm of deviations does not pile up answers without bound; what is left out is logged.
    """
    responses, recorder = answering()
    for number in range(1000):
        responses.start(deviation(principal=f"issuer/{number}"))
    await responses.settle()
    assert len(recorder.alerts) == 256
    assert log.getvalue().count("responses_overloaded") == 744


async def test_responses_have_defaults_for_every_kind() -> None:
    """
    Every kind and severity that can be told has an answer.
    """
    settings = DetectionSettings()
    assert all(settings.responses_to(kind, Severity.WARNING) for kind in Kind)
    assert settings.responses_to(Kind.HOURS, Severity.INFO) == ()
    assert timedelta(seconds=settings.limit_seconds) <= timedelta(hours=1)
