"""A compiled condition: check a context that is written, evaluate one that is asked. Called by commands and engine."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cel_expr_python import cel

from authz.conditions.cost import BUDGET, bound, measure
from authz.conditions.networks import MALFORMED_ADDRESS, MALFORMED_NETWORK
from authz.conditions.outcome import MET, NOT_MET, Outcome, State
from authz.conditions.safety import is_zone
from authz.conditions.syntax import Node
from authz.conditions.types import ConversionError, ParameterType, describe
from authz.errors import InvalidRequest
from authz.tuples import JsonValue

# What the library says, in part, and what the caller is told; the first match wins.
_REASONS = (
    ("Key not found", "no such key"),
    ("No matching overloads", "no operation for values of these types"),
    ("regular expression", "invalid regular expression"),
    (MALFORMED_ADDRESS, MALFORMED_ADDRESS),
    (MALFORMED_NETWORK, MALFORMED_NETWORK),
    ("divide by zero", "division by zero"),
    ("modulus by zero", "division by zero"),
    ("overflow", "number out of range"),
    ("out of range", "number out of range"),
    ("64 range", "number out of range"),
    ("Iteration budget", "too many iterations"),
    ("Index error", "index out of bounds"),
    ("timezone", "unknown time zone"),
    ("cannot convert", "conversion failed"),
    ("conversion failed", "conversion failed"),
    ("conversion error", "conversion failed"),
    ("malformed UTF-8", "conversion failed"),
    ("duplicate key", "duplicate key"),
)
_LIBRARY_ERRORS = (ArithmeticError, LookupError, MemoryError, RuntimeError, SystemError, TypeError, ValueError)


class CompiledCondition:
    """A condition of a model, ready to be evaluated from any thread.

    One evaluation is bounded: it is refused when its estimated cost exceeds `cost.BUDGET` (50 ms), see there.
    """

    def __init__(
        self,
        name: str,
        parameters: Mapping[str, ParameterType],
        *,
        program: cel.Expression,
        syntax: Node,
        safe_weight: int,
        zones: frozenset[str],
    ) -> None:
        self.name = name
        self.parameters: Mapping[str, ParameterType] = MappingProxyType(dict(parameters))
        self._eval = program.eval
        self._syntax = syntax
        self._safe_weight = safe_weight
        self._zones = tuple(sorted(zones))
        self._plan = tuple((key, kind.convert, kind.is_sized) for key, kind in parameters.items())

    def evaluate(self, stored: Mapping[str, JsonValue], request: Mapping[str, JsonValue]) -> Outcome:
        """Whether the condition holds in the request's context, overridden by the context stored with the tuple.

        A parameter that is present with the value null is present: null is a value of type `any` and of no other type.
        Keys that are no parameters are ignored. A value that does not convert decides before missing ones do. Never
        raises.
        """
        values: dict[str, object] = {}
        missing: list[str] = []
        weight = 0.0
        for name, convert, is_sized in self._plan:
            if name in stored:
                given = stored[name]
            elif name in request:
                given = request[name]
            else:
                missing.append(name)
                continue
            try:
                value = values[name] = convert(given)
            except ConversionError as error:
                return self._failed(f"parameter `{name}`: {error}")
            if is_sized:
                weight += 4 * len(value) if isinstance(value, str) else measure(value).weight
        if missing:
            return Outcome(State.MISSING, tuple(sorted(missing)))
        if weight > self._safe_weight and self._is_too_costly(values):
            return self._failed("the context is too large for the expression")
        for zone in self._zones:
            text = values[zone]
            if not isinstance(text, str) or not is_zone(text):
                return self._failed("unknown time zone")
        return self._run(values)

    def check_context(self, context: Mapping[str, JsonValue]) -> None:
        """Check the context of a tuple that is being written; parameters may be left to the request.

        Raises:
            InvalidRequest: a key that is no parameter, or a value that does not convert to the parameter's type.
        """
        for name, value in context.items():
            kind = self.parameters.get(name)
            if kind is None:
                raise InvalidRequest(f"condition `{self.name}` has no parameter {describe(name)}")
            try:
                kind.convert(value)
            except ConversionError as error:
                raise InvalidRequest(f"condition `{self.name}`: parameter `{name}`: {error}") from None

    def _run(self, values: dict[str, object]) -> Outcome:
        try:
            result = self._eval(data=values).value()
        except _LIBRARY_ERRORS as error:
            result = str(error)
        if result is True:
            return MET
        if result is False:
            return NOT_MET
        text = result if isinstance(result, str) else ""
        reason = next((told for part, told in _REASONS if part in text), "the expression has no value")
        return self._failed(reason)

    def _is_too_costly(self, values: Mapping[str, object]) -> bool:
        sizes = {name: measure(values[name]) for name, kind in self.parameters.items() if kind.is_sized}
        return bound(self._syntax, sizes, values) > BUDGET

    def _failed(self, reason: str) -> Outcome:
        return Outcome(State.FAILED, message=f"condition `{self.name}`: {reason}")
