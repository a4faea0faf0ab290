"""Named CEL predicates over typed parameters. Compiled by model, evaluated by engine, checked by commands."""

from __future__ import annotations

from authz.conditions.compile import compile_condition
from authz.conditions.condition import CompiledCondition
from authz.conditions.outcome import MET, NOT_MET, Outcome, State
from authz.conditions.types import ParameterType

__all__ = ["MET", "NOT_MET", "CompiledCondition", "Outcome", "ParameterType", "State", "compile_condition"]
