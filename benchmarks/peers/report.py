"""The figures of peers as a Markdown table. Called by `command`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.peers.measure import AGAIN, MIX, Cost, Plan, Result
from benchmarks.peers.worker import LISTS
from benchmarks.workloads.world import World

_OURS = ("authz", "authz-engine", "authz-server")


def report(world: World, plan: Plan, results: Sequence[Result]) -> str:
    """The table, and below it what was measured of each peer."""
    kinds = list(dict.fromkeys(kind for result in results for kind in result.costs if kind not in {MIX, AGAIN, LISTS}))
    head = ["peer", *kinds, MIX, "to ours", "asked again", "list", "wall", "asking", "tuples/s loaded", "wrong"]
    lines = [
        f"{world.name}: {_sizes(world)}; medians of {plan.repeats} times {plan.checks:,} checks, each asked once; "
        "µs of processor time for each question, of the process that answers; ratios are of the mix, to the first of "
        "ours, apart for servers and for the others",
        "",
        _row(head),
        _row(["---", *["---:"] * (len(head) - 1)]),
    ]
    lines.extend(_row(_figures(result, kinds, results)) for result in results if not result.why_not)
    lines.append("")
    lines.extend(f"- `{result.name}`: {result.why_not or result.note}" for result in results)
    return "\n".join([*lines, ""])


def _figures(result: Result, kinds: Sequence[str], results: Sequence[Result]) -> list[str]:
    costs = result.costs
    mix = costs[MIX]
    ours = _ours(result, results)
    return [
        f"`{result.name}`",
        *(_shown(costs.get(kind), result) for kind in [*kinds, MIX]),
        _ratio(mix.of_peer(is_apart=result.is_apart), ours),
        _shown(costs.get(AGAIN), result),
        _shown(costs.get(LISTS), result),
        _number(mix.wall),
        _number(mix.asking) if result.is_apart else "",
        f"{result.tuples_per_second:,.0f}",
        str(result.wrong),
    ]


def _ours(result: Result, results: Sequence[Result]) -> float | None:
    """What our own costs in the same place: in the asking process, or as a server."""
    for other in results:
        is_ours = other.name.partition("=")[0] in _OURS
        if is_ours and other.costs and other.is_server == result.is_server:
            return other.costs[MIX].of_peer(is_apart=other.is_apart)
    return None


def _ratio(value: float | None, ours: float | None) -> str:
    return f"{value / ours:.2f}" if value and ours else ""


def _shown(cost: Cost | None, result: Result) -> str:
    value = cost.of_peer(is_apart=result.is_apart) if cost else None
    return "?" if cost and value is None else _number(value)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _sizes(world: World) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in world.sizes.items())


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
