"""What operators load into their own tools: it parses, and it asks only for what the service has."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from authz.settings import PREFIX, Settings
from authz.settings.load import section_of
from authz.telemetry.catalogue import METRICS, Kind, Metric, table

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "authz.json"
RULES = DEPLOY / "prometheus" / "authz-alerts.yml"

BY_NAME = {metric.prometheus: metric for metric in METRICS.values()}
_PARTS = ("_bucket", "_count", "_sum")
_FUNCTIONS = {"sum", "max", "count", "rate", "increase", "changes", "histogram_quantile", "time"}
_WORDS = {"by", "on", "and"}
_COUNTING = {"rate", "increase"}
_EVERYWHERE = {"instance", "job", "le"}
_TOKEN = re.compile(
    r"""(?P<text>"[^"]*")|(?P<range>\[[^\]]*\])|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9.]+)"""
    r"""|(?P<sign>[(){},]|=~|!~|!=|==|>=|<=|[-+*/<>=])|(?P<blank>\s+)"""
)
_RANGES = re.compile(r"\[(\d+[smhd]|\$__rate_interval)\]")


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression with where it stands."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in rules():
        yield rule["alert"], rule["expr"]


def tokens(expression: str) -> list[tuple[str, str]]:
    """The words of an expression with their kinds; fails on what is none."""
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        assert match, f"cannot read {expression[place:]!r}"
        if match.lastgroup != "blank":
            found.append((str(match.lastgroup), match.group()))
        place = match.end()
    return found


def asked(words: list[tuple[str, str]]) -> Iterator[tuple[int, str]]:
    """The metrics in an expression, by their place among its words."""
    depth = 0
    for place, (kind, text) in enumerate(words):
        depth += {"{": 1, "}": -1}.get(text, 0)
        is_plain = kind == "name" and not depth and text not in _FUNCTIONS | _WORDS
        if is_plain and not _is_label(words, place):
            yield place, text


def _is_label(words: list[tuple[str, str]], place: int) -> bool:
    """Whether a word stands in the brackets behind `by` or `on`."""
    before = [text for _, text in words[:place]]
    opened = max((n for n, text in enumerate(before) if text == "("), default=-1)
    return opened > 0 and ")" not in before[opened:] and before[opened - 1] in ("by", "on")


def metric_of(name: str) -> Metric:
    """The metric behind a name on Prometheus, or behind the parts of a histogram."""
    if name in BY_NAME:
        assert BY_NAME[name].kind is not Kind.HISTOGRAM, f"{name} has no value of its own"
        return BY_NAME[name]
    part = next((part for part in _PARTS if name.endswith(part)), "")
    assert part, f"{name} is not in the catalogue"
    assert name.removesuffix(part) in BY_NAME, f"{name} is not in the catalogue"
    return BY_NAME[name.removesuffix(part)]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_asks_for_what_exists(where: str, expression: str) -> None:
    """
    Brackets match, metrics and labels are in the catalogue, counters and histograms are rates and gauges are not.
    """
    words = tokens(expression)
    texts = [text for _, text in words]
    for left, right in ("()", "{}"):
        assert texts.count(left) == texts.count(right)
    assert all(_RANGES.fullmatch(text) for kind, text in words if kind == "range")
    metrics: list[Metric] = []
    for place, name in asked(words):
        if name == "up":
            continue
        metric = metric_of(name)
        metrics.append(metric)
        inside = texts[place - 2] if place >= 2 and texts[place - 1] == "(" else ""
        assert (inside in _COUNTING) is (metric.kind is not Kind.GAUGE) or inside == "changes", f"{name} in {inside}"
    labels = _EVERYWHERE | {label for metric in metrics for label in metric.labels}
    assert metrics or "up" in texts
    assert _labels(words) <= labels
    if "histogram_quantile" in texts:
        assert "le" in texts


