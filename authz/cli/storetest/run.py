"""Run store test files. Called by the command `model test`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from authz.cli.document import Document, load_document
from authz.cli.errors import Negative
from authz.cli.storetest.cases import Case, CheckCase, ListObjectsCase, PlacedTuple, Test
from authz.cli.storetest.engine import Engine
from authz.cli.storetest.parse import parse_store_file
from authz.errors import AuthzError
from authz.model.tuples import tuple_problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from authz.model.compile import CompiledModel
    from authz.tuples import RelationshipTuple, TupleKey


class Outcome(NamedTuple):
    """What came of one case: what the engine answered, or the error that it ended with."""

    case: Case
    got: bool | frozenset[str] | None
    error: str

    @property
    def is_passed(self) -> bool:
        """Whether the answer is the one expected."""
        return not self.error and self.got == self.case.expected


class TestReport(NamedTuple):
    """All cases of one test."""

    name: str
    outcomes: tuple[Outcome, ...]


@dataclass(slots=True)
class FileReport:
    """One file; `errors` say why it, or a part of it, could not be run."""

    path: Path
    tests: list[TestReport] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(outcome.is_passed for test in self.tests for outcome in test.outcomes)

    @property
    def failed(self) -> int:
        """How many cases failed; a file that could not be run counts as one more."""
        return sum(not outcome.is_passed for test in self.tests for outcome in test.outcomes) + bool(self.errors)

    @property
    def is_passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.failed


def run_file(path: Path) -> FileReport:
    """Run all tests of a file.

    Raises:
        UsageProblem: the file itself cannot be read.

    """
    document = load_document(path)
    report = FileReport(path)
    try:
        _run(document, report)
    except Negative as error:
        report.errors.append(error.message)
    report.errors = [str(problem) for problem in document.problems] + report.errors
    return report


def _run(document: Document, report: FileReport) -> None:
    if document.problems:
        return
    store = parse_store_file(document)
    if store is None or document.problems:
        return
    model = store.model.compiled()
    common = _tuples(model, {}, store.tuples)
    own = [_tuples(model, common, test.tuples) for test in store.tests]
    if document.problems:
        return
    for test, tuples in zip(store.tests, own, strict=True):
        report.tests.append(_run_test(model, test, tuples.values()))


def _tuples(
    model: CompiledModel, common: dict[TupleKey, RelationshipTuple], added: Iterable[PlacedTuple]
) -> dict[TupleKey, RelationshipTuple]:
    """The tuples with those added; the document notes those that the service would refuse."""
    found = dict(common)
    for part, tuple_ in ((one.part, one.tuple) for one in added):
        problem = tuple_problem(model, tuple_)
        known = found.setdefault(tuple_.key, tuple_)
        if problem:
            part.wrong(f"tuple `{tuple_.key}`: {problem}")
        elif known != tuple_:
            part.wrong(f"tuple `{tuple_.key}` is given twice with different conditions")
    return found


def _run_test(model: CompiledModel, test: Test, tuples: Iterable[RelationshipTuple]) -> TestReport:
    engine = Engine(model, tuples)
    return TestReport(test.name, tuple(_run_case(engine, case) for case in test.cases))


def _run_case(engine: Engine, case: Case) -> Outcome:
    try:
        return Outcome(case, _answer(engine, case), "")
    except AuthzError as error:
        return Outcome(case, None, error.message)


def _answer(engine: Engine, case: Case) -> bool | frozenset[str]:
    if isinstance(case, CheckCase):
        return engine.check(case.user, case.relation, case.object, case.context)
    if isinstance(case, ListObjectsCase):
        return frozenset(engine.list_objects(case.user, case.relation, case.type, case.context))
    return frozenset(engine.list_users(case.object, case.relation, case.kinds, case.context))
