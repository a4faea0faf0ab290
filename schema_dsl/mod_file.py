"""The file `fga.mod`, which lists the modules of a modular model: YAML to values with their places.

Called by tools that combine modules, before they read the listed files.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import yaml

from schema_dsl.errors import DslError, DslSyntaxError, Range

SCHEMA_VERSION = "1.2"
_TEXT = "tag:yaml.org,2002:str"


def parse_mod(text: str) -> dict[str, Any]:
    """Return schema and contents of an fga.mod, each as `value`, `line` and `column` (zero based, `start` and `end`).

    Raises:
        DslSyntaxError: when the text is not YAML, a field is missing or wrong, or a path leads out of the folder.
    """
    fields = _fields(_compose(text))
    errors: list[DslError] = []
    schema = _schema(fields.get("schema"), errors)
    contents = _contents(fields.get("contents"), text, errors)
    if errors:
        raise DslSyntaxError(errors)
    return {"schema": schema, "contents": contents}


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        message = f"fga.mod is not valid YAML: {error.problem or error.context}"
        raise DslSyntaxError([DslError(message, Range(line, line), Range(column, column))]) from None
    except (yaml.YAMLError, RecursionError):
        raise DslSyntaxError([_missing("fga.mod is not valid YAML")]) from None


def _fields(root: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(root, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}


def _schema(node: yaml.Node | None, errors: list[DslError]) -> dict[str, Any]:
    if node is None:
        errors.append(_missing("field `schema` is missing"))
    elif not _is_text(node):
        errors.append(_error(node, f"`schema` must be text, write it in quotes: '{SCHEMA_VERSION}'"))
    elif node.value != SCHEMA_VERSION:
        errors.append(
            _error(node, f"schema version `{node.value}` is not supported in fga.mod, use '{SCHEMA_VERSION}'")
        )
    else:
        return _value(node, node.value)
    return {}


def _contents(node: yaml.Node | None, text: str, errors: list[DslError]) -> dict[str, Any]:
    if node is None:
        errors.append(_missing("field `contents` is missing"))
        return {}
    if not isinstance(node, yaml.SequenceNode):
        errors.append(_error(node, "`contents` must be a list of file names"))
        return {}
    files = [file for file in (_file(item, errors) for item in node.value) if file is not None]
    value = _value(node, files)
    if not node.flow_style and node.value:
        value["line"]["end"], value["column"]["end"] = _end_of_block(node.value[-1], text)
    return value


def _file(item: yaml.Node, errors: list[DslError]) -> dict[str, Any] | None:
    if not _is_text(item):
        errors.append(_error(item, "an item of `contents` must be a file name"))
        return None
    path = unquote(item.value).replace("\\", "/")
    if path.startswith("/") or path[1:3] == ":/" or ".." in path.split("/"):
        errors.append(_error(item, f"`{item.value}` leads out of the folder of fga.mod"))
        return None
    if not path.endswith(".fga"):
        errors.append(_error(item, f"`{item.value}` must be a file with the extension `.fga`"))
        return None
    return _value(item, item.value)


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _TEXT


def _end_of_block(last: yaml.Node, text: str) -> tuple[int, int]:
    """Return where a block list ends: after the line break that follows its last item."""
    if "\n" in text[last.end_mark.index :]:
        return last.end_mark.line + 1, 0
    return last.end_mark.line, last.end_mark.column


def _value(node: yaml.Node, value: object) -> dict[str, Any]:
    start, end = node.start_mark, node.end_mark
    return {
        "value": value,
        "line": {"start": start.line, "end": end.line},
        "column": {"start": start.column, "end": end.column},
    }


def _error(node: yaml.Node, message: str) -> DslError:
    start, end = node.start_mark, node.end_mark
    symbol = node.value if isinstance(node, yaml.ScalarNode) else ""
    return DslError(message, Range(start.line, end.line), Range(start.column, end.column), {"symbol": symbol})


def _missing(message: str) -> DslError:
    return DslError(message, Range(0, 0), Range(0, 0), {"symbol": ""})
