"""Settings of where alerts go. A section of `tree`."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from authz.settings.access import Url
from authz.settings.types import Count, Seconds, Section

MIN_SECRET_BYTES = 16


class WebhookSettings(Section):
    """A table `[[alerts.webhooks]]`: where alerts are posted."""

    url: Url
    """Where to; https, or http to this very machine."""
    secret_file: Path | None = None
    """A file whose first line signs alerts, read again when it changes."""
    secret: SecretStr | None = Field(default=None, min_length=MIN_SECRET_BYTES)
    """What signs alerts, for those who have no file: `AUTHZ_ALERTS_WEBHOOKS` holds the webhooks as JSON."""
    ca_file: Path | None = None
    """Authorities that may vouch for the receiver; without it those of the system."""

    @model_validator(mode="after")
    def _signs(self) -> Self:
        if (self.secret_file is None) == (self.secret is None):
            raise ValueError("give either `secret_file` or `secret`: alerts are always signed")
        return self


class AlertsSettings(Section):
    """The table `[alerts]`. Alerts always go to the log."""

    webhooks: tuple[WebhookSettings, ...] = Field(default=(), max_length=16)
    """Where alerts are posted, each in its own order and with its own queue."""
    queue: Count = 1000
    """How many alerts may wait for one webhook; further ones are counted and reported as not delivered."""
    timeout: Seconds = 5.0
    """How many seconds one delivery may take."""
    give_up: Seconds = 3600.0
    """How many seconds delivery of an alert is tried again."""
    group: Seconds = 60.0
    """For how many seconds alerts equal to one that was sent are only counted; then one more says how many."""
    flush: Seconds = 5.0
    """How many seconds are given to waiting alerts when the service stops."""
