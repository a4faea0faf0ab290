"""Run the `fga` program, told where the server is. Used by test_fga.py."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, replace
from typing import Any

from tests.conformance.fga import PROGRAM, RUN_SECONDS


class Refused(Exception):
    """The program ended with a failure, and said why."""


@dataclass(frozen=True)
class Fga:
    """The program, and what every run of it is told."""

    options: tuple[str, ...]

    def __call__(self, *words: str) -> Any:
        """What a command prints, read as JSON."""
        return json.loads(self.text(*words))

    def text(self, *words: str) -> str:
        """What a command prints.

        Raises:
            Refused: it failed.

        """
        # Settings of the developer must not lead it elsewhere.
        environment = {"HOME": os.devnull, "NO_PROXY": "*"}
        command = [PROGRAM, *words, *self.options]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_SECONDS, env=environment, check=False
        )
        if done.returncode:
            raise Refused(done.stderr)
        return done.stdout

    def about(self, store: str) -> Fga:
        """The same for one store."""
        return replace(self, options=(*self.options, "--store-id", store))
