"""Conversion of JSON values to parameter types: tables, and properties against naive references."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from authz.conditions import MET, State
from authz.conditions.types import ConversionError, decode_type
from authz.tuples import JsonValue
from tests.conditions.build import condition, evaluate, type_reference

PLAIN = ["any", "bool", "string", "int", "uint", "double", "duration", "timestamp", "ipaddress"]

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["1", "1h", "::1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


def converted(spelling: str, value: JsonValue) -> Any:
    """The CEL value, or None when refused."""
    try:
        return decode_type(type_reference(spelling)).convert(value)
    except ConversionError:
        return None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1), (1.0, 1), (-0.0, 0), ("1", 1), ("1.0", 1), ("1e1", 10), ("+5", 5), ("-5", -5), (2**63 - 1, 2**63 - 1),
        ("9223372036854775807", 2**63 - 1), ("9007199254740993", 9007199254740993), (-(2**63), -(2**63)),
        (2**63, None), ("9223372036854775808", None), (1e30, None), (1.5, None), ("1.5", None), ("", None), (" 1",
        None),
        ("0x10", None), ("1_0", None), ("inf", None), ("1e999999999", None), (math.nan, None), (math.inf, None),
        (True, None), (None, None), ([], None), ({}, None), ("1" * 5000, None), ("\u0661", None),
    ],
)  # fmt: skip
def test_int(value: JsonValue, expected: int | None) -> None:
    """Whole numbers come as JSON numbers or decimal strings; anything inexact or out of range is refused."""
    assert converted("int", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (-0.0, 0), ("18446744073709551615", 2**64 - 1), (-1, None), ("-1", None), (2**64, None), (1.5, None)],
)
def test_uint(value: JsonValue, expected: int | None) -> None:
    """Unsigned numbers are never negative and keep all 64 bits."""
    assert converted("uint", value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0), (1.5, 1.5), ("1.5", 1.5), ("-2.", -2.0), (".5e1", 5.0), ("1.79e+309", None), (10**400, None),
        (math.inf, None), (math.nan, None), ("NaN", None), ("Inf", None), ("0x1p4", None), (False, None), (None, None),
    ],
)  # fmt: skip
def test_double(value: JsonValue, expected: float | None) -> None:
    """Doubles are finite; a number too large is refused, not made infinite."""
    assert converted("double", value) == expected


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        ("1500ms", 1_500_000_000), ("1.5s", 1_500_000_000), ("1500000µs", 1_500_000_000), ("1500000μs", 1_500_000_000),
        ("1500000us", 1_500_000_000), ("1h2m3s4ns", 3_723_000_000_004), ("-1.5s", -1_500_000_000),
        ("+.5s", 500_000_000),
        ("0", 0), ("-0", 0), ("0.3ns", 0), ("9223372036854775807ns", 2**63 - 1), ("-9223372036854775808ns", -(2**63)),
        ("9223372036854775808ns", None), ("9999999h", None), ("", None), ("1", None), ("s", None), (".s", None),
        ("1 s", None),
        ("1d", None), ("1s-1s", None), (1.5, None), (None, None), ("9" * 2000 + "s", None),
    ],
)  # fmt: skip
def test_duration(value: JsonValue, nanoseconds: int | None) -> None:
    """Durations have the syntax and the range of Go's."""
    duration = converted("duration", value)
    assert (duration.ToNanoseconds() if isinstance(duration, Duration) else None) == nanoseconds


@pytest.mark.parametrize(
    ("value", "seconds", "nanos"),
    [
        ("1970-01-01T00:00:00Z", 0, 0), ("1970-01-01T00:00:00.000000001Z", 0, 1), ("1970-01-01T02:00:00+02:00", 0, 0),
        ("1969-12-31T22:30:00-01:30", 0, 0), ("1970-01-01T00:00:00.1234567899Z", 0, 123456789),
        ("2024-02-29T00:00:00Z", 1709164800, 0),
        ("0001-01-01T00:00:00Z", -62135596800, 0), ("9999-12-31T23:59:59.999999999Z", 253402300799, 999999999),
    ],
)  # fmt: skip
def test_timestamp(value: JsonValue, seconds: int, nanos: int) -> None:
    """Timestamps follow RFC 3339 and keep nanoseconds."""
    assert converted("timestamp", value) == Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    "value",
    [
        "1970-01-01", "1970-01-01 00:00:00Z", "1970-01-01T00:00:00", "1970-01-01t00:00:00z", "1970-01-01T24:00:00Z",
        "1970-01-01T00:00:60Z", "2023-02-29T00:00:00Z", "1970-13-01T00:00:00Z", "0000-01-01T00:00:00Z",
        "1970-01-01T00:00:00.Z",
        "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1970-01-01T00:00:00+24:00",
        "\u0661970-01-01T00:00:00Z", 0, None, "",
    ],
)  # fmt: skip
def test_bad_timestamp(value: JsonValue) -> None:
    """What is not a moment between the years 1 and 9999 is refused."""
    assert converted("timestamp", value) is None


