"""What came of store tests, for people and for programs. Called by the command `model test`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from authz.cli.storetest.run import FileReport, Outcome


def report_text(reports: Sequence[FileReport]) -> str:
    """What differs, and a summary."""
    lines = [line for report in reports for line in _file_lines(report)]
    passed, failed = sum(report.passed for report in reports), sum(report.failed for report in reports)
    return "\n".join([*lines, f"{passed} passed, {failed} failed"])


def report_value(reports: Sequence[FileReport]) -> dict[str, Any]:
    """Everything, as JSON."""
    return {
        "passed": sum(report.passed for report in reports),
        "failed": sum(report.failed for report in reports),
        "files": [
            {
                "file": str(report.path),
                "passed": report.passed,
                "failed": report.failed,
                "errors": report.errors,
                "tests": [
                    {"name": test.name, "cases": [_outcome_value(outcome) for outcome in test.outcomes]}
                    for test in report.tests
                ],
            }
            for report in reports
        ],
    }


def _file_lines(report: FileReport) -> Iterator[str]:
    yield f"{'ok  ' if report.is_passed else 'FAIL'} {report.path} ({report.passed} passed, {report.failed} failed)"
    for error in report.errors:
        yield "\n".join(f"  {line}" for line in error.splitlines())
    for test in report.tests:
        wrong = [outcome for outcome in test.outcomes if not outcome.is_passed]
        if wrong:
            yield f"  {test.name}"
        for outcome in wrong:
            yield from _difference(report, outcome)


def _difference(report: FileReport, outcome: Outcome) -> Iterator[str]:
    case = outcome.case
    yield f"    {case} ({report.path}:{case.line})"
    yield f"      expected {_shown(case.expected)}"
    yield f"      got      {f'error: {outcome.error}' if outcome.error else _shown(outcome.got)}"
    if isinstance(case.expected, frozenset) and isinstance(outcome.got, frozenset):
        for word, names in (("missing ", case.expected - outcome.got), ("too many", outcome.got - case.expected)):
            if names:
                yield f"      {word} {_shown(names)}"


def _outcome_value(outcome: Outcome) -> dict[str, Any]:
    value = {
        "case": str(outcome.case),
        "line": outcome.case.line,
        "passed": outcome.is_passed,
        "expected": _plain(outcome.case.expected),
    }
    return value | ({"error": outcome.error} if outcome.error else {"got": _plain(outcome.got)})


def _shown(answer: bool | Iterable[str] | None) -> str:
    if isinstance(answer, bool):
        return "allowed" if answer else "denied"
    return ", ".join(sorted(answer or ())) or "nothing"


def _plain(answer: bool | frozenset[str] | None) -> Any:
    return sorted(answer) if isinstance(answer, frozenset) else answer
