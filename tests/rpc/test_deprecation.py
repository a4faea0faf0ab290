"""Deprecated calls: what their callers are told, when they are refused, and which configuration is wrong."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from pydantic import TypeAdapter, ValidationError

from authz.call import Call
from authz.rpc.deprecation import check_deprecations, deprecation
from authz.rpc.edge import Edge
from authz.rpc.exchange import Exchange, Method
from authz.rpc.methods import METHODS, SERVICE
from authz.settings import InvalidSettings
from authz.settings.deprecations import Deprecation, Deprecations

pytestmark = pytest.mark.anyio

LINK = "https://example.org/moving"
DEPRECATED, SUNSET = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
ENTRY = Deprecation(deprecated=DEPRECATED, sunset=SUNSET, link=LINK)
METADATA = [
    ("deprecation", "@1767225600"),
    ("sunset", "Wed, 01 Jul 2026 00:00:00 GMT"),
    ("link", f'<{LINK}>; rel="deprecation sunset"'),
]
SERVICES = sorted({method.service for method in METHODS})


class StoppedClock:
    """Wall time as a test sets it."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        """The time."""
        return self.time

    def monotonic(self) -> float:
        """No time passes."""
        return 0.0


async def answer(_exchange: Exchange) -> Message | None:
    """The rest of the chain."""
    return Empty()


def edge(entries: Deprecations, now: datetime = DEPRECATED) -> Edge:
    """What the step needs of the edge."""
    return cast("Edge", SimpleNamespace(services=SimpleNamespace(clock=StoppedClock(now)), deprecations=entries))


async def called(method: Method, entries: Deprecations, now: datetime) -> tuple[Message | None, Exchange]:
    """A call of a method at a time."""
    check_deprecations(entries, METHODS)
    call = Exchange(method, Call(), (), b"", 1.0)
    return await deprecation(edge(entries, now), method, answer)(call), call


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)
@pytest.mark.parametrize("level", ["service", "method", "path"])
async def test_every_method_of_every_service_follows_the_same_rules(method: Method, level: str) -> None:
    """
    Before its sunset a call is answered with the metadata; from that instant on it is refused with them.
    """
    name = {"service": method.service, "method": method.path[1:], "path": method.path}[level]
    entries = {name: ENTRY}
    answered, call = await called(method, entries, SUNSET - timedelta(microseconds=1))
    assert (answered, call.failure, call.initial) == (Empty(), None, METADATA)
    answered, call = await called(method, entries, SUNSET)
    assert answered is None
    assert call.failure is not None
    assert call.failure[:3] == (
        grpc.StatusCode.UNIMPLEMENTED,
        "unimplemented",
        f"`{method.path[1:]}` is not served any more since 2026-07-01: see {LINK}",
    )
    assert call.initial == METADATA


async def test_all_services_are_known() -> None:
    """
    Each served service can be deprecated, and then all of its methods are and no others.
    """
    for service in SERVICES:
        table = edge({service: ENTRY})
        told = {method.path for method in METHODS if deprecation(table, method, answer) is not answer}
        assert told == {method.path for method in METHODS if method.service == service}


async def test_calls_that_are_not_deprecated_pay_nothing() -> None:
    """
    Without an entry the step is the rest of the chain itself.
    """
    assert deprecation(edge({METHODS[1].path: ENTRY}), METHODS[0], answer) is answer
    assert deprecation(edge({}), METHODS[0], answer) is answer


async def test_the_entry_of_a_method_wins_over_that_of_its_service() -> None:
    """
    A service may go while one of its methods stays for longer.
    """
    longer = Deprecation(deprecated=DEPRECATED)
    entries = {SERVICE: ENTRY, f"{SERVICE}/Check": longer}
    check = next(method for method in METHODS if method.path == f"/{SERVICE}/Check")
    answered, call = await called(check, entries, SUNSET)
    assert (answered, call.initial) == (Empty(), METADATA[:1])
    answered, call = await called(METHODS[0], entries, SUNSET)
    assert answered is None


@pytest.mark.parametrize(
    "name", ["openfga.v2.OpenFGAService", f"{SERVICE}/Chek", "", "/", "Check", f"{SERVICE}/", f"/{SERVICE}"]
)
async def test_an_unknown_name_is_an_error_at_the_start(name: str) -> None:
    """
    What is not served cannot be deprecated: it would be a slip of the pen.
    """
    with pytest.raises(InvalidSettings, match="no service or method"):
        check_deprecations({name: ENTRY}, METHODS)


async def test_one_name_twice_is_an_error() -> None:
    """
    Which of two entries holds is not left to chance.
    """
    with pytest.raises(InvalidSettings, match="leading"):
        check_deprecations({f"/{SERVICE}/Check": ENTRY, f"{SERVICE}/Check": ENTRY}, METHODS)


@pytest.mark.parametrize(
    "given",
    [date(2026, 1, 1), "2026-01-01", "2026-01-01T00:00:00Z", datetime(2026, 1, 1), "2026-01-01T02:00:00+02:00"],  # noqa: DTZ001
)
async def test_dates_are_utc(given: object) -> None:
    """
    A date is its first instant in UTC, however it is written.
    """
    entry = Deprecation.model_validate({"deprecated": given})
    assert entry.deprecated == DEPRECATED
    assert entry.deprecated.utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"deprecated": "2026-07-02", "sunset": "2026-07-01"}, "lies before"),
        ({"sunset": "2026-07-01"}, "required"),
        ({"deprecated": "soon"}, "expected a date"),
        ({"deprecated": 5}, "expected a date"),
        ({"deprecated": "2026-01-01", "link": "http://example.org"}, "https"),
        ({"deprecated": "2026-01-01", "link": 'https://example.org/"x'}, "header"),
        ({"deprecated": "2026-01-01", "since": "2026-01-01"}, "Extra"),
    ],
)
async def test_a_bad_entry_is_refused(given: dict[str, object], text: str) -> None:
    """
    Dates must be dates in order, and the link one that a header can carry.
    """
    with pytest.raises(ValidationError, match=text):
        Deprecation.model_validate(given)


async def test_the_table_is_read_from_toml() -> None:
    """
    The names of services have dots, so they are quoted; dates need no quotes.
    """
    text = f'[deprecations."{SERVICE}"]\ndeprecated = 2026-01-01\nsunset = 2026-07-01\nlink = "{LINK}"\n'
    given = tomllib.loads(text)["deprecations"]
    assert TypeAdapter(Deprecations).validate_python(given) == {SERVICE: ENTRY}
