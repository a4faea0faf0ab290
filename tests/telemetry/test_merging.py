"""The numbers of several workers shown as one service: none is lost, and each says whose it is."""

from __future__ import annotations

from math import inf

from prometheus_client.parser import text_string_to_metric_families

from authz.telemetry.buckets import Distribution
from authz.telemetry.catalogue import CALL_SECONDS
from authz.telemetry.merging import dump_families, load_families, merge
from authz.telemetry.meter import Meter
from authz.telemetry.prometheus import Exposition


def meter(calls: int) -> Meter:
    """The numbers of a worker that has answered so many checks."""
    made = Meter()
    made.observe_source("authz.calls", lambda: {("Check", "OK"): calls})
    counts = (calls, *(0 for _ in CALL_SECONDS))
    made.observe_source("authz.call.duration", lambda: {"Check": Distribution(counts, calls / 1000)})
    made.observe_source("authz.directives.age", lambda: inf)
    made.observe_source("process.cpu", lambda: 1.5)
    return made


def test_every_series_says_whose_it_is() -> None:
    """
    Counters, gauges and histograms come through the socket unchanged, with the label `worker` before their own.
    """
    parts = {str(number): load_families(dump_families(meter(number * 10).collect())) for number in (1, 2)}
    own = Meter()
    own.observe_source("authz.worker.restarts", lambda: {"1": 0, "2": 3})
    _, text = Exposition(merge({"supervisor": own.collect(), **parts})).render("text/plain")
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
    for number in ("1", "2"):
        worker = ("worker", number)
        assert found["authz_calls_total", (("code", "OK"), ("method", "Check"), worker)] == int(number) * 10
        assert found["authz_call_duration_seconds_count", (("method", "Check"), worker)] == int(number) * 10
        assert found["authz_directives_age_seconds", (worker,)] == inf
        assert found["process_cpu_seconds_total", (worker,)] == 1.5
    assert found["authz_worker_restarts_total", (("worker", "2"),)] == 3
    assert text.count(b"# TYPE authz_calls_total counter") == 1


def test_what_a_newer_worker_measures_is_passed_over() -> None:
    """
    While a program is replaced, a metric that this one does not know hides no other.
    """
    raw = b'[["authz.calls",[[["Check","OK"],1]]],["authz.of.tomorrow",[[[],1]]]]'
    assert [family.metric.name for family in load_families(raw)] == ["authz.calls"]
