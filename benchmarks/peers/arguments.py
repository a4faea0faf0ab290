"""What follows `=` in the name of a peer that is a server: `HOST:PORT,in_flight=16`. Used by those peers."""

from __future__ import annotations


def parse_choices(argument: str) -> tuple[str, dict[str, str]]:
    """The part without a name, which comes first and may be empty, and the named choices.

    Raises:
        ValueError: a part after the first has no name.

    """
    parts = argument.split(",") if argument else []
    first = parts.pop(0) if parts and "=" not in parts[0] else ""
    choices = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"`{part}` is no choice: choices are written NAME=VALUE")
        choices[name.strip()] = value.strip()
    return first, choices


def parse_in_flight(choices: dict[str, str]) -> int:
    """Take `in_flight` out of the choices: how many calls wait for an answer at a time, 1 unless told."""
    text = choices.pop("in_flight", "1")
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"`in_flight` must be a whole number from 1 on: got `{text}`")
    return int(text)
