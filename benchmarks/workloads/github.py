"""A workload like a code host: organizations, nested teams, repositories with a ladder of roles. Built by `registry`.

A role on a repository comes from a grant to a user or team, from any higher role, or from the organization's base
role for all its members. It exercises long ladders of computed relations and rights through an owning object.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from authz.tuples import RelationshipTuple
from benchmarks.workloads.shapes import Forest, forest, mixed
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import BatchQuestion, Question, World

MODEL = """
model
  schema 1.1
type user
type team
  relations
    define member: [user, team#member]
type organization
  relations
    define owner: [user]
    define member: [user] or owner
    define base_reader: [organization#member]
    define base_writer: [organization#member]
type repository
  relations
    define owner: [organization]
    define admin: [user, team#member] or owner from owner
    define maintainer: [user, team#member] or admin
    define writer: [user, team#member] or maintainer or base_writer from owner
    define triager: [user, team#member] or writer
    define reader: [user, team#member] or triager or base_reader from owner
"""

TUPLES = 100_000
ROLES = ("reader", "triager", "writer", "maintainer", "admin")
SHARES = {"user": 0.2, "team": 0.2, "base": 0.15, "owner": 0.05, "miss": 0.4}
_BASES = ("", "base_reader", "base_writer")
_PER_REPOSITORY = 5.6
BATCH = 20


class _Repository(NamedTuple):
    organization: int
    users: dict[int, int]
    """The role given to a user: an index of `ROLES`."""
    teams: dict[int, int]


class _Organization(NamedTuple):
    owner: int
    base: str
    members: range
    teams: Forest
    first_team: int
    """Teams are numbered over all organizations."""


class _Plan:
    def __init__(self, size: Size) -> None:
        random = Random(f"github {size.seed}")
        repositories = max(round((size.tuples or TUPLES) / _PER_REPOSITORY), 60)
        count = max(repositories // 100, 3)
        self.organizations = [self._organization(random, number) for number in range(count)]
        self.team_of = [
            organization.first_team + random.choice(organization.teams.levels[-1])
            for organization in self.organizations
            for _ in organization.members
        ]
        self.repositories = [self._repository(random) for _ in range(repositories)]

    def _organization(self, random: Random, number: int) -> _Organization:
        members = range(number * 60, (number + 1) * 60)
        return _Organization(members[0], random.choice(_BASES), members[1:], forest(random, 12, 3), number * 12)

    def _repository(self, random: Random) -> _Repository:
        number = random.randrange(len(self.organizations))
        organization = self.organizations[number]
        users = {random.choice(organization.members): random.randrange(len(ROLES)) for _ in range(2)}
        team = organization.first_team + random.randrange(len(organization.teams.parents))
        return _Repository(number, users, {team: random.randrange(len(ROLES))})

    def tuples(self) -> Iterator[RelationshipTuple]:
        team_of = iter(self.team_of)
        for number, organization in enumerate(self.organizations):
            name = f"organization:{number}"
            yield RelationshipTuple(name, "owner", f"user:{organization.owner}")
            if organization.base:
                yield RelationshipTuple(name, organization.base, f"{name}#member")
            for team, parent in enumerate(organization.teams.parents):
                if parent >= 0:
                    above, below = organization.first_team + parent, organization.first_team + team
                    yield RelationshipTuple(f"team:{above}", "member", f"team:{below}#member")
            for user in organization.members:
                yield RelationshipTuple(name, "member", f"user:{user}")
                yield RelationshipTuple(f"team:{next(team_of)}", "member", f"user:{user}")
        for number, repository in enumerate(self.repositories):
            yield RelationshipTuple(f"repository:{number}", "owner", f"organization:{repository.organization}")
            for user, role in repository.users.items():
                yield RelationshipTuple(f"repository:{number}", ROLES[role], f"user:{user}")
            for team, role in repository.teams.items():
                yield RelationshipTuple(f"repository:{number}", ROLES[role], f"team:{team}#member")

    def teams_with(self, user: int) -> set[int]:
        """The teams that hold a member of an organization, through others too."""
        organization = self.organizations[user // 60]
        if user == organization.owner:
            return set()
        place = user - user // 60 - 1  # owners are in no team
        lowest = self.team_of[place] - organization.first_team
        return {organization.first_team + team for team in organization.teams.above(lowest)}

    def roles(self, user: int, number: int) -> dict[str, int]:
        """The highest role that each way gives a user: user, team, base, owner."""
        repository = self.repositories[number]
        organization = self.organizations[repository.organization]
        found = {"user": repository.users[user]} if user in repository.users else {}
        teams = [repository.teams[team] for team in self.teams_with(user) & repository.teams.keys()]
        if teams:
            found["team"] = max(teams)
        if organization.base and user // 60 == repository.organization:
            found["base"] = ROLES.index("reader" if organization.base == "base_reader" else "writer")
        if user == organization.owner:
            found["owner"] = ROLES.index("admin")
        return found


def build(size: Size) -> World:
    """Build the world."""
    plan = _Plan(size)
    questions = _questions(plan, Random(f"github questions {size.seed}"), size.questions)
    whole = range(0, len(questions) - BATCH + 1, BATCH)
    sizes = {
        "tuples": sum(1 for _ in plan.tuples()),
        "users": len(plan.organizations) * 60,
        "organizations": len(plan.organizations),
        "teams": len(plan.organizations) * 12,
        "repositories": len(plan.repositories),
    }
    batches = [BatchQuestion("batch", tuple(questions[start : start + BATCH])) for start in whole]
    return World("github", size.seed, sizes, MODEL, plan.tuples, questions, batches)


def _questions(plan: _Plan, random: Random, count: int) -> list[Question]:
    def draw(kind: str) -> tuple[int, int, int] | None:
        number = random.randrange(len(plan.repositories))
        repository = plan.repositories[number]
        organization = plan.organizations[repository.organization]
        user = {"user": lambda: random.choice([*repository.users]), "owner": lambda: organization.owner}.get(
            kind, lambda: random.choice(organization.members)
        )()
        role, held = random.randrange(len(ROLES)), plan.roles(user, number)
        if kind == "miss":
            return (number, user, role) if max(held.values(), default=-1) < role else None
        return (number, user, role) if held.get(kind, -1) >= role else None

    draws = {kind: lambda kind=kind: draw(kind) for kind in SHARES}
    return [
        Question(kind, f"repository:{number}", ROLES[role], f"user:{user}", allowed=kind != "miss")
        for kind, (number, user, role) in mixed(random, count, SHARES, draws)
    ]
