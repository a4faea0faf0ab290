"""Settings of the tuples in memory. A section of `tree`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ByteSize, Field

from authz.settings.types import Section


class IndexSettings(Section):
    """The table `[index]`: how much memory tuples may take."""

    budget: Annotated[ByteSize, Field(gt=0)] | Literal["auto"] = "auto"
    """How many bytes (`512MiB`, `1GiB`) the tuples in memory may take in each worker. A store that does not fit is read
    from the database as it is asked about, and what was used last is kept. `auto` is half of the memory that the
    machine or container has, divided by the workers: enough for some seven million tuples per GiB, and never so much
    that the system ends the program."""
    decisions: int = Field(default=100_000, ge=0)
    """How many decisions of Check are remembered for each store, until a tuple that could change them changes; about
    400 bytes each, and for all stores together at most a quarter of the budget, beside it. 0 for none."""
