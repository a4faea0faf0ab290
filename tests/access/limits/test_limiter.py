"""Rates of principals and stores: tiers, costs, restrictions."""

from __future__ import annotations

from typing import Any

import pytest

from authz.access.limits.limiter import LocalLimiter
from authz.access.limits.work import Price, Work, price_of
from authz.call import Scope
from authz.settings.limits import Costs, LimitsSettings, Tier
from tests.access.limits.support import StillClock

CHECK = Work.CHECK


def limiter(clock: StillClock | None = None, workers: int = 1, **settings: Any) -> LocalLimiter:
    """A limiter whose tiers are small: `ten` and `two` allow that many units of everything a minute."""
    classes = ("check", "list", "read", "write", "model", "admin")
    rates = {"ten": "10/minute", "two": "2/minute"}
    small = {name: Tier.model_validate(dict.fromkeys(classes, rate)) for name, rate in rates.items()}
    chosen = {"tier": "ten", "tiers": small, **settings}
    return LocalLimiter(LimitsSettings(**chosen), clock or StillClock(), workers)


def admitted(limits: LocalLimiter, principal: str, work: Work = CHECK, cost: float = 1) -> int:
    """How many calls are admitted at once."""
    count = 0
    while limits.admit(principal, work, cost) is None:
        count += 1
    return count


def test_principals_have_allowances_of_their_own() -> None:
    """One principal's flood takes nothing from another, nor from its own other classes of work."""
    limits = limiter()
    assert [admitted(limits, "a"), admitted(limits, "b"), admitted(limits, "a", Work.WRITE)] == [10, 10, 10]
    assert limits.admit("a", CHECK, 1) == pytest.approx(6.0)
    assert limits.refused_principals == 4


def test_tiers_by_id_and_by_beginning() -> None:
    """The exact id counts first, then the longest beginning, then the tier of everybody else."""
    limits = limiter(
        principals={"okta/*": "two", "okta/batch": "ten", "okta/vip/*": "ten", "*": "two"}, tier="standard"
    )
    found = {name: admitted(limits, name) for name in ("okta/x", "okta/batch", "okta/vip/y", "other/x")}
    assert found == {"okta/x": 2, "okta/batch": 10, "okta/vip/y": 10, "other/x": 2}


def test_workers_share_a_rate() -> None:
    """Of several processes each allows its share."""
    assert admitted(limiter(workers=5), "a") == 2


def test_bursts() -> None:
    """A tier says how many periods' worth may come at once."""
    tiers = {"t": Tier(check="10/second", burst=3.0), "u": Tier(check="10/hour", burst=0.5)}
    assert admitted(limiter(tiers=tiers, tier="t"), "a") == 30
    assert admitted(limiter(tiers=tiers, tier="u"), "a") == 5


def test_stores_are_bounded_for_all_principals_together() -> None:
    """A store's rate holds whoever calls, and other stores have their own."""
    limits = limiter(stores={"S": "two"}, tier="standard")
    assert [limits.admit_store("S", name, CHECK, 1) is None for name in "abc"] == [True, True, False]
    assert limits.admit_store("T", "a", CHECK, 1) is None
    assert limits.refused_stores == 1


def test_what_the_request_tells_is_charged_to_principal_and_store() -> None:
    """The items beyond the first are taken from both, when they are known."""
    limits = limiter(store_tier="ten")
    assert limits.admit("a", CHECK, 1) is None
    assert limits.admit_store("S", "a", CHECK, 1, 7) is None
    assert admitted(limits, "a") == 2
    assert [limits.admit_store("S", "b", CHECK, 1, 0) is None for _ in range(3)] == [True, True, False]
    wait = limits.admit_store("T", "a", CHECK, 1, 5)
    assert wait == pytest.approx(36.0)  # with the first unit, which is taken again then