@pytest.mark.parametrize(
    ("address", "network", "inside"),
    [
        ("10.1.2.3", "10.0.0.0/8", True), ("11.1.2.3", "10.0.0.0/8", False), ("10.1.2.3", "10.9.9.9/8", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True), ("10.1.2.3", "::ffff:10.0.0.0/104", True), ("10.1.2.3",
        "::ffff:0:0/96", True),
        ("10.1.2.3", "::ffff:0:0/90", False), ("10.1.2.3", "::/0", False), ("::1", "0.0.0.0/0", False), ("10.1.2.3",
        "0.0.0.0/0", True),
        ("2001:db8::1", "2001:db8::/32", True), ("2001:db9::1", "2001:db8::/32", False), ("fe80::1%eth0",
        "fe80::/10", False),
        ("10.1.2.3", "10.1.2.3/32", True), ("10.1.2.3", "10.1.2.3", None), ("10.1.2.3", "10.0.0.0/08", None),
        ("10.1.2.3", "10.0.0.0/33", None), ("10.1.2.3", "10.0.0.0/+8", None), ("10.1.2.3", "10.0.0.0/255.0.0.0", None),
        ("::1", "::1%lo/128", None), ("10.1.2.3", "", None), ("10.1.2.3", "/8", None),
    ],
)  # fmt: skip
def test_in_cidr(address: str, network: str, inside: bool | None) -> None:
    """Addresses and networks are of one family to match, where mapped IPv4 counts as IPv4."""
    context: dict[str, JsonValue] = {"ip": address, "net": network}
    state = evaluate("ip.in_cidr(net)", context, ip="ipaddress", net="string").state
    assert state is {True: State.MET, False: State.NOT_MET, None: State.FAILED}[inside]


@pytest.mark.parametrize(
    "value", ["", "10.0.0", "010.0.0.1", "10.0.0.256", "::g", "10.0.0.1/8", 1, None, "1" * 10**6, "::1%\ud800"]
)
def test_bad_addresses_are_never_equal(value: JsonValue) -> None:
    """What is no address never compares equal to one."""
    assert evaluate("ip == ipaddress('10.0.0.1')", {"ip": value}, ip="ipaddress") is not MET


def test_addresses_compare_by_value() -> None:
    """Equality looks at the host, not at its spelling; a zone is part of the host."""
    for one, other, equal in [
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::1", "0:0::1", True),
        ("fe80::1%a", "fe80::1", False),
    ]:
        context: dict[str, JsonValue] = {"ip": one, "other": other}
        assert (evaluate("ip == other", context, ip="ipaddress", other="ipaddress") is MET) == equal


@pytest.mark.parametrize(
    ("spelling", "value", "accepted"),
    [
        ("list<int>", [1, "2"], True), ("list<int>", [], True), ("list<int>", [1, None], False), ("list<int>",
        "x", False),
        ("map<int>", {"a": "1"}, True), ("map<int>", {"a": "x"}, False), ("map<int>", [], False), ("map<any>",
        {"a": None}, True),
        ("list<string>", ["\ud800"], False), ("map<any>", {"\ud800": 1}, False), ("any", ["\ud800"], False),
        ("any", math.nan, False),
        ("any", {"a": [10**400]}, False), ("bool", "true", False), ("bool", 1, False), ("string", 1, False),
        ("any", 10**30, True),
    ],
)  # fmt: skip
def test_containers_and_text(spelling: str, value: JsonValue, accepted: bool) -> None:
    """Elements convert one by one, and nothing that CEL cannot hold gets through."""
    kind = decode_type(type_reference(spelling))
    if accepted:
        kind.convert(value)
    else:
        with pytest.raises(ConversionError, match=r"expected .*, found"):
            kind.convert(value)


def test_deep_values_of_any_are_refused() -> None:
    """Nesting beyond what protobuf allows is refused, not recursed into."""
    deep: JsonValue = 1
    for _ in range(100_000):
        deep = [deep]
    assert "too deeply" in evaluate("x == x", {"x": deep}, x="any").message


@given(st.sampled_from(PLAIN + [f"{outer}<{kind}>" for outer in ("list", "map") for kind in PLAIN]), JSON)
def test_evaluate_never_raises(spelling: str, value: Any) -> None:
    """Any JSON value gives an outcome, the same each time, and never `met` for an expression that cannot be."""
    compiled = condition("x != x", x=spelling)
    outcome = compiled.evaluate({}, {"x": value})
    assert outcome.state in {State.NOT_MET, State.FAILED}
    assert compiled.evaluate({"x": value}, {}) == outcome


@given(st.integers() | st.floats(), st.booleans())
def test_integers_agree_with_fractions(number: float, as_text: bool) -> None:
    """A number is an int exactly when its value is whole and fits 64 bits, spelled as number or as text."""
    value = Fraction(str(number) if as_text else number) if math.isfinite(number) else None
    whole = value is not None and value.denominator == 1 and -(2**63) <= value < 2**63
    assert converted("int", str(number) if as_text else number) == (int(value or 0) if whole else None)


@given(st.datetimes(), st.integers(-23 * 60, 23 * 60), st.integers(0, 999_999_999))
def test_timestamps_agree_with_datetime(moment: datetime, offset: int, nanos: int) -> None:
    """Seconds are those of the standard library, at every offset."""
    sign, minutes = ("-" if offset < 0 else "+"), abs(offset)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f".{nanos:09}{sign}{minutes // 60:02}:{minutes % 60:02}"
    try:
        utc = moment.replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=offset)
    except OverflowError:
        assert converted("timestamp", text) is None
        return
    seconds = int((utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    assert converted("timestamp", text) == Timestamp(seconds=seconds, nanos=nanos)


@given(st.integers(-(2**63), 2**63 - 1))
def test_durations_round_trip(nanoseconds: int) -> None:
    """The canonical spelling of a duration in any mix of units gives it back."""
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    hours, rest = divmod(rest, 3600 * 10**9)
    text = f"{sign}{hours}h{rest // 10**9}.{rest % 10**9:09}s"
    assert converted("duration", text).ToNanoseconds() == nanoseconds
