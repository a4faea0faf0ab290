"""Strong authentication: which calls demand it, and who has it."""

from __future__ import annotations

import pytest

from authz.access.authentication import StrongRules
from authz.access.authentication.strong import MAX_REQUIRED
from authz.call import Principal, Scope
from authz.settings.access import AccessSettings, StrongDemand, StrongRule
from tests.access.authentication.support import JumpingClock

DELETE = "/openfga.v1.OpenFGAService/DeleteStore"
CHECK = "/openfga.v1.OpenFGAService/Check"
ALICE = Principal("main/alice", amr=frozenset({"pwd"}), acr="1")
STRONG = Principal("main/alice", amr=frozenset({"pwd", "mfa"}), acr="2")


def rules(*given: StrongRule, clock: JumpingClock | None = None, step_up: StrongDemand | None = None) -> StrongRules:
    """Rules as an operator gives them."""
    settings = AccessSettings(strong=given) if step_up is None else AccessSettings(strong=given, step_up=step_up)
    return StrongRules(settings, clock or JumpingClock())


def test_nothing_is_demanded_by_default() -> None:
    """
    Without rules every authentication is enough.
    """
    assert rules().demand(Principal("key/a"), Scope.ADMIN, DELETE) is None


def test_rules_match_scopes_and_methods() -> None:
    """
    A rule holds for calls of its classes and for the calls that it names, and for no other.
    """
    for rule in (
        StrongRule(scopes=("model", "admin"), amr=("mfa",)),
        StrongRule(methods=("DeleteStore",), amr=("mfa",)),
        StrongRule(methods=(DELETE,), amr=("mfa",)),
    ):
        strong = rules(rule)
        assert strong.demand(ALICE, Scope.ADMIN, DELETE) == "authentication by `mfa`"
        assert strong.demand(STRONG, Scope.ADMIN, DELETE) is None
        assert strong.demand(ALICE, Scope.CHECK, CHECK) is None


def test_all_rules_and_all_demands_count() -> None:
    """
    One of the classes and all of the methods are demanded, by every rule that matches.
    """
    strong = rules(StrongRule(scopes=("admin",), acr=("2", "3")), StrongRule(scopes=("admin",), amr=("mfa", "hwk")))
    assert strong.demand(ALICE, Scope.ADMIN, DELETE) == "authentication of class `2` or `3`"
    assert strong.demand(STRONG, Scope.ADMIN, DELETE) == "authentication by `hwk`"
    assert strong.demand(Principal("a", acr="3", amr=frozenset({"mfa", "hwk"})), Scope.ADMIN, DELETE) is None
    assert strong.demand(Principal("a", amr=frozenset({"mfa", "hwk"})), Scope.ADMIN, DELETE) is not None


def test_demands_on_a_principal_end_by_themselves() -> None:
    """
    What behaviour gives rise to holds for every call of the principal, for its time, and is never shortened.
    """
    clock = JumpingClock()
    strong = rules(clock=clock)
    strong.require(ALICE.id, clock.monotonic() + 60)
    strong.require(ALICE.id, clock.monotonic() + 10)
    assert strong.demand(ALICE, Scope.CHECK, CHECK) == "authentication by `mfa`"
    assert strong.demand(STRONG, Scope.CHECK, CHECK) is None
    assert strong.demand(Principal("main/bob"), Scope.CHECK, CHECK) is None
    clock.jump(-3600)
    clock.move(59)
    assert strong.demand(ALICE, Scope.CHECK, CHECK) is not None
    clock.move(1)
    assert strong.demand(ALICE, Scope.CHECK, CHECK) is None


def test_demands_are_bounded() -> None:
    """
    However many principals behave oddly, memory has a bound; those that end first make room.
    """
    clock = JumpingClock()
    strong = rules(clock=clock, step_up=StrongDemand(acr=("gold",)))
    for number in range(MAX_REQUIRED + 5):
        strong.require(f"main/{number}", clock.monotonic() + 60 + number)
    assert len(strong._required) == MAX_REQUIRED
    assert strong.demand(Principal(f"main/{MAX_REQUIRED}"), Scope.CHECK, CHECK) == "authentication of class `gold`"
    assert strong.demand(Principal("main/0"), Scope.CHECK, CHECK) is None


@pytest.mark.parametrize("rule", [{"scopes": ["model"]}, {"amr": ["mfa"]}, {"scopes": ["models"], "amr": ["mfa"]}])
def test_rules_that_say_nothing(rule: dict[str, object]) -> None:
    """
    A rule without calls or without a demand is a mistake, and refused.
    """
    with pytest.raises(ValueError, match=r"name|literal|Input"):
        StrongRule.model_validate(rule)
