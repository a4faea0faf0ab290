"""Our engine beside others under the same questions: `python -m benchmarks peers`. Mounted by `cli`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.extras import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.peers.measure import Result

DEFAULT = ("authz-engine", "authz", "pemba", "pemba=sqlite", "spicedb", "authz-server")
WHOM = (
    "Whom to ask; may be repeated: authz-engine, authz, authz-server[=NAME=VALUE,…], pemba, pemba=sqlite, spicedb, "
    "openfga=HOST:PORT[,in_flight=N]."
)


def peers(
    *,
    peer: Annotated[list[str] | None, typer.Option(help=WHOM)] = None,
    workload: Annotated[str, typer.Option(help="Which world.")] = "reference",
    tuples: Annotated[int | None, typer.Option(min=100, help="About how many; else those of the workload.")] = None,
    checks: Annotated[int, typer.Option(min=10, help="Different checks in each repeat.")] = 1_000,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="After one that warms up.")] = 5,
    lists: Annotated[int, typer.Option(min=0, help="Lists of objects in each repeat.")] = 5,
    seed: Annotated[int, typer.Option(help="Another seed is another world.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the figures here as JSON.")] = None,
) -> int:
    """Put the same checks to other engines and to ours, in turn, and show processor time with ratios.

    Ends with 1 when one of ours answered wrongly or not at all.
    """
    from benchmarks.choices import check_out
    from benchmarks.peers.measure import Plan, compare
    from benchmarks.peers.peer import PEERS
    from benchmarks.peers.report import report
    from benchmarks.workloads.registry import BUILDERS, build
    from benchmarks.workloads.size import Size

    if workload not in BUILDERS:
        raise BenchmarkError(f"there is no workload `{workload}`: there are {', '.join(BUILDERS)}")
    for name in peer or ():
        if name.partition("=")[0] not in PEERS:
            raise BenchmarkError(f"there is no peer `{name}`: there are {', '.join(PEERS)}")
    if out:
        check_out(out)
    plan = Plan(checks, repeats, lists)
    make = partial(build, workload, Size(tuples=tuples, questions=plan.questions, seed=seed))
    world = make()
    if len(world.questions) < plan.questions:
        found = f"the world has {len(world.questions):,} different checks, and {plan.questions:,} are needed"
        raise BenchmarkError(f"{found}: ask for fewer, or for more tuples")
    results = compare(make, peer or DEFAULT, plan, _tell)
    print(report(world, plan, results))
    if out:
        out.write_text(json.dumps(_plain(results), indent=2), encoding="utf-8")
    ours = [result for result in results if result.name.startswith("authz")]
    return 1 if any(result.wrong or result.why_not for result in ours) else 0


def _plain(results: Sequence[Result]) -> list[dict[str, object]]:
    return [
        result._asdict() | {"costs": {kind: cost._asdict() for kind, cost in result.costs.items()}}
        for result in results
    ]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
