"""Make sense of what was chosen on the command line: scenes, variants, bounds. Called by `cli`.

Each function raises `BadParameter` (a usage error) or `BenchmarkError` with a message for what it cannot make sense of.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from typer import BadParameter

from benchmarks.peers.peer import PEERS
from benchmarks.plan import SUITES, Pace, Scene, Suite, Wish, loads_of, minutes, scenes
from benchmarks.results import COUNTS, UNITS
from benchmarks.target.variant import Variant, attached, parse_variant, with_setting
from benchmarks.workloads.registry import BUILDERS
from benchmarks.workloads.size import Size

MAX_MINUTES = 240.0
_OPENFGA = "openfga="


def chosen_scenes(suite: str, workloads: Sequence[str], size: Size, wish: Wish) -> list[Scene]:
    """The scenes of a suite, or of the workloads that are named."""
    for name in workloads:
        if name not in BUILDERS:
            raise BadParameter(f"there is no workload `{name}`: there are {', '.join(BUILDERS)}")
    if workloads:
        return [Scene(name, size, loads_of(name, wish)) for name in workloads]
    if size.tuples or size.depth or size.width:
        raise BadParameter("`--tuples`, `--depth` and `--width` are sizes of a `--workload`")
    return scenes(_suite(suite), wish)


def _suite(text: str) -> Suite:
    for suite in SUITES:
        if suite == text:
            return suite
    raise BadParameter(f"there is no suite `{text}`: there are {', '.join(SUITES)}")


def base_variant(given: dict[str, str | None], settings: Sequence[str]) -> Variant:
    """The variant that the options describe; all others differ from it in what they name."""
    found = Variant("")
    for name, value in given.items():
        found = with_setting(found, name, value) if value is not None else found
    for each in settings:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise BadParameter(f"`--set` takes NAME=VALUE, got `{each}`")
        found = with_setting(found, name, value)
    transport = dict(found.settings).get("transport", "grpcio")
    taken = "http" if found.wire == "http" else transport
    return found._replace(name=f"{found.database} {taken} workers={found.workers}")


def chosen_variants(base: Variant, named: Sequence[str], targets: Sequence[str], peers: Sequence[str]) -> list[Variant]:
    """What is named; the base alone when no variant is named and nothing is attached to."""
    own = [parse_variant(text, base) for text in named] or ([] if targets else [base])
    # A peer that speaks our interface is asked by the driver, like any other server.
    addresses = [name.removeprefix(_OPENFGA) for name in peers if name.startswith(_OPENFGA)]
    others = [attached(each)._replace(name=f"{_OPENFGA}{each}") for each in addresses]
    asked = [Variant(name, peer=name) for name in peers if not name.startswith(_OPENFGA)]
    for each in asked:
        if each.peer.partition("=")[0] not in PEERS:
            raise BadParameter(f"there is no peer `{each.peer}`: there are {', '.join(PEERS)}")
    found = [*own, *map(attached, targets), *others, *asked]
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise BadParameter(f"two variants are named `{name}`")
    return found


def check_bounds(measured: Sequence[Scene], variants: Sequence[Variant], pace: Pace) -> None:
    """Refuse what would take hours."""
    taken = minutes(measured, len(variants), pace)
    if taken > MAX_MINUTES:
        raise BadParameter(f"this would take {taken:.0f} minutes: the most is {MAX_MINUTES:.0f}")


def chosen_pace(usual: Pace, seconds: float | None, warm_up: float | None, repeats: int | None) -> Pace:
    """The usual pace but for what is named."""
    named = {"seconds": seconds, "warm_up": warm_up, "repeats": repeats}
    return usual._replace(**{name: value for name, value in named.items() if value is not None})  # type: ignore[arg-type]


def check_out(path: Path) -> None:
    """Refuse a result file that cannot be written, before anything is measured for it."""
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(f"cannot write to `{path}`: {error.strerror}") from None
    if path.is_dir() or not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise BadParameter(f"cannot write to `{path}`")


def check_figures(names: Sequence[str]) -> None:
    """Refuse figures that nothing is compared by."""
    known = [name for name in UNITS if name not in COUNTS]
    for name in names:
        if name not in known:
            raise BadParameter(f"there is no figure `{name}`: there are {', '.join(known)}")


def check_clients(connections: int, processes: int, scratch: Path | None) -> None:
    """Refuse clients that would have nothing to do, and folders that do not exist."""
    if connections < processes:
        raise BadParameter("there are fewer connections than client processes")
    if scratch is not None and not scratch.is_dir():
        raise BadParameter(f"there is no folder `{scratch}`")
