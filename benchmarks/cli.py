"""The program `python -m benchmarks`: run, compare, report; and the one place where errors become exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from benchmarks import options
from benchmarks.choices import (
    base_variant,
    check_bounds,
    check_clients,
    check_figures,
    check_out,
    chosen_pace,
    chosen_scenes,
    chosen_variants,
)
from benchmarks.extras import BenchmarkError
from benchmarks.micro.command import micro
from benchmarks.noise import FLOOR
from benchmarks.peers.command import peers
from benchmarks.plan import QUESTIONS, Pace, Wish
from benchmarks.workloads.size import Size

DONE, FAILED, USAGE, BROKEN = 0, 1, 2, 3
"""Exit codes: all is right; wrong answers or errors; the command cannot be understood; something does not work here."""
INTERRUPTED = 130
_QUICK = Pace(seconds=1.5, warm_up=0.5, repeats=2)

app = typer.Typer(
    name="benchmarks",
    help="Measure what authorization costs: run workloads, compare two runs, write a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def run(
    *,
    out: options.Out = Path("benchmarks-results.json"),
    suite: options.SuiteName = "reference",
    workload: options.Workloads = None,
    tuples: options.Tuples = None,
    depth: options.Depth = None,
    width: options.Width = None,
    quick: options.Quick = False,
    seconds: options.Seconds = None,
    warm_up: options.WarmUp = None,
    repeats: options.Repeats = None,
    database: options.DatabaseName = "sqlite",
    transport: options.Transport = None,
    workers: options.Workers = 1,
    auth: options.AuthName = "none",
    wire: options.WireName = "grpc",
    index_budget: options.IndexBudget = None,
    settings: options.Settings = None,
    variants: options.Variants = None,
    targets: options.Targets = None,
    peers: options.Peers = None,
    processes: options.Processes = 1,
    connections: options.Connections = 4,
    streams: options.Streams = 8,
    rate: options.Rate = 500.0,
    writes: options.Writes = 100.0,
    questions: options.Questions = None,
    max_tuples: options.MaxTuples = 5_000_000,
    seed: options.Seed = 1,
    scratch: options.Scratch = None,
) -> int:
    """Load worlds, ask them, check every answer against the truth, and write the figures.

    Ends with 1 when an answer was wrong or too many calls failed.
    """
    check_clients(connections, processes, scratch)
    check_out(out)
    wish = Wish(connections, streams, rate, writes, questions, seed, max_tuples)
    size = Size(tuples, depth, width, questions or QUESTIONS, seed)
    scenes = chosen_scenes("quick" if quick else suite, workload or [], size, wish)
    pace = chosen_pace(_QUICK if quick else Pace(), seconds, warm_up, repeats)
    given = {"database": database, "auth": auth, "wire": wire, "transport": transport, "index-budget": index_budget}
    base = base_variant({**given, "workers": str(workers)}, settings or [])
    measured = chosen_variants(base, variants or [], targets or [], peers or [])
    check_bounds(scenes, measured, pace)
    from benchmarks.session import measure

    return measure(scenes, measured, pace, processes=processes, out=out, scratch=scratch, command=sys.argv[1:])


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A result file, or FILE#VARIANT.")],
    second: Annotated[str, typer.Argument(help="Another.")],
    floor: Annotated[float, typer.Option(min=0, max=1, help="Differences below count as noise in any case.")] = FLOOR,
    figure: Annotated[list[str] | None, typer.Option(help="Only this figure, such as p50; may be repeated.")] = None,
) -> int:
    """Show two runs side by side, with ratios, and say which differences are more than noise."""
    from benchmarks.compare import compare as compare_sides
    from benchmarks.compare import side, summary, table, warnings

    check_figures(figure or [])
    sides = side(first), side(second)
    lines = [line for line in compare_sides(*sides, floor=floor) if not figure or line.figure in figure]
    for warning in warnings(*sides):
        print(f"warning: {warning}", file=sys.stderr)
    print(table(lines))
    print(summary(lines))
    return DONE


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the report and its plots go.")] = Path("report"),
) -> int:
    """Write a report in Markdown, with plots (SVG) beside it."""
    from benchmarks.report.write import write_report
    from benchmarks.results import read

    path = write_report([read(each) for each in results], out)
    print(path)
    return DONE


app.command()(peers)
app.command()(micro)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code, and never raises."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    _end_in_order()
    try:
        code = app(
            args=list(sys.argv[1:] if arguments is None else arguments), prog_name="benchmarks", standalone_mode=False
        )
        if code == INTERRUPTED:  # typer makes a number of it
            return _fail("interrupted", INTERRUPTED)
        return code if isinstance(code, int) else DONE
    except BenchmarkError as error:
        return _fail(str(error), BROKEN)
    except typer.TyperException as error:
        message = error.format_message().rstrip()
        if type(error).__name__ == "NoArgsIsHelpError":
            print(message)
            return USAGE
        return _fail(message[:1].lower() + message[1:].rstrip("."), USAGE)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)


def _end_in_order() -> None:
    """Let other signals end a command as Ctrl-C does: servers are stopped, and what they wrote is removed."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
