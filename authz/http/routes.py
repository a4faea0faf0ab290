"""Which call a method and a path mean: routes from the `google.api.http` options of the interface. Used by `server`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf import descriptor_pool

from authz.errors import Bug
from authz.http.template import Segment, parse_template

if TYPE_CHECKING:
    from authz.rpc.exchange import Method

_WHOLE_BODY = "*"
_VERBS = ("get", "put", "post", "delete", "patch")


class Route(NamedTuple):
    """One way to reach a call."""

    verb: str
    """The HTTP method."""
    template: str
    segments: tuple[Segment, ...]
    method: Method
    has_body: bool
    """Whether the request's body is the message, but for what the path says; without one the query says the rest."""
    unsaid: frozenset[str] = frozenset()
    """Fields that the call's other paths give and this one does not: nothing else of a request says them."""


class Found(NamedTuple):
    """The route of a request, and the fields that its path gives."""

    route: Route
    fields: dict[str, str]


def routes_of(methods: Iterable[Method]) -> Iterator[Route]:
    """All routes of the methods that have some.

    Raises:
        Bug: an option that this service does not understand.

    """
    pool = descriptor_pool.Default()
    for method in methods:
        declared: Any = pool.FindServiceByName(method.service).FindMethodByName(method.name)
        rule = declared.GetOptions().Extensions[annotations_pb2.http]
        rules = [(each, each.WhichOneof("pattern")) for each in (rule, *rule.additional_bindings)]
        routes = [_route(method, verb, getattr(each, verb), each.body) for each, verb in rules if verb is not None]
        said = frozenset().union(*map(_variables, routes))
        yield from (route._replace(unsaid=said - _variables(route)) for route in routes)


def _variables(route: Route) -> frozenset[str]:
    return frozenset(segment.text for segment in route.segments if segment.is_variable)


def _route(method: Method, verb: str, template: str, body: str) -> Route:
    if verb not in _VERBS or body not in {"", _WHOLE_BODY}:
        raise Bug(f"the HTTP option of `{method.path}` is of a kind that is not served")
    segments = parse_template(template)
    known = method.request.DESCRIPTOR.fields_by_name
    for segment in segments:
        if segment.is_variable and segment.text not in known:
            raise Bug(f"`{method.path}` has no field `{segment.text}`, which its path names")
    return Route(verb.upper(), template, segments, method, body == _WHOLE_BODY)


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict)
    """By HTTP method."""


class Router:
    """Finds routes. A literal segment wins over a variable one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def find(self, verb: str, raw_path: bytes) -> Found | frozenset[str]:
        """The route of a request, by its path as it came over the wire; else the HTTP methods that the path has.

        Segments are decoded one by one, so that an encoded slash is part of a value and never makes two of one. What is
        not UTF-8 has no route.
        """
        try:
            parts = [unquote(part, errors="strict") for part in raw_path.decode("ascii").split("/")[1:]]
        except UnicodeDecodeError:
            return frozenset()
        node = _walk(self._root, parts)
        if node is None:
            return frozenset()
        route = node.routes.get(verb)
        if route is None:
            return frozenset(node.routes)
        pairs = zip(route.segments, parts, strict=True)
        return Found(route, {segment.text: part for segment, part in pairs if segment.is_variable})

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.segments:
            if not segment.is_variable:
                node = node.literals.setdefault(segment.text, _Node())
                continue
            if node.variable is None:
                node.variable = _Node()
            node = node.variable
        if route.verb in node.routes:
            raise Bug(f"`{route.verb} {route.template}` means two calls")
        node.routes[route.verb] = route


def _walk(node: _Node, parts: Sequence[str]) -> _Node | None:
    if not parts:
        return node if node.routes else None
    first, rest = parts[0], parts[1:]
    literal = node.literals.get(first)
    if literal is not None:
        found = _walk(literal, rest)
        if found is not None:
            return found
    # An empty segment is no value: `/stores//check` names no store.
    if node.variable is not None and first:
        return _walk(node.variable, rest)
    return None
