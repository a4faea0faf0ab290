"""What commands work with, handed to each of them. Built once by `app`."""

from __future__ import annotations

from dataclasses import dataclass

from authz.clock import Clock
from authz.commands.limits import Limits
from authz.commands.registry import ModelRegistry
from authz.commands.tokens import TokenCodec
from authz.index.registry import IndexRegistry
from authz.store.api import Datastore


@dataclass(frozen=True, slots=True)
class Services:
    """The parts below the edge."""

    datastore: Datastore
    models: ModelRegistry
    indexes: IndexRegistry
    tokens: TokenCodec
    clock: Clock
    limits: Limits
