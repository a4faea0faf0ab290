"""YAML and JSON files read by their places, so that every complaint names file, line and column. Used by `storetest`,
`batches` and `transfer`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import yaml

from authz.cli.errors import UsageProblem
from authz.cli.files import read_text
from authz.cli.nodes import compose
from authz.cli.values import MAX_DEPTH, context_problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from authz.tuples import JsonValue

_PREFIX = "tag:yaml.org,2002:"
_TRUE = frozenset({"yes", "true", "on"})
MAX_CONTEXT_NODES = 10_000


class Problem(NamedTuple):
    """One thing wrong with a file; line and column count from 1, and are 0 where the place is not known."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: {self.message}"


@dataclass(slots=True)
class Document:
    """A file as a tree of parts, and what is wrong with it so far."""

    path: Path
    text: str = ""
    root: Part = field(init=False)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self) -> None:
        """End the command when something is wrong.

        Raises:
            UsageProblem: naming everything.

        """
        if self.problems:
            raise UsageProblem("\n       ".join(str(problem) for problem in self.problems))


def load_document(path: Path) -> Document:
    """Read a YAML or (by its name) JSON file. Bad syntax is a problem of the document, whose root is then empty.

    Raises:
        UsageProblem: the file cannot be read.

    """
    return parse_document(read_text(path), path)


