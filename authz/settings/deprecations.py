"""Settings of which parts of the API are going away, and when. A section of `tree`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from authz.settings.access import Url
from authz.settings.types import Section


def _moment(value: object) -> object:
    """A date is its first instant, and a time without a zone is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("expected a date such as 2027-01-31") from None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError("expected a date such as 2027-01-31")


Moment = Annotated[datetime, BeforeValidator(_moment)]


class Deprecation(Section):
    """A table `[deprecations."SERVICE"]` or `[deprecations."SERVICE/METHOD"]`.

    SERVICE is the name on the wire, as in `openfga.v1.OpenFGAService`. The table of a method wins over its service's.
    """

    deprecated: Moment
    """From when on it should not be used any more."""
    sunset: Moment | None = None
    """From when on it is refused."""
    link: Url | None = None
    """Where callers read what to use instead."""

    @model_validator(mode="after")
    def _ends_after_it_is_deprecated(self) -> Self:
        if self.sunset is not None and self.sunset < self.deprecated:
            raise ValueError("`sunset` lies before `deprecated`")
        if self.link is not None and any(sign in self.link for sign in '<>",'):
            raise ValueError("`link` holds a character that a header cannot carry")
        return self


Deprecations = dict[str, Deprecation]
"""The table `[deprecations]`."""