def _labels(words: list[tuple[str, str]]) -> set[str]:
    """Labels that an expression selects or groups by."""
    selected = {text for n, (kind, text) in enumerate(words[:-1]) if kind == "name" and words[n + 1][1] in _MATCHERS}
    grouped = {text for n, (kind, text) in enumerate(words) if kind == "name" and _is_label(words, n)}
    return selected | grouped


_MATCHERS = {"=", "=~", "!=", "!~"}


def test_the_check_of_expressions_finds_mistakes() -> None:
    """
    Otherwise it proves nothing.
    """
    for wrong in (
        "sum(rate(authz_nonsense_total[5m]))",
        "sum(authz_calls_total)",
        "rate(authz_audit_queued[5m])",
        "sum by (store) (rate(authz_calls_total[5m]))",
        'rate(authz_calls_total{store="a"}[5m])',
        "sum(rate(authz_calls_total[5m])",
        "rate(authz_calls_total[5x])",
        "authz_call_duration_seconds",
        "histogram_quantile(0.99, sum by (method) (rate(authz_call_duration_seconds_bucket[5m])))",
    ):
        with pytest.raises(AssertionError):
            test_an_expression_asks_for_what_exists("here", wrong)


def test_every_metric_is_shown() -> None:
    """
    Whatever the service measures has its place on the dashboard.
    """
    shown = {
        metric_of(name)
        for panel in dashboard()["panels"]
        for t in panel.get("targets", ())
        for _, name in asked(tokens(t["expr"]))
    }
    assert {metric.name for metric in METRICS.values()} - {metric.name for metric in shown} == set()


def test_the_dashboard_can_be_loaded() -> None:
    """
    Panels have ids of their own, do not overlap, say what they show, and can be narrowed to an instance.
    """
    found = dashboard()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [v["name"] for v in found["templating"]["list"]] == ["datasource", "instance", "method"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert all("$instance" in target["expr"] for target in panel["targets"]), panel["title"]


def test_every_alert_says_what_to_do() -> None:
    """
    Each has a name of its own, a severity, a summary, and a runbook.
    """
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) > 20
    for rule in found:
        assert rule["alert"].startswith("Authz")
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert len(rule["annotations"]["runbook"]) > 40


def test_the_documentation_is_the_catalogue() -> None:
    """
    The tables of metrics in the README are those of the program, word by word, and name every alert and file.
    """
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    assert table() in text
    for rule in rules():
        assert rule["alert"] in text
    for path in DEPLOY.rglob("*"):
        assert path.is_dir() or path.name == "README.md" or str(path.relative_to(DEPLOY)) in text


def test_examples_name_settings_that_exist() -> None:
    """
    Variables of the unit and flags in the text are settings.
    """
    known = {f"{name}.{inner}" if inner else name for name, inner in _settings()}
    variables = {f"{PREFIX}{name.replace('.', '_').upper()}" for name in known}
    variables |= {f"{PREFIX}{name}" for name in ("ADDR", "STORE", "TOKEN", "URL")}  # of clients
    flags = {f"--{name.replace('_', '-').replace('.', '-')}" for name in known} | {"--config"}
    client = {"--principal", "--decision", "--addr", "--store", "--json", "--tls-ca", "--tls-cert", "--tls-key"}
    commands = client | {"--bind", "--cacert", "--cert", "--key", "--path-as-is"}  # of curl and of the example
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert set(re.findall(rf"\b{PREFIX}[A-Z_]+", text)) <= variables, path
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= flags | commands, path


def _settings() -> Iterator[tuple[str, str]]:
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        yield from ((name, inner) for inner in section.model_fields) if section else ((name, ""),)


def test_configuration_files_parse() -> None:
    """
    YAML is YAML, and the unit is a unit.
    """
    for path in DEPLOY.rglob("*.y*ml"):
        assert all(isinstance(each, dict) for each in yaml.safe_load_all(path.read_text(encoding="utf-8")))
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.read(DEPLOY / "systemd" / "authz.service", encoding="utf-8")
    assert unit["Service"]["ExecStart"].startswith("/opt/authz/bin/authz serve")
