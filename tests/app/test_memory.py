"""The budget of the index: as chosen, or a share of the memory that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.app.memory import memory_budget, usable_memory
from authz.settings import InvalidSettings, load_settings


def test_the_limit_of_the_container_counts(tmp_path: Path) -> None:
    """Where there is one; without, the memory of the machine."""
    limited, unlimited = tmp_path / "limited", tmp_path / "unlimited"
    limited.write_text("268435456\n")
    unlimited.write_text("max\n")
    machine = usable_memory(())
    assert machine > 1 << 28
    assert usable_memory((limited,)) == 1 << 28
    assert usable_memory((unlimited, tmp_path / "missing")) == machine


def test_workers_share_the_memory() -> None:
    """What is chosen is chosen for each worker; otherwise all of them together take half of what there is."""
    assert memory_budget(12345, 4) == 12345
    assert memory_budget("auto", 2) == usable_memory() // 4


@pytest.mark.parametrize(("text", "size"), [("512MiB", 512 << 20), ("1GiB", 1 << 30), ("2 GB", 2 * 10**9), ("77", 77)])
def test_sizes_have_units(text: str, size: int) -> None:
    """As everywhere; a bare number is bytes."""
    assert load_settings({"index.budget": text}, None).index.budget == size


@pytest.mark.parametrize("text", ["0", "-1", "lots", "1 XiB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    """By name."""
    with pytest.raises(InvalidSettings, match=r"index\.budget"):
        load_settings({"index.budget": text}, None)
