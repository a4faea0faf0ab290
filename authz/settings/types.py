"""What sections of the settings are made of. Used by every module of `settings`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class InvalidSettings(Exception):
    """A setting that is unknown or has a bad value; the message names it. Ends the program with a usage error."""


class Section(BaseModel):
    """A table of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def address(text: str) -> str:
    """A text that is HOST:PORT; raises ValueError when it is not."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"expected HOST:PORT, got `{text}`")
    return text


Address = Annotated[str, AfterValidator(address)]
OptionalAddress = Annotated[str, AfterValidator(lambda text: text and address(text))]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
