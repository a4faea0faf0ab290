"""What travels beside the messages: consistency, request id, model id. Used by the chain and the handlers."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from authz._proto.openfga.v1.openfga_service_consistency_pb2 import ConsistencyPreference
from authz.consistency import Consistency, Mode
from authz.errors import InvalidRequest

if TYPE_CHECKING:
    from authz.commands.services import Services
    from authz.rpc.exchange import Exchange

CONSISTENCY = "authz-consistency"
CONSISTENCY_TOKEN = "authz-consistency-token"  # noqa: S105 - the name of a header
MODEL_ID = "openfga-authorization-model-id"
REQUEST_ID = "x-request-id"
TRUNCATED = "authz-truncated"

_ids = random.Random()  # noqa: S311 - unique, not secret
_REQUEST_ID = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?")
_SHOWN = 64
_PLAIN = Consistency()
_FULL = Consistency(Mode.FULLY_CONSISTENT)
_WITH_TOKEN = {mode.value: mode for mode in (Mode.AT_LEAST_AS_FRESH, Mode.AT_EXACT_SNAPSHOT)}
_WITHOUT_TOKEN = {Mode.MINIMIZE_LATENCY.value: _PLAIN, Mode.FULLY_CONSISTENT.value: _FULL}


def request_id(given: str) -> str:
    """The caller's request id when it is sane, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else f"{_ids.getrandbits(64):016x}"


def consistency_of(exchange: Exchange, preference: int) -> Consistency:
    """How fresh the answer must be: the metadata wins over the field of the request.

    Raises:
        InvalidRequest: an unknown mode, a token that is missing or out of place, or metadata given twice.

    """
    given = [value for key, value in exchange.metadata if key == CONSISTENCY]
    if not given:
        return _FULL if preference == ConsistencyPreference.HIGHER_CONSISTENCY else _PLAIN
    if len(given) > 1:
        raise InvalidRequest(f"`{CONSISTENCY}` is given {len(given)} times")
    return parse_consistency(str(given[0]))


def parse_consistency(text: str) -> Consistency:
    """Read `minimize-latency`, `at-least-as-fresh=TOKEN`, `at-exact-snapshot=TOKEN` or `fully-consistent`.

    Raises:
        InvalidRequest: the text is none of these.

    """
    name, equals, token = text.strip().partition("=")
    if name in _WITH_TOKEN:
        if not token:
            raise InvalidRequest(f"`{CONSISTENCY}: {name}` needs a consistency token: `{name}=TOKEN`")
        return Consistency(_WITH_TOKEN[name], token)
    if name not in _WITHOUT_TOKEN:
        known = ", ".join(f"`{mode.value}`" for mode in Mode)
        raise InvalidRequest(f"unknown mode `{name[:_SHOWN]}` in `{CONSISTENCY}`: use one of {known}")
    if equals:
        raise InvalidRequest(f"`{CONSISTENCY}: {name}` takes no consistency token")
    return _WITHOUT_TOKEN[name]


def tell_revision(services: Services, exchange: Exchange, revision: int) -> None:
    """Put the revision of the answer into its metadata, as a consistency token."""
    exchange.revision = revision
    exchange.initial.append((CONSISTENCY_TOKEN, services.tokens.encode(exchange.store_id, revision)))


def tell_model(exchange: Exchange, model_id: str) -> None:
    """Put the model that answered into the metadata."""
    exchange.model_id = model_id
    exchange.initial.append((MODEL_ID, model_id))


def tell_truncated(exchange: Exchange, why: str) -> None:
    """Say that a list was cut short, if it was: `deadline` or `max-results`."""
    if why:
        exchange.trailing.append((TRUNCATED, why))
