"""All workers of a service: started, kept alive, asked, and ended. Used by `supervisor`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from authz.app.codes import DONE, FORCED, SERVICE_ERROR
from authz.app.framing import Assignment, News, Word
from authz.app.link import Link, NotStarted, how

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds before a worker that ended is started again: doubled each time, up to the longest."""
CALM_SECONDS = 60.0
"""After so many seconds of service a worker is started again as if for the first time."""

_log = structlog.get_logger(__name__)


class Member:
    """The place of one worker, whichever process has it now."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.number = assignment.number
        self.link: Link | None = None
        self.restarts = 0


class Crew:
    """See the module. Used on one event loop."""

    def __init__(self, assignments: list[Assignment], monotonic: Callable[[], float] = time.monotonic) -> None:
        self.members = [Member(each) for each in assignments]
        self._monotonic = monotonic
        self._keepers: list[asyncio.Task[None]] = []
        self._codes: set[int] = set()

    async def start(self) -> None:
        """Start all workers, and let all serve when the first one has done what is done once.

        Raises:
            NotStarted: one of them ended before it was ready.

        """
        for member in self.members:
            member.link = await Link.start(member.assignment)
        links = self.links()
        links[0].say(Word.PREPARE)
        await links[0].reach(News.PREPARED)
        for link in links:
            link.say(Word.SERVE)
        await asyncio.gather(*(link.reach(News.READY) for link in links))

    def keep(self) -> None:
        """From now on start workers again that end."""
        self._keepers = [asyncio.create_task(self._keep(member)) for member in self.members]

    def links(self) -> list[Link]:
        """The processes that run, by number."""
        return [member.link for member in self.members if member.link is not None]

    async def end(self, within: float, force: asyncio.Event) -> int:
        """Let all workers drain for at most so many seconds, then end them; returns the exit code of the service."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        forcing = asyncio.create_task(self._force(force))
        for link in self.links():
            link.say(Word.DRAIN)
        try:
            async with asyncio.timeout(within):
                for link in self.links():
                    code = await link.end()
                    # One that was not ready yet has lost nothing, whatever it says.
                    self._codes.add(code if link.was_ready else DONE)
        except TimeoutError:
            await self._kill()
            self._codes.add(FORCED)
        forcing.cancel()
        if SERVICE_ERROR in self._codes:  # records were lost, and a worker said so
            return SERVICE_ERROR
        return FORCED if self._codes - {DONE} else DONE

    async def _kill(self) -> None:
        for link in self.links():
            if link.process.poll() is None:
                _log.error("worker_killed", worker=link.number, why="it did not end in time")
                link.process.kill()
            await link.end()

    async def _force(self, force: asyncio.Event) -> None:
        await force.wait()
        for link in self.links():
            link.say(Word.FORCE)

    async def _keep(self, member: Member) -> None:
        pause = FIRST_PAUSE
        while True:
            began = self._monotonic()
            if member.link is not None:
                code = await member.link.end()
                member.link = None
                self._tell(member, code)
            if self._monotonic() - began >= CALM_SECONDS:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            await self._restart(member)

    def _tell(self, member: Member, code: int) -> None:
        tell = _log.error if code else _log.warning  # somebody may have asked this one worker to end
        tell("worker_ended", worker=member.number, code=code, why=f"worker {member.number} {how(code)}")
        if code == SERVICE_ERROR:
            self._codes.add(code)

    async def _restart(self, member: Member) -> None:
        began = self._monotonic()
        member.restarts += 1
        try:
            member.link = await Link.start(member.assignment)
            member.link.say(Word.SERVE)
            await member.link.reach(News.READY)
        except NotStarted as error:
            _log.error("worker_not_started", worker=member.number, why=error.why)
            if member.link is not None:
                await member.link.end()
                member.link = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again: nobody else would
            _log.error("worker_not_started", worker=member.number, why=str(error), exc_info=error)
        else:
            seconds = round(self._monotonic() - began, 3)
            _log.info("worker_restarted", worker=member.number, seconds=seconds, restarts=member.restarts)
