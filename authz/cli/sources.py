"""An authorization model from a file: DSL, JSON, or the modules that an fga.mod names. Used by the model commands and
the store tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from authz.cli.errors import Negative, UsageProblem
from authz.cli.files import read_text
from schema_dsl import (
    DslError,
    DslException,
    Range,
    combine_modules,
    dsl_to_json,
    parse_mod,
    render_error,
    validate,
    validate_json,
)

if TYPE_CHECKING:
    from authz.model.compile import CompiledModel

MOD, JSON, DSL = "mod", "json", "fga"
_MODEL_ID = "0" * 26


class Origin(NamedTuple):
    """Where a model stands inside another file: the file's text, and the line (from 1) above the model."""

    text: str
    line: int


@dataclass(slots=True)
class Source:
    """A model file, with the texts of all files it is made of, by the names that errors use."""

    path: Path
    kind: str
    texts: dict[str, str]
    errors: list[DslError] = field(default_factory=list)
    origin: Origin | None = None

    def body(self) -> dict[str, Any]:
        """The JSON model, valid as far as the modelling language goes.

        Raises:
            Negative: it is not; the message shows every place.

        """
        try:
            body = self._body()
        except DslException as error:
            self.errors = error.errors
            body = {}
        if self.errors:
            raise self.invalid()
        return body

    def compiled(self) -> CompiledModel:
        """The model as the service would take it.

        Raises:
            Negative: the service would refuse it.

        """
        from authz.errors import InvalidRequest
        from authz.model.compile import compile_model

        body = self.body()
        try:
            return compile_model(_MODEL_ID, body)
        except InvalidRequest as error:
            self.errors = [DslError(error.message)]
            raise self.invalid() from None

    def rendered(self) -> list[str]:
        """The errors for people, each with the line it points at."""
        return [self._rendered(error) for error in self.errors]

    def _body(self) -> dict[str, Any]:
        if self.kind == MOD:
            return _combined(self)
        text = self.texts[self.path.name]
        if self.kind == JSON:
            body = _json_body(text)
            self.errors = validate_json(body)
            return body
        self.errors = validate(text)
        return dsl_to_json(text)

    def _rendered(self, error: DslError) -> str:
        if self.origin is not None:
            return render_error(self.origin.text, _shifted(error, self.origin).in_file(str(self.path)))
        name = error.file or self.path.name
        return render_error(self.texts.get(name, ""), error.in_file(str(self.path.with_name(name))))

    def invalid(self) -> Negative:
        return Negative("\n".join([f"`{self.path}` is not a valid model", *self.rendered()]), self.errors)


def load_source(path: Path) -> Source:
    """Read a model file, and with an fga.mod the modules it names.

    Raises:
        UsageProblem: a file cannot be read, or its name does not say what it is.
        Negative: the fga.mod is malformed.

    """
    text = read_text(path)
    if path.name.endswith(".mod"):
        return _with_modules(Source(path, MOD, {path.name: text}))
    if path.suffix == ".json":
        return Source(path, JSON, {path.name: text})
    if path.suffix == ".fga":
        return Source(path, DSL, {path.name: text})
    raise UsageProblem(f"`{path}`: a model is in a file whose name ends in .fga, .json or .mod")


def inline_source(path: Path, text: str, origin: Origin) -> Source:
    """A model that stands inside the file `path`."""
    return Source(path, DSL, {path.name: text}, origin=origin)


def _shifted(error: DslError, origin: Origin) -> DslError:
    """An error of a model in a YAML block, said of the line and column of the whole file."""
    if error.line is None or error.column is None:
        return error
    lines = origin.text.split("\n")
    block = next((line for line in lines[origin.line :] if line.strip()), "")
    indent = len(block) - len(block.lstrip(" "))
    line = Range(error.line.start + origin.line, error.line.end + origin.line)
    return replace(error, line=line, column=Range(error.column.start + indent, error.column.end + indent))


def _with_modules(source: Source) -> Source:
    try:
        contents = parse_mod(source.texts[source.path.name])["contents"]["value"]
    except DslException as error:
        source.errors = error.errors
        raise source.invalid() from None
    for entry in contents:
        source.texts[entry["value"]] = read_text(source.path.parent / entry["value"])
    return source


def _combined(source: Source) -> dict[str, Any]:
    files = {name: text for name, text in source.texts.items() if name != source.path.name}
    return combine_modules(files, parse_mod(source.texts[source.path.name])["schema"]["value"])


def _json_body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        line, column = error.lineno - 1, error.colno - 1
        problem = DslError(f"not JSON: {error.msg.lower()}", Range(line, line), Range(column, column + 1))
        raise DslException([problem]) from None
    except (RecursionError, ValueError):
        raise DslException([DslError("not JSON: nested too deeply, or a number too large")]) from None
    return body if isinstance(body, dict) else {}
