"""Settings of a read replica of the datastore. A section of `tree`.

The section is named `replica`: one named `datastore` would claim the variable of the setting `datastore_uri`.
"""

from __future__ import annotations

from pydantic import Field

from authz.settings.types import Count, Seconds, Section


class ReplicaSettings(Section):
    """The table `[replica]`."""

    uri: str = Field(default="", repr=False)
    """A streaming standby of the PostgreSQL server in `datastore_uri`, for reads at a revision that it has: loading
    indexes, rows read on demand, pages of Read and of the changelog. Empty: none."""
    max_lag: Seconds = 5.0
    """By how many seconds the replica may be behind; while it is further, or away, everything is read from the primary.
    Answers are right whatever it is: a replica is never asked for a revision that it does not have."""
    readers: Count = 4
    """How many connections a process keeps to the replica."""
