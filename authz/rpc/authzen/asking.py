"""What every call of AuthZEN may say beside its body: the model. Used by the handlers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authz.errors import InvalidRequest
from authz.rpc.metadata import MODEL_ID
from authz.rpc.validate import shown

if TYPE_CHECKING:
    from authz.rpc.exchange import Exchange

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def model_of(exchange: Exchange) -> str:
    """The model that the metadata names; empty: the newest one.

    Raises:
        InvalidRequest: what it names is no id of a model, or it names several.

    """
    given = [value for key, value in exchange.metadata if key == MODEL_ID]
    if not given:
        return ""
    if len(given) > 1:
        raise InvalidRequest(f"`{MODEL_ID}` is given {len(given)} times")
    text = str(given[0]).strip()
    if not _ULID.fullmatch(text):
        raise InvalidRequest(f"`{MODEL_ID}` is no id of a model: got `{shown(text)}`")
    return text
