"""The configuration as it is shown: complete, and without a secret wherever one may be set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from authz.settings import Settings
from authz.settings.show import MASK, effective, mask_uri

SECRET = "hidden-value"
URI = f"postgresql://anne:{SECRET}@db.example:5432/authz?sslpassword={SECRET}#{SECRET}"


def planted(model: type[BaseModel]) -> BaseModel:
    """Settings where every secret is set, every text is a URI full of secrets, and every table has an entry."""
    values = {name: _value(field.annotation, field.default) for name, field in model.model_fields.items()}
    return model.model_construct(**values)


def _value(annotation: Any, default: Any) -> Any:
    if annotation is SecretStr:
        return SecretStr(SECRET)
    if annotation is str:
        return URI
    if annotation is Path:
        return Path("/etc/authz/key.pem")
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return planted(annotation)
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value(parts[0], default)
    if origin in (Union, UnionType):
        return _value(next(part for part in _by_danger(parts)), default)
    if origin in (list, tuple, set, frozenset):
        return [_value(parts[0], None)]
    if origin is dict:
        return {"entry": _value(parts[1], None)}
    return default if default is not PydanticUndefined else None


def _by_danger(parts: tuple[Any, ...]) -> list[Any]:
    """Those parts of a union first that can hold a secret."""
    plain = (type(None), int, float, bool, date, datetime)
    return sorted(parts, key=lambda part: part in plain or get_origin(part) is Literal)


def leaves(shown: Any) -> Iterator[Any]:
    """Every value that is shown."""
    if isinstance(shown, dict):
        for entry in shown.values():
            yield from leaves(entry)
    elif isinstance(shown, list):
        for entry in shown:
            yield from leaves(entry)
    else:
        yield shown


def test_no_secret_is_shown_wherever_it_is_set() -> None:
    """
    Every field of every section is tried: secrets, URIs, lists and tables; a new section is tried as well.
    """
    shown = effective(planted(Settings))
    text = json.dumps(shown)
    assert SECRET not in text
    assert "anne" not in text
    assert text.count(MASK) >= 10
    assert "db.example:5432" in text
    assert str(Path("/etc/authz/key.pem")) in text


def test_every_setting_is_shown() -> None:
    """
    By its name, in its section, with its value; what is not set is shown as not set.
    """
    shown: Any = effective(Settings(log_level="error", telemetry={"traces": "otlp"}))  # type: ignore[arg-type]
    assert set(shown) == set(Settings.model_fields)
    assert (shown["log_level"], shown["token_key"], shown["request_timeout"]) == ("error", None, 3.0)
    assert shown["telemetry"]["traces"] == "otlp"
    assert shown["telemetry"]["otlp_endpoint"] == "http://127.0.0.1:4318"
    assert shown["datastore_uri"] == "sqlite:///authz.db"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////var/lib/authz.db", "sqlite:////var/lib/authz.db"),
        ("postgresql://db/authz", "postgresql://db/authz"),
        ("postgresql://anne@db/authz", "postgresql://***@db/authz"),
        ("postgresql://anne:p:q@db:1/authz?sslmode=require", "postgresql://***@db:1/authz?sslmode=***"),
        ("postgresql://anne:p@ss@db/authz", "postgresql://***@db/authz"),
        ("postgresql://anne:p/ss@db/authz", "postgresql://***@db/authz"),
        ("postgresql://anne:p?ss@db/authz", "postgresql://***"),
        ("postgresql://anne:p#ss@db/authz", "postgresql://***"),
        ("https://h/p?token=abc&x", "https://h/p?token=***&***"),
        ("https://h/p?user=a@b&token=abc", "https://***"),
        ("https://h/p#abc", "https://h/p#***"),
        ("no uri", "no uri"),
        ("127.0.0.1:8081", "127.0.0.1:8081"),
    ],
)
def test_uris_are_masked(uri: str, shown: str) -> None:
    """
    Host and path stay, unless a mark in a password makes it doubtful where they begin.
    """
    assert mask_uri(uri) == shown


@given(st.text(alphabet="abc:/@?#&=%", max_size=12), st.text(alphabet="ab:/@?#&=%", max_size=6))
def test_no_password_shines_through(before: str, after: str) -> None:
    """
    Wherever marks stand in a password, what is shown does not hold it.
    """
    assert "PASSWORD" not in mask_uri(f"postgresql://anne:{before}PASSWORD{after}@db/authz")


def test_the_path_of_a_webhook_is_a_secret() -> None:
    """
    Services for chat put the key there.
    """
    assert mask_uri("https://hooks.example/services/T1/KEY", hides_path=True) == "https://hooks.example/***"


def test_what_is_not_known_is_masked() -> None:
    """
    Bytes and objects of other types are not shown; times are.
    """

    class Odd(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        raw: bytes = b"hidden"
        thing: object = object()
        when: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    assert effective(Odd()) == {"raw": MASK, "thing": MASK, "when": "2026-01-01 00:00:00+00:00"}
