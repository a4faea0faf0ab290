"""Workers write records to one standard output: whole lines, whoever is killed, and whoever reads slowly."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

from authz.audit.sinks.turns import OutputTurns

_WRITE = """
import asyncio, os, sys
from datetime import UTC, datetime
from authz.audit.chain import payload
from authz.audit.keys import FixedKeys, parse_keys
from authz.audit.sinks.stdout import StdoutSink
from authz.audit.sinks.turns import OutputTurns
from authz.clock import SystemClock

async def main(descriptor, name, die):
    keys = FixedKeys(parse_keys(b"k1:" + b"ab" * 32))
    sink = StdoutSink(keys, SystemClock(), turns=OutputTurns(int(descriptor)))
    for number in range(40):
        members = {"kind": "note", "time": datetime.now(UTC), "name": name, "number": number, "long": "x" * 9000}
        await sink.write([payload(members)])
    if die == "die":
        turns = OutputTurns(int(descriptor))
        while turns.begin(1.0) is None:
            pass
        os.write(1, b"half a line")
        os.kill(os.getpid(), 9)

asyncio.run(main(*sys.argv[1:]))
"""


def start(turns: int, output: int, name: str, die: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITE, str(turns), name, die],
        pass_fds=(turns,),
        stdout=output,
        stdin=subprocess.DEVNULL,
    )


def test_lines_of_several_writers_are_whole() -> None:
    """
    Three processes write records longer than a pipe takes at once, one dies within a line: all else is whole lines.
    """
    turns = OutputTurns.create()
    readable, writable = os.pipe()
    found = bytearray()

    def read() -> None:
        while part := os.read(readable, 65536):
            found.extend(part)

    reading = threading.Thread(target=read)
    reading.start()
    dying = start(turns, writable, "dying", "die")
    dying.wait(60)
    writers = [start(turns, writable, name) for name in ("one", "two", "three")]
    codes = [writer.wait(60) for writer in writers]
    os.close(writable)
    reading.join(10)
    os.close(readable)
    os.close(turns)
    assert codes == [0, 0, 0]
    lines = bytes(found).splitlines()
    assert [line for line in lines if not (line.startswith(b"{") and line.endswith(b'"}'))] == [b"half a line"]
    assert len(lines) == 4 * 40 + 1


def test_one_waits_for_the_other_and_not_for_ever() -> None:
    """
    While another process has the turn nobody else gets it; the turn of a process that ends is over.
    """
    turns = OutputTurns.create()
    holding = "import sys\nfrom authz.audit.sinks.turns import OutputTurns\n"
    holding += "assert OutputTurns(int(sys.argv[1])).begin(1.0) is False\nprint(flush=True)\nsys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", holding, str(turns)], pass_fds=(turns,), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    mine = OutputTurns(turns)
    began = time.monotonic()
    assert mine.begin(0.05) is None
    assert time.monotonic() - began < 5
    other.communicate(b"", timeout=30)
    assert mine.begin(1.0) is True, "it ended within its turn"
    assert mine.begin(0.0) is False, "a turn is kept until it is ended"
    mine.end()
    assert mine.begin(0.0) is False
    mine.end()
    os.close(turns)
