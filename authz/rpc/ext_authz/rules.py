"""The configured rules: which request asks what. Compiled at the start, and used by `gateway`.

Rules are tried in their order, and the first that matches a request decides; one that none matches is denied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from authz.model.tuples import MAX_OBJECT_LENGTH, MAX_USER_LENGTH
from authz.rpc.ext_authz import identity
from authz.rpc.ext_authz.paths import PathTemplate, parse_path
from authz.rpc.ext_authz.refusals import Refused
from authz.rpc.ext_authz.request import Asked, header
from authz.rpc.ext_authz.templates import Template, parse_name, parse_template
from authz.settings.ext_authz import ExtAuthzSettings, GatewayRule
from authz.settings.types import InvalidSettings

TOKEN_SUBJECT = "token.subject"  # noqa: S105 - the name of a place
_PLAIN = {"source.address", "request.method", "request.host"}
# Blanks, and what separates the parts of a name: with these a value could name another object, a userset, or everybody.
_MARKS = frozenset("#:* ")

_Given = TypeVar("_Given")
_Read = TypeVar("_Read")


class Question(NamedTuple):
    """What a rule asks about a request."""

    object: Template
    relation: str
    user: Template
    context: tuple[tuple[str, Template], ...]
    places: frozenset[str]
    """All that must be known of the request."""


class Rule(NamedTuple):
    """A rule, ready to be tried."""

    methods: frozenset[str]
    is_grpc: bool
    path: PathTemplate
    hosts: frozenset[str]
    domains: tuple[str, ...]
    """Ends of hosts, each with its dot."""
    question: Question | None
    """What is asked; None lets everybody pass."""

    @property
    def reach(self) -> tuple[object, ...]:
        """What it matches; two rules for which this is equal match the same requests."""
        return self.methods, self.is_grpc, self.path.shape, self.hosts, self.domains

    def match(self, asked: Asked) -> Mapping[str, str] | None:
        """The variables of the path, if this rule is about a request of its methods."""
        if (self.hosts or self.domains) and asked.host not in self.hosts and not asked.host.endswith(self.domains):
            return None
        return self.path.match(asked.segments)


class Filled(NamedTuple):
    """A question about one request."""

    object: str
    relation: str
    user: str
    context: Mapping[str, str]


class RuleBook:
    """All rules.

    Raises:
        InvalidSettings: a rule that cannot be understood, or that can never match.

    """

    def __init__(self, settings: ExtAuthzSettings) -> None:
        self._payload = settings.jwt_payload
        self._peers = _each("peers", settings.peers, identity.parse_peer)
        self._rules = _each("rules", settings.rules, _Compiler(settings, self._peers).rule)
        places = {place for rule in self._rules if rule.question for place in rule.question.places}
        self.headers = frozenset(place.removeprefix("header.") for place in places if place.startswith("header."))
        """Names of the headers that are looked at."""
        reached = [rule.reach for rule in self._rules]
        for number, reach in enumerate(reached):
            if reach in reached[:number]:
                raise InvalidSettings(f"setting `ext_authz.rules.{number}`: an earlier rule matches the same requests")
        self._candidates = _candidates(self._rules)

    def find(self, asked: Asked) -> tuple[Question | None, Mapping[str, str]]:
        """The question of the first rule that matches, and the variables of the path.

        Raises:
            Refused: there is none.

        """
        starts = self._candidates.get((asked.is_grpc, asked.method), _NONE)
        for rule in starts.get(asked.segments.written[0]) or starts[None]:
            variables = rule.match(asked)
            if variables is not None:
                return rule.question, variables
        raise Refused("no rule covers this request")

    def fill(self, question: Question, asked: Asked, variables: Mapping[str, str], subject: str) -> Filled:
        """The question with what is known of the request; `subject` is that of its own token.

        Raises:
            Refused: something is not known, or could be taken for something else.

        """

        def lookup(place: str) -> str:
            return self._value(place, asked, variables, subject)

        def lookup_name(place: str) -> str:
            value = lookup(place)
            if not value or not value.isprintable() or not _MARKS.isdisjoint(value):
                raise Refused(f"`{place}` of the request is no plain id")
            return value

        object_, user = question.object.fill(lookup_name), question.user.fill(lookup_name)
        if len(object_) > MAX_OBJECT_LENGTH or len(user.encode()) > MAX_USER_LENGTH:
            raise Refused("an id of the request is too long")
        context = {name: template.fill(lookup) for name, template in question.context}
        return Filled(object_, question.relation, user, context)

    def _value(self, place: str, asked: Asked, variables: Mapping[str, str], subject: str) -> str:
        kind, dot, name = place.partition(".")
        if not dot:
            return variables[place]
        match kind:
            case "jwt":
                return identity.claim(asked, self._payload, name)
            case "peer":
                found = identity.peer(asked, self._peers)
                if name not in found:
                    raise Refused("the request has no client certificate of an expected identity")
                return found[name]
            case "header":
                return header(asked, name)
            case "token":
                return subject
        match place:
            case "source.address":
                return asked.attributes.source.address.socket_address.address
            case "request.method":
                return asked.method
        return asked.host


_Candidates = dict[tuple[bool, str], dict[str | None, tuple[Rule, ...]]]
_NONE: dict[str | None, tuple[Rule, ...]] = {None: ()}


def _candidates(rules: Sequence[Rule]) -> _Candidates:
    """The rules to try, in their order: by protocol and method, then by the first segment; None for any other one."""
    found: _Candidates = {}
    for key in {(rule.is_grpc, method) for rule in rules for method in rule.methods}:
        mine = [rule for rule in rules if rule.is_grpc == key[0] and key[1] in rule.methods]
        starts: set[str | None] = {None, *(rule.path.start for rule in mine)}
        found[key] = {
            start: tuple(rule for rule in mine if rule.path.start is None or rule.path.start == start)
            for start in starts
        }
    return found


class _Compiler:
    """Reads rules and makes sure that every place in their templates can be filled."""

    def __init__(self, settings: ExtAuthzSettings, peers: tuple[identity.PeerPattern, ...]) -> None:
        self._settings = settings
        self._peer_names = frozenset(name for each in peers for name in each.template.names)

    def rule(self, given: GatewayRule) -> Rule:
        """Read one; raises ValueError when it cannot be understood."""
        path = parse_path(f"/{given.grpc}" if given.grpc is not None else given.path or "")
        if given.grpc is not None and (path.rest or len(path.parts) != 2):
            raise ValueError(f"`{given.grpc}` is not of the form `package.Service/Method`")
        return Rule(
            frozenset(given.methods or ("POST",)),
            given.grpc is not None,
            path,
            frozenset(each for each in given.hosts if not each.startswith("*")),
            tuple(each[1:] for each in given.hosts if each.startswith("*")),
            self._question(given, path.names),
        )

    def _question(self, given: GatewayRule, variables: frozenset[str]) -> Question | None:
        if given.object is None or given.user is None or given.relation is None:
            return None
        object_, user = parse_name(given.object), parse_name(given.user)
        context = tuple((name, parse_template(text)) for name, text in given.context.items())
        templates = (object_, user, *(each for _, each in context))
        places = frozenset(place for each in templates for place in each.places)
        for place in sorted(places):
            self._check_place(place, variables)
        for place in user.places:
            self._check_identity(place)
        return Question(object_, given.relation, user, context, places)

    def _check_place(self, place: str, variables: frozenset[str]) -> None:
        kind, dot, name = place.partition(".")
        if not dot and place not in variables:
            raise ValueError(f"`{{{place}}}` is no variable of the path")
        if kind == "peer" and name not in self._peer_names:
            raise ValueError(f"`{{{place}}}` is in no pattern of `peers`")
        if kind == "token" and (place != TOKEN_SUBJECT or self._settings.token_issuer is None):
            raise ValueError(f"`{{{place}}}` needs `token_issuer`, and only its `subject` is known")
        if kind == "header" and name != name.lower():
            raise ValueError(f"`{{{place}}}`: names of headers are written in lower case")
        if dot and not (name and kind in {"jwt", "peer", "token", "header"}) and place not in _PLAIN:
            raise ValueError(f"`{{{place}}}` is not known of a request")

    def _check_identity(self, place: str) -> None:
        """A user is who is proven to send the request, and never who it says."""
        kind, _, name = place.partition(".")
        if kind == "header" and name not in self._settings.trusted_headers:
            raise ValueError(f"`{{{place}}}` in `user`: the header is not one of `trusted_headers`")
        if kind not in {"jwt", "peer", "token", "header"}:
            raise ValueError(f"`{{{place}}}` in `user` is chosen by whoever sends the request")


def _each(part: str, given: Iterable[_Given], read: Callable[[_Given], _Read]) -> tuple[_Read, ...]:
    """All parts of a setting, read; says which one it is that cannot be."""
    found: list[_Read] = []
    for number, each in enumerate(given):
        try:
            found.append(read(each))
        except ValueError as error:
            raise InvalidSettings(f"setting `ext_authz.{part}.{number}`: {error}") from None
    return tuple(found)
