"""Questions over one view, answered together. Used by `batch_check`, `evaluations` and `searches`.

Rows that any of them misses are fetched in one batch. One that cannot be answered has an error of its own and leaves
the others alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from authz.commands.decision import Asked, decide
from authz.engine.budget import Budget
from authz.errors import ConditionFailed, InvalidRequest
from authz.index.rows import View
from authz.model.compile import CompiledModel

Result = bool | InvalidRequest
"""A decision, or why there is none: then nothing is allowed."""


class Semantic(StrEnum):
    """When to stop, by the names that AuthZEN gives."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"

    def ends_with(self, result: Result) -> bool:
        """Whether no further result is wanted after this one."""
        is_allowed = result is True
        return self is (Semantic.PERMIT_ON_FIRST_PERMIT if is_allowed else Semantic.DENY_ON_FIRST_DENY)


class Series:
    """Questions in their order, with an error in the place of each that cannot be asked."""

    def __init__(
        self,
        view: View,
        model: CompiledModel,
        budget: Budget,
        questions: Sequence[Asked | InvalidRequest],
        semantic: Semantic = Semantic.EXECUTE_ALL,
    ) -> None:
        self._semantic = semantic
        self._parts: list[Callable[[], bool | None] | Result] = [
            each if isinstance(each, InvalidRequest) else decide(view, model, budget, each) for each in questions
        ]

    def run(self) -> list[Result] | None:
        """The results up to the one that decides, or None when rows are missing for some."""
        results: list[Result] = []
        is_complete = True
        for place, part in enumerate(self._parts):
            result = _decided(part) if callable(part) else part
            if result is None:
                is_complete = False
                continue
            self._parts[place] = result
            results.append(result)
            if self._semantic.ends_with(result):
                # INVARIANT: whatever becomes of those before, the answer does not go beyond this one.
                del self._parts[place + 1 :]
                break
        return results if is_complete else None


def _decided(run: Callable[[], bool | None]) -> Result | None:
    try:
        return run()
    except ConditionFailed as error:
        return error