def test_prices() -> None:
    """Lists are a class of their own and dearer than a check; batches and writes cost by item."""
    costs = Costs()
    assert price_of("Check", Scope.CHECK, costs) == Price(CHECK, 1, 0)
    assert price_of("ListObjects", Scope.CHECK, costs) == Price(Work.LIST, 10, 0)
    assert price_of("StreamedListObjects", Scope.CHECK, costs).work is Work.LIST
    assert price_of("Expand", Scope.READ, costs).cost > price_of("GetStore", Scope.READ, costs).cost
    assert price_of("BatchCheck", Scope.CHECK, Costs(batch_check=0.5)).extra(50) == 24.5
    assert price_of("Write", Scope.WRITE, costs).extra(100) == 99
    assert price_of("Write", Scope.WRITE, costs).extra(0) == 0
    assert price_of("Check", Scope.CHECK, costs).extra(1) == 0
    assert price_of("Unheard", Scope.ADMIN, costs) == Price(Work.ADMIN, 1, 0)


def test_a_restriction_holds_over_all_classes_until_its_end() -> None:
    """A restricted principal gets its units a second of everything together; then it is free again."""
    clock = StillClock()
    limits = limiter(clock, tier="standard")
    limits.restrict("a", 2, clock.time + 60)
    assert admitted(limits, "a", CHECK) + admitted(limits, "a", Work.READ) == 2
    assert limits.admit("a", CHECK, 1) == pytest.approx(0.5)
    assert limits.admit("b", CHECK, 1) is None
    clock.time += 59
    assert admitted(limits, "a") == 2
    clock.time += 1
    assert all(limits.admit("a", CHECK, 1) is None for _ in range(100))


def test_a_restriction_to_nothing_and_its_end() -> None:
    """A rate of 0 refuses everything until its end, or until it is lifted."""
    clock = StillClock()
    limits = limiter(clock, tier="standard")
    limits.restrict("a", 0, clock.time + 60)
    assert limits.admit("a", CHECK, 1) == 60
    limits.restrict("a", 0, clock.time)
    assert limits.admit("a", CHECK, 1) is None


def test_restrictions_survive_a_flood_of_newcomers_and_are_bounded() -> None:
    """No number of other principals frees one that is restricted; of too many restrictions those that end first go."""
    clock = StillClock()
    limits = limiter(clock, max_tracked=50)
    limits.restrict("a", 0, clock.time + 3600)
    for number in range(1000):
        limits.admit(f"newcomer {number}", CHECK, 1)
        limits.restrict(f"bad {number}", 0, clock.time + 60)
    assert limits.admit("a", CHECK, 1) == 3600
    assert limits.admit("bad 999", CHECK, 1) == 60
    assert limits.admit("bad 1", CHECK, 1) != 60


def test_setting_the_clock_moves_nothing() -> None:
    """Allowances follow monotonic time alone."""
    clock = StillClock()
    limits = limiter(clock)
    assert admitted(limits, "a") == 10
    clock.wall = clock.wall.replace(year=2050)
    assert limits.admit("a", CHECK, 1) is not None
    clock.wall = clock.wall.replace(year=1990)
    clock.time += 6
    assert limits.admit("a", CHECK, 1) is None


@pytest.mark.parametrize("restricted", [False, True])
def test_a_call_that_costs_more_than_everything(restricted: bool) -> None:
    """A batch beyond the whole allowance is served out of a whole one, and whoever waits as told is served."""
    clock = StillClock()
    limits = limiter(clock, tier="standard" if restricted else "ten", store_tier="standard")
    if restricted:
        limits.restrict("a", 10 / 60, clock.time + 1e6)

    def batch() -> float | None:
        wait = limits.admit("a", CHECK, 1)
        return limits.admit_store("s", "a", CHECK, 1, 49) if wait is None else wait

    assert limits.admit("a", CHECK, 1) is None
    wait = batch()
    assert wait is not None
    clock.time += wait
    assert batch() is None
    wait = batch()
    assert wait is not None
    assert wait > 40 * 6
