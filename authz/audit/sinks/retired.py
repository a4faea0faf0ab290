"""Which full files of records are removed, and what their heads say then. Used by the sink `file`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from authz.audit.chain import FILE, sealed, split
from authz.audit.keys import KeyRing
from authz.audit.sinks.lines import last_line, number_of
from authz.store.trail import Head


def full_files(path: Path, chain: str = "") -> list[Path]:
    """The full files beside a file, by chain and first record; of one chain if named."""
    middle = re.escape(chain.removeprefix(FILE)) if chain else "[^.]+"
    form = re.compile(rf"{re.escape(path.name)}\.{middle}\.[0-9]{{12}}(\.[^.]+)?")
    return sorted(each for each in path.parent.iterdir() if form.fullmatch(each.name))


def retire(
    path: Path, heads: Sequence[Head], ring: KeyRing, *, keep: int, max_age: timedelta, now: datetime
) -> tuple[list[Head], list[Path]]:
    """The heads with their bases behind the files to remove, and these files, oldest first.

    Files of chains that no head knows are evidence, and stay.
    """
    owned = [(head, file) for head in heads for file in full_files(path, head.chain)]
    surplus = max(len(owned) - keep, 0)
    doomed = [pair for place, pair in enumerate(owned) if place < surplus or _is_old(pair[1], max_age, now)]
    left = {head.chain: head for head in heads}
    gone = []
    for head, file in doomed:
        line = last_line(file)
        place, parts = number_of(line), split(line)
        key = ring.find(head.key_id)
        if place is None or parts is None or key is None or place.chain != head.chain:
            continue  # not what was written: left for verification to find
        gone.append(file)
        based = left[head.chain]._replace(base_sequence=place.sequence, base_mac=parts.mac)
        left[head.chain] = sealed(based, key)
    # A chain whose files are all gone keeps its head: so one that never was here is told from one that was taken.
    return [left[head.chain] for head in heads], gone


def _is_old(file: Path, max_age: timedelta, now: datetime) -> bool:
    return bool(max_age) and datetime.fromtimestamp(file.stat().st_mtime, UTC) < now - max_age
