"""Ask the engine inside the `fga` program. Used by test_fga_oracle.py.

One run of `fga model test` answers any number of questions about one model and its tuples. The program reports what it
got beside what a test expects, so the expectations that are handed to it mean nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.conformance.client import Json
from tests.conformance.judge import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = Path(sys.executable).with_name("fga")
RUN_SECONDS = 30.0
ERROR = "error"
"""The answer to a question that the engine refuses."""


class Asked(NamedTuple):
    """One question; `subject` is the user, or for `list_users` the filter, and `target` the object or its type."""

    kind: str
    subject: str
    relation: str
    target: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.relation} {self.target}"


class RejectedModel(Exception):
    """The program does not run the test: the model or a tuple is not valid there."""


def ask(
    folder: Path,
    model: Mapping[str, Any],
    tuples: Sequence[Json],
    questions: Sequence[Asked],
    context: Mapping[str, Any],
) -> dict[Asked, str]:
    """The answers, as `judge.shown` gives them, or `ERROR`.

    Raises:
        RejectedModel: with what the program says.

    """
    (folder / "model.json").write_text(json.dumps(model))
    test: dict[str, Any] = {"name": "all"}
    for question in questions:
        test.setdefault(question.kind, []).append(_entry(question, context))
    # JSON is YAML
    content = {"name": "random", "model_file": "model.json", "tuples": list(tuples), "tests": [test]}
    file = folder / "random.fga.yaml"
    file.write_text(json.dumps(content))
    return _read(_run(file), questions)


def _run(file: Path) -> Any:
    command = [str(PROGRAM), "model", "test", "--tests", file.name, "--verbose", "--suppress-summary"]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if not done.stdout.startswith("["):
        raise RejectedModel(done.stderr.strip())
    return json.loads(done.stdout)


def _entry(question: Asked, context: Mapping[str, Any]) -> Json:
    extra = {"context": dict(context)} if context else {}
    match question.kind:
        case "check":
            assertions: Any = {question.relation: True}
            return {"user": question.subject, "object": question.target, "assertions": assertions, **extra}
        case "list_objects":
            return {"user": question.subject, "type": question.target, "assertions": {question.relation: []}, **extra}
        case _:
            type_, _, relation = question.subject.partition("#")
            filter_ = {"type": type_, "relation": relation} if relation else {"type": type_}
            assertions = {question.relation: {"users": []}}
            return {"object": question.target, "user_filter": [filter_], "assertions": assertions, **extra}


def _read(report: Any, questions: Sequence[Asked]) -> dict[Asked, str]:
    (test,) = report
    answers = {}
    for kind in ("check", "list_objects", "list_users"):
        asked = [question for question in questions if question.kind == kind]
        for question, result in zip(asked, test[f"{kind}_results"] or [], strict=True):
            got = result["got"]
            if result["error"] is not None:
                answers[question] = ERROR
            elif kind == "list_users":
                answers[question] = shown(got["users"] or [])
            else:
                answers[question] = shown(got or [] if kind == "list_objects" else got)
    return answers
