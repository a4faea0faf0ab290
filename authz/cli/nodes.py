"""YAML text as nodes with their places, to a bounded depth. Used by `document` and `transfer`.

PyYAML's own fast composer ends the process on deeply nested text.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 64
"""Levels of lists and mappings: more than twice what a context may have."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(text: str) -> yaml.Node | None:
    """The first document of a text; None when it is empty.

    Raises:
        yaml.YAMLError: not YAML, or nested too deeply.

    """
    loader = _LOADER(text)
    try:
        loader.get_event()
        if isinstance(loader.peek_event(), yaml.StreamEndEvent):
            return None
        loader.get_event()
        node = _Composer(loader, {}).node(0)
        loader.get_event()
        if not isinstance(loader.peek_event(), yaml.StreamEndEvent):
            mark = loader.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="a second document begins here", problem_mark=mark)
        return node
    finally:
        loader.dispose()


def compose_items(file: IO[bytes]) -> Iterator[yaml.Node]:
    """The items of a list, one by one; nothing of an empty text. What has been given is not kept.

    Raises:
        yaml.YAMLError: not a YAML list, nested too deeply, or with aliases, which would have to be kept.

    """
    loader = _LOADER(file)
    try:
        loader.get_event()
        if isinstance(loader.peek_event(), yaml.StreamEndEvent):
            return
        loader.get_event()
        start = loader.get_event()
        if isinstance(start, yaml.ScalarEvent) and not start.value:
            return
        if not isinstance(start, yaml.SequenceStartEvent):
            raise yaml.MarkedYAMLError(problem="expected a list", problem_mark=start.start_mark)
        composer = _Composer(loader, None)
        while not isinstance(loader.peek_event(), yaml.SequenceEndEvent):
            yield composer.node(1)
    finally:
        loader.dispose()


class _Composer:
    """Makes nodes of events. Without a place to keep `anchors`, aliases are refused."""

    def __init__(self, loader: Any, anchors: dict[str, yaml.Node] | None) -> None:
        self._loader = loader
        self._anchors = anchors

    def node(self, depth: int) -> yaml.Node:
        """The next node."""
        event: Any = self._loader.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._named(event)
        node = self._begun(event)
        if self._anchors is not None and event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(node, yaml.ScalarNode):
            return node
        if depth >= MAX_DEPTH:
            raise _error(event, "nested too deeply")
        end = yaml.SequenceEndEvent if isinstance(node, yaml.SequenceNode) else yaml.MappingEndEvent
        while not isinstance(self._loader.peek_event(), end):
            item = self.node(depth + 1)
            node.value.append(item if isinstance(node, yaml.SequenceNode) else (item, self.node(depth + 1)))
        node.end_mark = self._loader.get_event().end_mark
        return node

    def _begun(self, event: Any) -> yaml.Node:
        """A scalar, or a list or mapping that is still empty."""
        start, end = event.start_mark, event.end_mark
        if isinstance(event, yaml.ScalarEvent):
            tag = event.tag
            if tag is None or tag == "!":
                tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
            return yaml.ScalarNode(tag, event.value, start, end)
        if isinstance(event, yaml.SequenceStartEvent):
            return yaml.SequenceNode("tag:yaml.org,2002:seq", [], start)
        return yaml.MappingNode("tag:yaml.org,2002:map", [], start)

    def _named(self, event: yaml.AliasEvent) -> yaml.Node:
        name: Any = event.anchor
        if self._anchors is None:
            raise _error(event, "aliases are not supported in files of tuples")
        if name not in self._anchors:
            raise _error(event, f"alias `{name}` names nothing above")
        return self._anchors[name]


def _error(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    mark: Any = event.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
