"""Read the handed-out conformance data, whose own README tells the formats. Used by every test of this folder."""

from __future__ import annotations

import json
import math
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.conformance import conformance_dir

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _pytest.mark import ParameterSet

FOLDER = conformance_dir()
REASON = "no conformance data: set AUTHZ_CONFORMANCE_DIR"
MUST_BE_THERE = "CI" in os.environ
"""Whether missing data is a failure (see test_data.py) and not only a skip."""

needs_data = pytest.mark.skipif(FOLDER is None, reason=REASON)

QUERY_FILES = ("consolidated_1_1_tests", "abac_tests", "check_matrix", "listobjects_matrix", "go_queries")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the C parser where there is one
    """YAML 1.1, but timestamps and numbers too large for a double stay text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library declares it so
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def number(self, node: yaml.ScalarNode) -> object:
        """A float, or its text when no double holds it."""
        value = self.construct_yaml_float(node)
        return node.value if math.isinf(value) and "inf" not in node.value.lower() else value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)


def read_yaml(text: str) -> Any:
    """The content of a YAML text, read as the data demands."""
    return yaml.load(text, _Loader)


@cache
def load_yaml(name: str) -> dict[str, Any]:
    """A YAML file of the data; empty without it."""
    file = FOLDER / f"{name}.yaml" if FOLDER else None
    content: dict[str, Any] = read_yaml(file.read_text()) if file and file.is_file() else {}
    return content


def load_json(file: Path) -> Any:
    """A JSON file of the data."""
    return json.loads(file.read_text())


def files(pattern: str) -> list[Path]:
    """The files of the data that match, sorted; none without the data."""
    return sorted(FOLDER.glob(pattern)) if FOLDER else []


def with_ids(cases: Iterable[tuple[str, object]]) -> list[ParameterSet]:
    """Test parameters from (id, case); an id that comes again gets a number."""
    seen: dict[str, int] = {}
    parameters = []
    for id_, case in cases:
        seen[id_] = seen.get(id_, 0) + 1
        unique = id_ if seen[id_] == 1 else f"{id_}#{seen[id_]}"
        parameters.append(pytest.param(case, id=unique))
    return parameters
