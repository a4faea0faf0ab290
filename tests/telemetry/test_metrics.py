"""Metrics: what is counted, under which names, and that callers cannot make series."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from authz.call import ANONYMOUS, Authentication, Principal, Scope
from authz.clock import SystemClock
from authz.errors import Bug
from authz.settings.telemetry import TelemetrySettings
from authz.telemetry import Buckets, Meter, Readiness, Telemetry, open_telemetry
from authz.telemetry.calls import MAX_REASONS, OTHER, Calls, labels_of
from authz.telemetry.catalogue import CALL_SECONDS, GROUPS, METRICS, Kind
from authz.telemetry.process import observe_process
from authz.telemetry.prometheus import Exposition
from tests.telemetry.support import METHODS, SERVICE, TestClock, attributes, collector, completed, refused

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def counting() -> Telemetry:
    """Telemetry that counts."""
    labels = labels_of(METHODS)
    return Telemetry(Readiness(lambda: 0.0), labels, Calls(labels.values()))


def samples(meter: Meter) -> Samples:
    """Every sample as Prometheus reads it."""
    _, text = Exposition(meter).render("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """One sample."""
    return found[name, tuple(sorted(labels.items()))]


def test_calls_are_counted_by_method_and_code() -> None:
    """
    Count, latency, sizes and decisions of what ended; what runs is seen as running.
    """
    telemetry = counting()
    check, write = telemetry.watch(SERVICE, "Check"), telemetry.watch(SERVICE, "Write")
    for decisions in ((True,), (False,), (True, False, None)):
        check.end(check.begin(()), completed(decisions=decisions, request_bytes=10, response_bytes=3))
    write.end(write.begin(()), completed("ABORTED", "Aborted", scope=Scope.WRITE, seconds=0.3))
    write.begin(())
    found = samples(telemetry.meter)
    assert value(found, "authz_calls_total", method="Check", code="OK") == 3
    assert value(found, "authz_calls_total", method="Write", code="OK") == 0
    assert value(found, "authz_calls_total", method="Write", code="ABORTED") == 1
    assert value(found, "authz_calls_active", method="Write") == 1
    assert value(found, "authz_call_received_bytes_total", method="Check") == 30
    assert value(found, "authz_call_sent_bytes_total", method="Check") == 9
    assert [
        value(found, "authz_decisions_total", method="Check", outcome=outcome)
        for outcome in ("allowed", "denied", "failed")
    ] == [2, 2, 1]
    assert value(found, "authz_call_duration_seconds_bucket", method="Check", le="0.00025") == 0
    assert value(found, "authz_call_duration_seconds_bucket", method="Check", le="0.0005") == 3
    assert value(found, "authz_call_duration_seconds_count", method="Check") == 3
    assert value(found, "authz_call_duration_seconds_sum", method="Write") == pytest.approx(0.3)
    assert value(found, "authz_errors_total", code="ABORTED", reason="Aborted") == 1


def test_callers_are_counted_by_how_they_proved_themselves() -> None:
    """
    Who was known, who was not and why, who had no right, who asked too much.
    """
    telemetry = counting()
    watch = telemetry.watch(SERVICE, "Check")
    for ends in (
        completed(),
        completed(principal=Principal("cert/a", Authentication.CERTIFICATE)),
        completed(principal=ANONYMOUS),
        completed("PERMISSION_DENIED", "forbidden", scope=Scope.MODEL),
        completed("RESOURCE_EXHAUSTED", "resource_exhausted"),
        completed("RESOURCE_EXHAUSTED", "resource_exhausted", ANONYMOUS),
        refused(),
        refused("bearer_token_missing"),
    ):
        watch.end(watch.begin(()), ends)
    found = samples(telemetry.meter)
    by = {how: value(found, "authz_authentications_total", by=how) for how in ("token", "certificate", "none")}
    assert by == {"token": 3, "certificate": 1, "none": 1}
    assert value(found, "authz_authentication_failures_total", reason="bearer_token_missing") == 1
    assert value(found, "authz_authentication_failures_total", reason="auth_failed_invalid_bearer_token") == 1
    assert value(found, "authz_authorization_refused_total", **{"class": "model"}) == 1
    assert value(found, "authz_limits_refused_total", **{"class": "check"}) == 2


def test_callers_make_no_series() -> None:
    """
    Methods that do not exist are one series, and so are reasons beyond a bound.
    """
    telemetry = counting()
    for number in range(1000):
        watch = telemetry.watch(SERVICE, f"Method{number}")
        watch.end(watch.begin(()), completed("UNIMPLEMENTED", f"reason{number}", ANONYMOUS))
    found = samples(telemetry.meter)
    assert value(found, "authz_calls_total", method=OTHER, code="UNIMPLEMENTED") == 1000
    reasons = [labels for name, labels in found if name == "authz_errors_total"]
    assert len(reasons) == MAX_REASONS + 1
    assert value(found, "authz_errors_total", code="UNIMPLEMENTED", reason="other") == 1000 - MAX_REASONS


def test_methods_of_one_name_are_told_apart() -> None:
    """
    The service stands in front only where it must.
    """
    labels = labels_of(["/a.v1.Access/List", "/b.v1.Audit/List", "/b.v1.Audit/Query"])
    assert list(labels.values()) == ["Access/List", "Audit/List", "Query"]


@given(st.lists(st.floats(min_value=0, max_value=10)))
def test_buckets_hold_every_value(values: list[float]) -> None:
    """
    Each value is in the first bucket whose bound it does not exceed.
    """
    buckets = Buckets(CALL_SECONDS)
    for each in values:
        buckets.record(each)
    counts, total = buckets.read()
    assert total == pytest.approx(sum(values))
    bounds = (*CALL_SECONDS, float("inf"))
    assert [sum(each <= bound for each in values) for bound in bounds] == [
        sum(counts[: place + 1]) for place in range(len(bounds))
    ]


def test_sources_are_read_when_asked() -> None:
    """
    A metric may have several sources: one a label, or one that knows all labels.
    """
    meter = Meter()
    hits = {"decisions": 3}
    meter.observe_source("authz.cache.hits", lambda: 5, "tokens")
    meter.observe_source("authz.cache.hits", lambda: hits)
    meter.observe_source("authz.audit.queued", lambda: 7)
    meter.observe_source("authz.index.lag", lambda: None)
    found = samples(meter)
    assert value(found, "authz_cache_hits_total", cache="tokens") == 5
    assert value(found, "authz_cache_hits_total", cache="decisions") == 3
    assert value(found, "authz_audit_queued") == 7
    assert ("authz_index_lag", ()) not in found
    hits["decisions"] = 4
    assert value(samples(meter), "authz_cache_hits_total", cache="decisions") == 4


def test_a_broken_source_hides_no_other() -> None:
    """
    It is left out and counted by name; whether it raises or gives what the metric is not.
    """
    meter = Meter()
    meter.observe_source("authz.audit.queued", lambda: 1 / 0)
    meter.observe_source("authz.audit.capacity", lambda: Buckets((1.0,)).read())
    meter.observe_source("authz.cache.hits", lambda: 1)
    meter.observe_source("authz.index.tuples", lambda: 9)
    found = samples(meter)
    assert value(found, "authz_index_tuples") == 9
    broken = {dict(labels)["metric"] for name, labels in found if name == "authz_telemetry_failures_total"}
    assert broken == {"authz.audit.queued", "authz.audit.capacity", "authz.cache.hits"}


@pytest.mark.parametrize(("name", "labels"), [("authz.unheard.of", ()), ("authz.audit.queued", ("a",))])
def test_only_the_catalogue_is_measured(name: str, labels: tuple[str, ...]) -> None:
    """
    A source for something undocumented is a mistake in the program.
    """
    with pytest.raises(Bug):
        Meter().observe_source(name, lambda: 0, *labels)


def test_tables_that_grow_while_they_are_read() -> None:
    """
    A scrape on another thread sees whole numbers although the event loop goes on counting.
    """
    telemetry = counting()
    watch = telemetry.watch(SERVICE, "Check")
    is_done = threading.Event()

    def scrape() -> None:
        while not is_done.is_set():
            telemetry.meter.collect()

    thread = threading.Thread(target=scrape)
    thread.start()
    for number in range(3000):
        watch.end(watch.begin(()), completed("ABORTED", f"reason{number % 300}"))
    is_done.set()
    thread.join()
    found = samples(telemetry.meter)
    assert value(found, "authz_calls_total", method="Check", code="ABORTED") == 3000
    assert not any(name == "authz_telemetry_failures_total" for name, _ in found)


def test_names_are_those_of_the_trade() -> None:
    """
    Units are base units in the name, counters end in `_total`, and everything says what it is.
    """
    assert [name for name in METRICS if not re.fullmatch(r"(authz|process)(\.[a-z]+)+", name)] == []
    names = [metric.prometheus for metric in METRICS.values()]
    assert len(set(names)) == len(names) == sum(len(group) for _, group in GROUPS)
    for metric in METRICS.values():
        assert metric.prometheus.endswith("_total") is (metric.kind is Kind.COUNTER)
        assert bool(metric.bounds) is (metric.kind is Kind.HISTOGRAM)
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert metric.help.endswith(".")
    assert METRICS["process.cpu"].prometheus == "process_cpu_seconds_total"
    assert METRICS["authz.audit.oldest.age"].prometheus == "authz_audit_oldest_age_seconds"


def test_no_label_names_a_store_a_caller_or_an_address() -> None:
    """
    The number of series does not grow with the number of tenants or callers.
    """
    labels = {label for metric in METRICS.values() for label in metric.labels}
    assert not labels & {"store", "store_id", "model", "principal", "user", "subject", "peer", "client", "address"}


def test_both_formats_are_well_formed() -> None:
    """
    Prometheus gets what it asks for; its own parsers read it.
    """
    telemetry = counting()
    observe_process(telemetry.meter, TestClock(), "1.2.3")
    exposition = Exposition(telemetry.meter)
    for accept, read in (
        ("text/plain;version=0.0.4", text_string_to_metric_families),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", openmetrics_families),
        ("", text_string_to_metric_families),
    ):
        content_type, text = exposition.render(accept)
        assert content_type.startswith(accept.partition(";")[0] or "text/plain")
        names = {sample.name for family in read(text.decode()) for sample in family.samples}
        assert {"authz_calls_total", "process_cpu_seconds_total", "authz_build_info"} <= names


@pytest.mark.anyio
async def test_the_collector_gets_the_same_numbers() -> None:
    """
    Counters are cumulative sums, histograms keep their buckets, and the last counts are not lost at the end.
    """
    settings: dict[str, Any] = {"metrics_push": "otlp", "metrics_push_interval": 60}
    with collector() as received:
        given_ = TelemetrySettings(otlp_endpoint=received.url, **settings)
        async with open_telemetry(given_, methods=METHODS, clock=SystemClock(), version="1") as telemetry:
            watch = telemetry.watch(SERVICE, "Check")
            watch.end(watch.begin(()), completed(seconds=0.002))
    found = received.last_metrics()
    (calls,) = [p for p in found["authz.calls"].sum.data_points if attributes(p)["method"] == "Check"]
    assert found["authz.calls"].sum.is_monotonic
    assert (calls.as_int, attributes(calls)["code"]) == (1, "OK")
    (took,) = [p for p in found["authz.call.duration"].histogram.data_points if attributes(p)["method"] == "Check"]
    assert (took.count, took.sum, list(took.explicit_bounds)) == (1, 0.002, list(CALL_SECONDS))
    assert took.bucket_counts[CALL_SECONDS.index(0.0025)] == 1
    assert not took.HasField("min")
    assert found["authz.call.duration"].unit == "s"
    assert found["process.resident.memory"].gauge.data_points[0].as_int > 1_000_000
