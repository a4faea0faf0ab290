"""Prove a file of records and the full files beside it whole, or name the first record that is not. Called by `cli`.

What can be done to files and how it is found is as for a datastore (see `verify`); the head file is under one seal. The
last line may be torn, and the file may be ahead of its head, where a process was killed: that is told, and is no
problem, because nobody without the key can bring it about with records that verify.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from authz.audit.chain import FILE, NOTHING
from authz.audit.checkpoint import Checkpoint, UnknownSigner, read_checkpoint
from authz.audit.claims import AllClaims
from authz.audit.inspect import Inspection
from authz.audit.keys import KeyRing
from authz.audit.sinks.heads import UnprovenHeads, load_heads
from authz.audit.sinks.lines import first_line, number_of, read_lines
from authz.audit.sinks.retired import full_files
from authz.audit.verify import ChainReport, Problem, Report, Tally
from authz.store.trail import Head


def verify_files(path: Path, ring: KeyRing, outside: Sequence[Checkpoint] = ()) -> Report:
    """Follow the chains of the file at `path`, and of the full files beside it.

    Raises:
        OSError: a file cannot be read.

    """
    files = [*full_files(path), *([path] if path.exists() else [])]
    claims, checkpoints = AllClaims(), 0
    claims.add(outside)
    for file in files:
        checkpoints += claims.add(_checkpoints(file, ring))
    tally, heads = Tally(), []
    try:
        heads = load_heads(path, ring)
    except UnprovenHeads as error:
        tally.add(ChainReport(str(path), 0, 0, Problem(str(path), 1, str(error))))
    by_chain = _by_chain(files, path, heads)
    for head in heads:
        tally.add(_follow(head, by_chain.pop(head.chain, []), ring, claims))
    for chain, found in sorted(by_chain.items()):
        tally.add(ChainReport(chain, 0, 0, Problem(chain, found[0][0], "there are records without a head")))
    return tally.report(checkpoints)


_Files = list[tuple[int, Path]]
_LAST = 2**63


def _by_chain(files: Sequence[Path], path: Path, heads: Sequence[Head]) -> dict[str, _Files]:
    """Files by their chain, in the order of their first records."""
    known, newest = {head.chain for head in heads}, heads[-1].chain if heads else ""
    found: dict[str, _Files] = {}
    for file in files:
        line = first_line(file)
        if not line:
            continue
        place = number_of(line)
        if place is not None and (place.chain in known or not newest):
            chain, sequence = place.chain, place.sequence
        elif file == path:
            chain, sequence = newest or str(path), _LAST
        else:
            # Its first line is damaged, or foreign: the name says where the file belongs.
            ulid, _, number = file.name.removeprefix(f"{path.name}.").partition(".")
            chain, sequence = f"{FILE}{ulid}", int(number[:12])
        found.setdefault(chain, []).append((sequence, file))
    return {chain: sorted(those) for chain, those in found.items()}


def _follow(head: Head, files: _Files, ring: KeyRing, claims: AllClaims) -> ChainReport:
    mine = claims.of(head.chain).begin()
    inspection = Inspection(head.chain, head.base_sequence, head.base_mac or NOTHING, ring, claims=mine)
    why, notices, last = "", [], (head.base_mac, head.key_id)
    for line, is_torn in _lines(files, head):
        if is_torn:
            notices.append("the last line is torn: the process was killed while it wrote")
            continue
        if not inspection.take_line(line):
            why = inspection.why
            break
        if inspection.sequence == head.sequence:
            last = inspection.mac, inspection.key_id
    end = inspection.sequence
    if not why:
        why = _wrong_end(head, end, last, max(mine.last, head.sequence))
    if not why and end > head.sequence:
        notices.append(f"{end - head.sequence} records are beyond the head: the process was killed")
    problem = Problem(head.chain, end + 1, why, inspection.time) if why else None
    return ChainReport(head.chain, inspection.records, head.base_sequence, problem, (*inspection.notices, *notices))


def _wrong_end(head: Head, end: int, last: tuple[bytes, str], known: int) -> str:
    if end < known:
        return f"records are missing: {known} are known to have been"
    if last[0] != head.mac:
        return "the head knows another record at its place"
    if last[1] != head.key_id:
        return f"its head is under the key `{head.key_id}`, and its last record is not: records may be missing"
    return ""


def _lines(files: _Files, head: Head) -> Iterator[tuple[bytes, bool]]:
    """The lines behind the base: files that were to be removed may be left over from a crash."""
    for place, (_, file) in enumerate(files):
        following = files[place + 1][0] if place + 1 < len(files) else None
        if following is not None and following <= head.base_sequence + 1:
            continue
        for each in read_lines(file):
            yield each.line, each.is_torn and following is None


def _checkpoints(file: Path, ring: KeyRing) -> Iterator[Checkpoint]:
    for each in read_lines(file):
        try:
            checkpoint = read_checkpoint(each.line, ring)
        except UnknownSigner:
            continue  # nor can its record be verified, which is reported
        if checkpoint is not None:
            yield checkpoint
