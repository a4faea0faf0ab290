"""One call of `run`: carry it out, keep the result file up to date, say at the end what came out. Called by `cli`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.extras import BenchmarkError, need
from benchmarks.machine import facts
from benchmarks.plan import Pace, Scene, measurements, minutes
from benchmarks.progress import Progress
from benchmarks.report.tables import console_table
from benchmarks.results import Results, save
from benchmarks.running import Running
from benchmarks.target.variant import Variant, check_settings

DONE, FAILED = 0, 1
_PATHS = ("--out", "-o", "--scratch")


def measure(
    scenes: Sequence[Scene],
    variants: Sequence[Variant],
    pace: Pace,
    *,
    processes: int,
    out: Path,
    scratch: Path | None,
    command: Sequence[str],
) -> int:
    """Run, and return the exit code.

    Raises:
        BenchmarkError: something does not start or fails; what was measured until then is in the file.

    """
    need("hdrh.histogram", "hdrhistogram")
    need("psutil", "psutil")
    check_settings(variants)
    machine = facts()
    settings = {"pace": pace._asdict(), "client processes": processes}
    described = {variant.name: variant._asdict() for variant in variants}
    with Progress() as progress:
        count, taken = measurements(scenes, len(variants), pace), minutes(scenes, len(variants), pace)
        load = machine["load before"]
        progress.line(f"{count} windows, {taken:.1f} minutes besides loading; load of the machine {load}")
        running = Running(variants, pace, processes, progress)

        def results() -> Results:
            return Results(without_paths(command), machine, settings, described, running.rows, running.problems)

        try:
            running.run(scenes, lambda: save(results(), out), scratch)
        except (BenchmarkError, KeyboardInterrupt) as error:
            running.problems.append(str(error) or "interrupted")
            raise
        finally:
            save(results(), out)
    print(console_table(running.rows))
    for problem in running.problems:
        print(f"failed: {problem}")
    print(f"figures are in {out}")
    return FAILED if running.problems else DONE


def without_paths(command: Sequence[str]) -> list[str]:
    """The arguments that say what was measured, and not where on this machine it lies."""
    kept: list[str] = []
    given = iter(command)
    for argument in given:
        if argument in _PATHS:
            next(given, None)
        elif not argument.startswith(tuple(f"{name}=" for name in _PATHS)):
            kept.append(argument)
    return kept