def parse_document(text: str, path: Path) -> Document:
    """A document from its text."""
    document = Document(path, text)
    node: yaml.Node | None = None
    try:
        node = node_of(json.loads(text)) if path.suffix == ".json" else compose(text)
    except json.JSONDecodeError as error:
        document.problems.append(Problem(str(path), error.lineno, error.colno, f"not JSON: {error.msg.lower()}"))
    except yaml.YAMLError as error:
        document.problems.append(yaml_problem(error, path))
    except (RecursionError, ValueError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        document.problems.append(Problem(str(path), 0, 0, message))
    document.root = Part(document, node or yaml.ScalarNode(f"{_PREFIX}null", ""))
    return document


def yaml_problem(error: yaml.YAMLError, path: Path) -> Problem:
    """What is wrong with the syntax."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "context", None) or str(error).partition("\n")[0]
    return Problem(str(path), mark.line + 1 if mark else 0, mark.column + 1 if mark else 0, f"not YAML: {said}")


def node_of(value: object) -> yaml.Node:
    """A JSON value as a node without place."""
    if isinstance(value, dict):
        return yaml.MappingNode(f"{_PREFIX}map", [(node_of(key), node_of(member)) for key, member in value.items()])
    if isinstance(value, list):
        return yaml.SequenceNode(f"{_PREFIX}seq", [node_of(item) for item in value])
    if isinstance(value, str):
        return yaml.ScalarNode(f"{_PREFIX}str", value)
    kinds = {bool: "bool", int: "int", float: "float"}
    return yaml.ScalarNode(f"{_PREFIX}{kinds.get(type(value), 'null')}", json.dumps(value))


class Part:
    """A value at a place. Each reading method notes what is wrong in the document and gives a harmless value."""

    __slots__ = ("_document", "_node")

    def __init__(self, document: Document, node: yaml.Node) -> None:
        self._document = document
        self._node = node

    @property
    def line(self) -> int:
        """Where the value begins, from 1; 0 when it is not known."""
        mark = self._node.start_mark
        return mark.line + 1 if mark else 0

    @property
    def is_null(self) -> bool:
        """Whether there is nothing."""
        return isinstance(self._node, yaml.ScalarNode) and self._node.tag == f"{_PREFIX}null"

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return isinstance(self._node, yaml.SequenceNode)

    def wrong(self, message: str) -> None:
        """Note what is wrong here."""
        mark = self._node.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        self._document.problems.append(Problem(str(self._document.path), line, column, message))

    def problems(self) -> list[Problem]:
        """What is wrong with the whole document so far."""
        return self._document.problems

    def items(self) -> list[Part]:
        """The items of a list; none of nothing."""
        if self.is_null:
            return []
        if not isinstance(self._node, yaml.SequenceNode):
            self.wrong("expected a list")
            return []
        return [Part(self._document, item) for item in self._node.value]

    def members(
        self, known: Iterable[str] | None = None, *, required: Iterable[str] = (), keep_null: bool = False
    ) -> dict[str, Part]:
        """The members of a mapping by name; with `known`, other names are wrong. Null is left out, unless kept."""
        if not isinstance(self._node, yaml.MappingNode):
            if not self.is_null or required:
                self.wrong(f"expected a mapping{_with(required)}")
            return {}
        found: dict[str, Part] = {}
        if not self._merge(self._node):
            return {}
        for key, value in self._node.value:
            self._add(found, Part(self._document, key), Part(self._document, value), known)
        for name in required:
            if name not in found:
                self.wrong(f"`{name}` is missing")
        return {name: part for name, part in found.items() if keep_null or not part.is_null}

    def _merge(self, node: yaml.MappingNode) -> bool:
        """Put the members of `<<` in their place; False when it names no mapping."""
        try:
            yaml.constructor.SafeConstructor().flatten_mapping(node)
        except (yaml.YAMLError, RecursionError):
            self.wrong("`<<` must name a mapping")
            return False
        return True

    def _add(self, found: dict[str, Part], key: Part, value: Part, known: Iterable[str] | None) -> None:
        name = key.text()
        if known is not None and name not in known:
            key.wrong(f"unknown key `{name}`: expected one of {', '.join(f'`{one}`' for one in known)}")
        elif name in found:
            key.wrong(f"key `{name}` is given twice")
        else:
            found[name] = value

    def text(self) -> str:
        """A text; numbers and dates as they are written."""
        if not isinstance(self._node, yaml.ScalarNode) or self.is_null:
            self.wrong("expected text")
            return ""
        return str(self._node.value)

    def boolean(self) -> bool:
        """True or false."""
        if not isinstance(self._node, yaml.ScalarNode) or self._node.tag != f"{_PREFIX}bool":
            self.wrong("expected true or false")
            return False
        return self._node.value.lower() in _TRUE

    def context(self) -> dict[str, JsonValue]:
        """A JSON object."""
        if not isinstance(self._node, yaml.MappingNode):
            self.wrong("expected a mapping of parameters")
            return {}
        try:
            value = _Values().of(self._node)
        except (ValueError, yaml.YAMLError) as error:
            self.wrong(str(error).partition("\n")[0])
            return {}
        problem = context_problem(value)
        if problem:
            self.wrong(f"the context {problem}")
            return {}
        assert isinstance(value, dict)
        return value


class _Values:
    """Turns nodes into JSON values, and stops when aliases multiply without end."""

    def __init__(self) -> None:
        self._constructor = yaml.constructor.SafeConstructor()
        self._left = MAX_CONTEXT_NODES

    def of(self, node: yaml.Node, depth: int = 0) -> JsonValue:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise ValueError("the context is too large or nested too deeply")
        if isinstance(node, yaml.MappingNode):
            self._constructor.flatten_mapping(node)
            return {str(key.value): self.of(value, depth + 1) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, depth + 1) for item in node.value]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node)

    def _scalar(self, node: yaml.ScalarNode) -> JsonValue:
        """YAML 1.1, except that times stay text, and so does a number that no double can hold."""
        text = str(node.value)
        match node.tag.removeprefix(_PREFIX):
            case "null":
                return None
            case "bool":
                return text.lower() in _TRUE
            case "int" if ":" not in text:
                return int(self._constructor.construct_yaml_int(node))
            case "float" if ":" not in text:
                number = float(self._constructor.construct_yaml_float(node))
                return number if isfinite(number) else text
        return text


def _with(required: Iterable[str]) -> str:
    names = ", ".join(f"`{name}`" for name in required)
    return f" with {names}" if names else ""
