"""The shape of the code base: layers, file sizes, and a word about every file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400
OURS = sorted(
    path
    for folder in ("authz", "schema_dsl", "tests", "tools")
    for path in (ROOT / folder).rglob("*.py")
    if "_proto" not in path.parts
)


def test_imports_go_down_only() -> None:
    """import-linter finds no import against the layers."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["authz", "schema_dsl"])
def test_types_are_for_others_too(package: str) -> None:
    """Without this mark (PEP 561) type checkers of programs that use the package see none of its types."""
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_small_and_says_what_it_is_for(path: Path) -> None:
    """No file grows beyond the limit, and each begins with its role."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    if text.strip():
        assert text.startswith('"""'), "no module docstring"


def test_the_repository_speaks_of_the_project_alone() -> None:
    """No file names a machine's path."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    machine_path = re.compile(rb"/(?:work|root|home)/[a-z]")
    for name in filter(None, listed.split(b"\0")):
        path = ROOT / name.decode()
        if path.is_file():
            assert not machine_path.search(path.read_bytes()), name
