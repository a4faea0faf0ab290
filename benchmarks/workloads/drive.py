"""A workload like a file store for teams: inherited rights, public links, blocked users. Built by `registry`.

Files lie in nested folders; folders and files are shared with users and teams as editors or viewers; some files are
public; a blocked user may not view what any other way would grant. It exercises exclusion, wildcards and computed
relations, which the reference workload leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from authz.tuples import RelationshipTuple
from benchmarks.workloads.shapes import forest, mixed
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import BatchQuestion, Question, World

MODEL = """
model
  schema 1.1
type user
type team
  relations
    define member: [user, team#member]
type folder
  relations
    define parent: [folder]
    define owner: [user]
    define editor: [user, team#member] or owner or editor from parent
    define viewer: [user, team#member] or editor or viewer from parent
type file
  relations
    define parent: [folder]
    define owner: [user]
    define blocked: [user]
    define editor: [user, team#member] or owner or editor from parent
    define viewer: [user, user:*, team#member] or editor or viewer from parent
    define can_view: viewer but not blocked
    define can_edit: editor but not blocked
"""

TUPLES, DEPTH = 100_000, 6
SHARES = {"owner": 0.15, "team": 0.15, "inherited": 0.2, "public": 0.05, "edit": 0.1, "blocked": 0.05, "miss": 0.3}
_PER_FILE = 3.1
BATCH = 20


class _File(NamedTuple):
    folder: int
    owner: int
    team: int | None
    is_public: bool
    blocked: int | None


class _Plan:
    def __init__(self, size: Size) -> None:
        random = Random(f"drive {size.seed}")
        files = max(round((size.tuples or TUPLES) / _PER_FILE), 60)
        users = max(files // 20, 20)
        self.folders = forest(random, max(files // 10, 12), size.depth or DEPTH)
        self.teams = forest(random, max(users // 20, 6), 2)
        self.team_of = [random.choice(self.teams.levels[-1]) for _ in range(users)]
        self.folder_editors = [random.randrange(users) for _ in self.folders.parents]
        self.folder_teams = [random.choice(self.teams.levels[-1]) for _ in self.folders.levels[0]]
        self.files = [self._file(random, users) for _ in range(files)]

    def _file(self, random: Random, users: int) -> _File:
        folder, owner = random.randrange(len(self.folders.parents)), random.randrange(users)
        team = random.randrange(len(self.teams.parents)) if random.random() < 0.4 else None
        # Mostly somebody who would else see it: otherwise there is nothing to block.
        blocked = self.folder_editors[folder] if random.random() < 0.3 else None
        return _File(folder, owner, team, random.random() < 0.02, blocked)

    def tuples(self) -> Iterator[RelationshipTuple]:
        for team, parent in enumerate(self.teams.parents):
            if parent >= 0:
                yield RelationshipTuple(f"team:{parent}", "member", f"team:{team}#member")
        for user, team in enumerate(self.team_of):
            yield RelationshipTuple(f"team:{team}", "member", f"user:{user}")
        for folder, (parent, editor) in enumerate(zip(self.folders.parents, self.folder_editors, strict=True)):
            if parent >= 0:
                yield RelationshipTuple(f"folder:{folder}", "parent", f"folder:{parent}")
            yield RelationshipTuple(f"folder:{folder}", "editor", f"user:{editor}")
        for folder, team in enumerate(self.folder_teams):
            yield RelationshipTuple(f"folder:{folder}", "viewer", f"team:{team}#member")
        for number, file in enumerate(self.files):
            yield from _tuples_of(f"file:{number}", file)

    def teams_of(self, user: int) -> set[int]:
        return set(self.teams.above(self.team_of[user]))

    def can_edit(self, user: int, number: int) -> bool:
        file = self.files[number]
        edits = file.owner == user or any(self.folder_editors[each] == user for each in self.folders.above(file.folder))
        return edits and file.blocked != user

    def can_view(self, user: int, number: int) -> bool:
        file = self.files[number]
        if file.blocked == user:
            return False
        *_, root = self.folders.above(file.folder)
        teams = self.teams_of(user)
        return file.is_public or file.team in teams or self.folder_teams[root] in teams or self.can_edit(user, number)


def _tuples_of(name: str, file: _File) -> Iterator[RelationshipTuple]:
    yield RelationshipTuple(name, "parent", f"folder:{file.folder}")
    yield RelationshipTuple(name, "owner", f"user:{file.owner}")
    if file.team is not None:
        yield RelationshipTuple(name, "viewer", f"team:{file.team}#member")
    if file.is_public:
        yield RelationshipTuple(name, "viewer", "user:*")
    if file.blocked is not None:
        yield RelationshipTuple(name, "blocked", f"user:{file.blocked}")


def build(size: Size) -> World:
    """Build the world."""
    plan = _Plan(size)
    random = Random(f"drive questions {size.seed}")
    questions = _questions(plan, random, size.questions)
    whole = range(0, len(questions) - BATCH + 1, BATCH)
    sizes = {
        "tuples": sum(1 for _ in plan.tuples()),
        "users": len(plan.team_of),
        "teams": len(plan.teams.parents),
        "folders": len(plan.folders.parents),
        "folder depth": len(plan.folders.levels),
        "files": len(plan.files),
    }
    batches = [BatchQuestion("batch", tuple(questions[start : start + BATCH])) for start in whole]
    return World("drive", size.seed, sizes, MODEL, plan.tuples, questions, batches)


def _questions(plan: _Plan, random: Random, count: int) -> list[Question]:
    files, folders = range(len(plan.files)), plan.folders
    users = range(len(plan.team_of))
    members: dict[int, list[int]] = {}
    for user in users:
        for team in plan.teams_of(user):
            members.setdefault(team, []).append(user)

    def anyone() -> tuple[int, int]:
        return random.choice(files), random.choice(users)

    def owner() -> tuple[int, int]:
        number = random.choice(files)
        return number, plan.files[number].owner

    def member() -> tuple[int, int] | None:
        number = random.choice(files)
        found = members.get(-1 if plan.files[number].team is None else plan.files[number].team or 0)
        return (number, random.choice(found)) if found else None

    def above() -> tuple[int, int]:
        number = random.choice(files)
        return number, plan.folder_editors[random.choice([*folders.above(plan.files[number].folder)])]

    public = [number for number in files if plan.files[number].is_public]
    blocked = [number for number in files if plan.files[number].blocked is not None]
    draws = {
        "owner": lambda: _if(plan, owner(), allowed=True),
        "team": lambda: _if(plan, member(), allowed=True),
        "inherited": lambda: _if(plan, above(), allowed=True),
        "public": lambda: _if(plan, (random.choice(public), random.choice(users)) if public else None, allowed=True),
        "edit": above,
        "blocked": lambda: (each := random.choice(blocked), plan.files[each].blocked or 0) if blocked else None,
        "miss": lambda: _if(plan, anyone(), allowed=False),
    }
    return [_question(plan, kind, *pair) for kind, pair in mixed(random, count, SHARES, draws)]


def _if(plan: _Plan, pair: tuple[int, int] | None, *, allowed: bool) -> tuple[int, int] | None:
    """The file and user, when viewing has this answer."""
    return pair if pair is not None and plan.can_view(pair[1], pair[0]) is allowed else None


def _question(plan: _Plan, kind: str, file: int, user: int) -> Question:
    relation, truth = ("can_edit", plan.can_edit) if kind == "edit" else ("can_view", plan.can_view)
    return Question(kind, f"file:{file}", relation, f"user:{user}", allowed=truth(user, file))
