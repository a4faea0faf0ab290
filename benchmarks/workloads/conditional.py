"""Two workloads whose requests bring data: `conditions` (context for CEL) and `contextual` (tuples).

Built by `registry`. Their truth is computed in Python: comparisons of numbers, times and networks, and the groups that
a request names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from authz.tuples import JsonValue, RelationshipCondition, RelationshipTuple
from benchmarks.workloads.shapes import mixed
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import Question, World

CONDITIONS_MODEL = """
model
  schema 1.1
type user
type account
  relations
    define payer: [user with within_limit]
    define viewer: [user with from_network, user with until] or payer
condition within_limit(limit: int, amount: int) {
  amount <= limit
}
condition from_network(network: string, address: ipaddress) {
  address.in_cidr(network)
}
condition until(end: timestamp, now: timestamp) {
  now < end
}
"""

CONTEXTUAL_MODEL = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define viewer: [user, group#member]
"""

CONDITIONS_TUPLES, CONTEXTUAL_TUPLES = 30_000, 30_000
CONTEXTUAL = 10
"""Contextual tuples of a request: as many groups as a caller's token may name."""
_NOW = "2026-01-01T12:00:00Z"
_SHARES = {"allowed": 0.6, "denied": 0.4}
_SHARES_CONDITIONS = {"amount": 0.4, "network": 0.3, "time": 0.3}


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


TRUTH: Mapping[str, Callable[[Mapping[str, Any]], bool]] = MappingProxyType(
    {
        "within_limit": lambda given: given["amount"] <= given["limit"],
        "from_network": lambda given: ip_address(given["address"]) in ip_network(given["network"]),
        "until": lambda given: _moment(given["now"]) < _moment(given["end"]),
    }
)
"""The conditions of the model in Python, by name."""


class _Draw(NamedTuple):
    account: int
    context: tuple[tuple[str, JsonValue], ...]


def build_conditions(size: Size) -> World:
    """Accounts whose holder may pay up to a limit, or view from a network or until a time."""
    random = Random(f"conditions {size.seed}")
    accounts = max(size.tuples or CONDITIONS_TUPLES, 30)
    relations = {"within_limit": "payer", "from_network": "viewer", "until": "viewer"}
    held = [_condition(random, number) for number in range(accounts)]

    def tuples() -> Iterator[RelationshipTuple]:
        for number, condition in enumerate(held):
            yield RelationshipTuple(f"account:{number}", relations[condition.name], f"user:{number % 997}", condition)

    def draw(first: int) -> _Draw:
        number = random.randrange(first, accounts, 3)
        given: list[tuple[str, JsonValue]] = [
            ("amount", random.randrange(1000)),
            ("address", f"10.{random.randrange(4)}.0.{random.randrange(256)}"),
            ("now", (_moment(_NOW) + timedelta(hours=random.randrange(-500, 500))).isoformat()),
        ]
        return _Draw(number, (given[first],))

    draws = {kind: lambda first=first: draw(first) for first, kind in enumerate(_SHARES_CONDITIONS)}
    questions = []
    for kind, (number, given) in mixed(random, size.questions, _SHARES_CONDITIONS, draws):
        condition, context = held[number], dict(given)
        allowed = TRUTH[condition.name]({**condition.context, **context})
        relation = "payer" if kind == "amount" else "viewer"
        question = Question(kind, f"account:{number}", relation, f"user:{number % 997}", allowed, (), context)
        questions.append(question)
    sizes = {"tuples": accounts, "users": 997}
    return World("conditions", size.seed, sizes, CONDITIONS_MODEL, tuples, questions)


def _condition(random: Random, number: int) -> RelationshipCondition:
    match number % 3:
        case 0:
            return RelationshipCondition("within_limit", {"limit": random.randrange(1000)})
        case 1:
            return RelationshipCondition("from_network", {"network": f"10.{random.randrange(4)}.0.0/16"})
        case _:
            end = _moment(_NOW) + timedelta(hours=random.randrange(-500, 500))
            return RelationshipCondition("until", {"end": end.isoformat()})


def build_contextual(size: Size) -> World:
    """Documents shared with groups of which only the request says who is in them."""
    random = Random(f"contextual {size.seed}")
    documents = max(size.tuples or CONTEXTUAL_TUPLES, 30)
    groups = max(documents // 30, 2 * CONTEXTUAL)
    shared = [random.randrange(groups) for _ in range(documents)]

    def tuples() -> Iterator[RelationshipTuple]:
        for number, group in enumerate(shared):
            yield RelationshipTuple(f"document:{number}", "viewer", f"group:{group}#member")

    def draw(*, allowed: bool) -> tuple[int, tuple[int, ...]]:
        number = random.randrange(documents)
        others = [group for group in random.sample(range(groups), CONTEXTUAL + 1) if group != shared[number]]
        named = [*others[: CONTEXTUAL - 1], shared[number] if allowed else others[CONTEXTUAL - 1]]
        random.shuffle(named)
        return number, tuple(named)

    draws = {"allowed": lambda: draw(allowed=True), "denied": lambda: draw(allowed=False)}
    questions = [
        _contextual(kind, number, named, allowed=shared[number] in named)
        for kind, (number, named) in mixed(random, size.questions, _SHARES, draws)
    ]
    sizes = {"tuples": documents, "groups": groups, "contextual tuples": CONTEXTUAL}
    return World("contextual", size.seed, sizes, CONTEXTUAL_MODEL, tuples, questions)


def _contextual(kind: str, number: int, named: tuple[int, ...], *, allowed: bool) -> Question:
    user = f"user:{number % 1009}"
    contextual = tuple(RelationshipTuple(f"group:{group}", "member", user) for group in named)
    return Question(kind, f"document:{number}", "viewer", user, allowed, contextual)
