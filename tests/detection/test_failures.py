"""Failures to authenticate: what is told of them."""

from __future__ import annotations

from authz.detection import AuthenticationFailures, Phase
from authz.settings.detection import DetectionSettings, Kind, Severity
from tests.detection.support import FakeClock

PEER, SUBJECT = "192.0.2.1", "issuer/anne"


def counting(**settings: object) -> tuple[AuthenticationFailures, FakeClock]:
    """Counters with their clock."""
    clock = FakeClock()
    return AuthenticationFailures(DetectionSettings.model_validate(settings), clock), clock


def test_a_few_failures_are_nothing() -> None:
    """
    Whoever mistypes a few times is not told of.
    """
    failures, _ = counting()
    for _ in range(5):
        failures.note(PEER, SUBJECT, "expired")
    assert failures.tick() == []


def test_a_peer_that_goes_on_is_told_once() -> None:
    """
    However often it fails within some minutes.
    """
    failures, clock = counting()
    for _ in range(20):
        failures.note(PEER, "", "bad signature")
    (told,) = failures.tick()
    assert (told.kind, told.severity, told.phase, told.principal) == (
        Kind.AUTHENTICATION,
        Severity.WARNING,
        Phase.BEGAN,
        "",
    )
    assert told.details == {"pattern": "peer", "distinct": 1, "peer": PEER, "reason": "bad signature"}
    clock.move(900)
    assert failures.tick() == []


def test_spraying_is_told_as_such() -> None:
    """
    One peer that tries many subjects is critical, and no subject is.
    """
    failures, _ = counting()
    for number in range(30):
        failures.note(PEER, f"issuer/{number}", "unknown key")
    (told,) = failures.tick()
    assert (told.details["pattern"], told.details["peer"], told.severity) == ("spraying", PEER, Severity.CRITICAL)


def test_an_attack_on_one_subject_from_everywhere_is_told_as_such() -> None:
    """
    Many peers for one subject are critical, and the subject is not a principal to act on.
    """
    failures, _ = counting()
    for number in range(30):
        failures.note(f"192.0.2.{number}", SUBJECT, "bad signature")
    (told,) = failures.tick()
    assert (told.details["pattern"], told.details["subject"]) == ("distributed", SUBJECT)
    assert (told.severity, told.principal) == (Severity.CRITICAL, "")


def test_one_that_worsens_is_told_again_and_reminded_of() -> None:
    """
    A warning that becomes critical is told; one that goes on is told again after an hour.
    """
    failures, clock = counting()
    told = []
    for _ in range(3 * 3600):
        failures.note(PEER, "", "bad signature")
        clock.move(1)
        told += [each for each in failures.tick() if each.details.get("pattern") == "peer"]
    assert [(each.phase, each.severity) for each in told] == [
        (Phase.BEGAN, Severity.WARNING),
        (Phase.WORSENED, Severity.CRITICAL),
        (Phase.LASTS, Severity.CRITICAL),
        (Phase.LASTS, Severity.CRITICAL),
    ]


def test_the_addresses_of_one_machine_count_as_one() -> None:
    """
    A machine cannot hide in its IPv6 network.
    """
    failures, _ = counting()
    for number in range(20):
        failures.note(f"2001:db8::{number:x}", "", "bad signature")
    assert failures.tick()[0].details["peer"] == "2001:db8::/64"


def test_a_storm_is_told_in_sum() -> None:
    """
    Thousands of peers that fail are told one by one up to a bound, then as a number, and over all.
    """
    failures, clock = counting(failures=2)
    for number in range(3000):
        for _ in range(4):
            failures.note(f"10.0.{number // 256}.{number % 256}", "", "bad signature")
    told = failures.tick()
    assert len(told) <= 21
    assert "overall" in [each.details["pattern"] for each in told]
    clock.move(61)
    (rest,) = failures.tick()
    assert (rest.details["pattern"], rest.observed) == ("many", 3000 - 20 + (len(told) - 21) * -1)


def test_memory_is_bounded() -> None:
    """
    However many peers and subjects fail, only so many are remembered, and who goes on failing is told of.
    """
    failures, _ = counting(max_peers=500)
    for number in range(20_000):
        failures.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"issuer/{number}", "expired")
        if number % 100 == 0:
            failures.note(PEER, "", "bad signature")
    assert len(failures) <= 1000
    assert PEER in [each.details.get("peer") for each in failures.tick()]


def test_what_a_caller_claims_is_shown_harmlessly() -> None:
    """
    A claimed subject is cut short, and what cannot be printed is replaced.
    """
    failures, _ = counting()
    for _ in range(20):
        failures.note(PEER, "a\nb\x1b[31m" + "x" * 1000, "expired")
    shown = next(each.details["subject"] for each in failures.tick() if "subject" in each.details)
    assert isinstance(shown, str)
    assert shown.startswith("a?b?[31mx")
    assert len(shown) == 128
