"""Carry out a run: build each world, open every variant, measure in turn, collect the figures. Called by `cli`.

All variants of a scene are open at the same time, and their windows take turns: whatever else the machine does then
disturbs all of them alike.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.driver.fleet import Fleet, Seen
from benchmarks.driver.items import save as save_script
from benchmarks.driver.items import script
from benchmarks.driver.job import Load
from benchmarks.driver.latencies import Latencies
from benchmarks.extras import BenchmarkError
from benchmarks.measuring import Window, measure_peer, measure_server
from benchmarks.peers.peer import Absent, Failed, Peer, Unsupported, open_peer
from benchmarks.plan import Pace, Scene
from benchmarks.progress import Progress
from benchmarks.results import Figures, Row
from benchmarks.target.databases import Databases
from benchmarks.target.opened import Opened, Opener
from benchmarks.target.variant import Variant
from benchmarks.workloads.naive import contradictions
from benchmarks.workloads.registry import CONDITIONS, build
from benchmarks.workloads.world import World

VERIFIED = 400
"""Questions of each world whose truth is found a second time."""
VERIFIABLE_TUPLES = 1_000_000
"""Worlds beyond are not: the second opinion would need gigabytes."""
VERIFIABLE_DEPTH = 150
"""Nor are deeper ones: it calls itself at every level."""
MAX_ERRORS = 0.01
"""Share of calls that may end in errors before a run counts as failed."""
START = "start"
"""The load of rows that hold cold starts."""


class Collected(NamedTuple):
    """All windows of one load by one variant."""

    repeats: list[Figures]
    latencies: dict[str, Latencies]
    examples: list[str]
    note: str = ""

    def add(self, window: Window) -> None:
        """Take in one more."""
        self.repeats.append(window.figures)
        self.examples.extend(window.examples[: max(5 - len(self.examples), 0)])
        for label, latencies in window.latencies.items():
            known = self.latencies.get(label)
            self.latencies[label] = Latencies([known.encoded, latencies.encoded]) if known else latencies


class Running:
    """One run; `rows` and `problems` grow while it goes on."""

    def __init__(self, variants: Sequence[Variant], pace: Pace, processes: int, progress: Progress) -> None:
        self._variants = variants
        self._pace = pace
        self._processes = processes
        self._progress = progress
        self.rows: list[Row] = []
        self.problems: list[str] = []
        self.opened: dict[str, dict[str, Any]] = {}

    def run(self, scenes: Sequence[Scene], done: Callable[[], None], scratch: Path | None = None) -> None:
        """Measure all scenes; `done` is called after each.

        Raises:
            BenchmarkError: something does not start, cannot be loaded, or fails.

        """
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-bench-", dir=scratch)))
            databases = stack.enter_context(Databases(folder))
            fleet = stack.enter_context(Fleet(self._processes))
            for number, scene in enumerate(scenes, 1):
                self._progress.line(f"scene {number} of {len(scenes)}: {scene.workload}, building")
                world = build(scene.workload, scene.size)
                self._verify(world)
                with Opener(folder, databases, world, self._progress.now) as opener:
                    _Scene(self, scene, world, fleet, folder).measure(opener)
                done()

    def _verify(self, world: World) -> None:
        if world.sizes["tuples"] > VERIFIABLE_TUPLES or world.sizes.get("depth", 0) > VERIFIABLE_DEPTH:
            self._progress.line(f"{world.name}: too large or too deep for a second opinion on its truth")
            return
        found = contradictions(world, CONDITIONS, sample=VERIFIED)
        if found:
            raise BenchmarkError(f"the truth of `{world.name}` is in doubt: {found[0]}")

    @property
    def variants(self) -> Sequence[Variant]:
        """What is measured."""
        return self._variants

    @property
    def pace(self) -> Pace:
        """How long and how often."""
        return self._pace

    @property
    def progress(self) -> Progress:
        """Where to say what goes on."""
        return self._progress


class _Scene:
    """One world, all variants."""

    def __init__(self, run: Running, scene: Scene, world: World, fleet: Fleet, folder: Path) -> None:
        self._run = run
        self._scene = scene
        self._world = world
        self._fleet = fleet
        self._folder = folder
        self._found: dict[tuple[str, str], Collected] = {}
        self._scripts: dict[object, Path] = {}

    def measure(self, opener: Opener) -> None:
        with ExitStack() as stack:
            # Peers first: that one is not to be had here is known before anything is started.
            peers = self._open_peers(stack)
            servers = [opener.open(variant) for variant in self._run.variants if not variant.peer]
            for opened in servers:
                self._note_start(opened)
            try:
                for repeat in range(self._run.pace.repeats):
                    self._repeat(servers, peers, repeat)
            finally:
                self._finish()  # also what was measured before it was interrupted

    def _repeat(self, servers: Sequence[Opened], peers: Mapping[str, Peer], repeat: int) -> None:
        for load in self._scene.loads:
            for opened in servers:
                self._measure_server(opened, load, repeat)
            if load == Load("closed"):
                self._measure_peers(peers, load, repeat)

    def _open_peers(self, stack: ExitStack) -> dict[str, Peer]:
        found = {}
        for variant in self._run.variants:
            peer = self._open_peer(variant) if variant.peer else None
            if peer is not None:
                stack.callback(peer.close)
                found[variant.name] = peer
        return found

    def _note_start(self, opened: Opened) -> None:
        start, name = opened.start, opened.variant.name
        figures = {
            "start to ready": start.ready_seconds,
            "ready to answer": start.answer_seconds,
            "ready to loaded": start.level_seconds,
        }
        known = {figure: value for figure, value in figures.items() if value is not None}
        if opened.server is not None:
            known["server memory"] = opened.server.memory().own / 2**20
        self._found[START, name] = Collected([known], {}, [], f"loaded by {start.loaded} in {start.load_seconds:.1f} s")

    def _measure_server(self, opened: Opened, load: Load, repeat: int) -> None:
        what = f"{self._scene.workload} · {load.shown} · {opened.variant.name} · {repeat + 1}"

        def tell(seen: Seen) -> None:
            self._run.progress.now(f"{what}: {seen.calls:,} calls, {seen.errors} errors, {seen.wrong} wrong")

        seed = f"{self._scene.size.seed} {load.shown} {repeat}"
        window = measure_server(
            opened, self._fleet, self._script(opened, load), load, self._run.pace, seed=seed, tell=tell
        )
        self._take(load.shown, opened.variant.name, window)

    def _script(self, opened: Opened, load: Load) -> Path:
        key = (opened.place, load.mix)
        if load.writes and not self._world.toggles:
            raise BenchmarkError(f"the workload `{self._world.name}` has no tuples to write beside the checks")
        if key not in self._scripts:
            path = self._folder / f"script-{self._scene.workload}-{len(self._scripts)}-{id(self)}.pickle"
            try:
                save_script(path, script(self._world, opened.place, dict(load.mix)))
            except ValueError as error:
                raise BenchmarkError(str(error)) from None
            self._scripts[key] = path
        return self._scripts[key]

    def _open_peer(self, variant: Variant) -> Peer | None:
        self._run.progress.now(f"loading {variant.peer}")
        try:
            peer = open_peer(variant.peer)
        except (Absent, ValueError) as error:
            raise BenchmarkError(str(error)) from None
        try:
            peer.load(self._world)
        except (Unsupported, Failed) as error:
            peer.close()
            self._run.progress.line(f"{variant.name} is left out of {self._world.name}: {error}")
            return None
        return peer

    def _measure_peers(self, peers: Mapping[str, Peer], load: Load, repeat: int) -> None:
        for name, peer in peers.items():
            self._run.progress.now(f"{self._scene.workload} · checks one by one · {name} · {repeat + 1}")
            try:
                window = measure_peer(peer, self._world, self._run.pace)
            except Failed as error:
                raise BenchmarkError(f"{name}: {error}") from None
            self._take(load.shown, name, window, peer.note)

    def _take(self, load: str, variant: str, window: Window, note: str = "") -> None:
        collected = self._found.setdefault((load, variant), Collected([], {}, [], note))
        collected.add(window)
        self._run.progress.line(f"{self._scene.workload} · {load} · {variant}: {_shown(window.figures)}")
        problem = _problem(window)
        if problem:
            self._run.problems.append(f"{problem}: {self._scene.workload}, {load}, {variant}: {window.examples[:1]}")

    def _finish(self) -> None:
        sizes = dict(self._world.sizes) | {"distinct checks": len(self._world.questions)}
        for (load, variant), found in self._found.items():
            texts = {label: latencies.encoded for label, latencies in found.latencies.items()}
            self._run.rows.append(
                Row(
                    self._world.name,
                    sizes,
                    self._scene.growth,
                    load,
                    variant,
                    found.repeats,
                    texts,
                    found.examples,
                    found.note,
                )
            )
        for path in self._scripts.values():
            path.unlink(missing_ok=True)


def _shown(figures: Figures) -> str:
    server = figures.get("server cpu")  # is not known of a server elsewhere
    return (
        f"{figures['throughput']:,.0f}/s, p50 {figures['p50']:,.0f} µs, p99 {figures['p99']:,.0f} µs,"
        + (f" server {server:,.1f} µs/call," if server is not None else "")
        + f" {figures['errors']:.0f} errors, {figures['wrong']:.0f} wrong"
        + (f", {figures['unsent']:.0f} not even asked: more calls than can be answered" if figures["unsent"] else "")
    )


def _problem(window: Window) -> str:
    """Why the figures of a window are worth nothing; empty when they are not."""
    figures = window.figures
    if figures["wrong"]:
        return "wrong answers"
    if not figures["calls"] and not figures["throughput"]:
        return "no answers"
    return "errors" if figures["errors"] > MAX_ERRORS * figures["calls"] else ""
