"""The clients of the Python SDK, the one for coroutines and the one without, told apart by nothing: one scenario
proves both. Used by the tests of the SDK."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from openfga_sdk import OpenFgaClient
from openfga_sdk.client import ClientConfiguration
from openfga_sdk.client.models import ClientCheckRequest, ClientTuple
from openfga_sdk.models.create_store_request import CreateStoreRequest
from openfga_sdk.sync import OpenFgaClient as PlainClient

from schema_dsl import dsl_to_json

Kind = Literal["async", "sync"]

DOCUMENTS = """
model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type document
  relations
    define owner: [user]
    define viewer: [user, user:*, group#member, user with near] or owner
    define blocked: [user]
    define can_view: viewer but not blocked
condition near(distance: int, most: int) {
  distance <= most
}
"""


class Sdk:
    """A client of one kind whose methods return what they would return after an `await`.

    A stream is returned as the list of what it brought.
    """

    def __init__(self, kind: Kind, cert: tuple[Path, Path] | None = None, **configuration: Any) -> None:
        chosen = ClientConfiguration(**configuration)
        if cert is not None:
            chosen.cert_file, chosen.key_file = map(str, cert)
        self._runner = asyncio.Runner() if kind == "async" else None
        self._client: Any = self._run(_opened(chosen)) if kind == "async" else PlainClient(chosen)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A method of the client."""
        method = getattr(self._client, name)
        return lambda *args, **options: self._run(method(*args, **options))

    def close(self) -> None:
        """Let go of the connections."""
        self._run(self._client.close())
        if self._runner is not None:
            self._runner.close()

    def _run(self, found: Any) -> Any:
        if isinstance(found, AsyncIterator):
            return self._run(_collected(found))
        if inspect.iscoroutine(found):
            assert self._runner is not None, "only the client for coroutines has some"
            return self._runner.run(found)
        return list(found) if isinstance(found, Iterator) else found


@contextmanager
def opened(kind: Kind, cert: tuple[Path, Path] | None = None, **configuration: Any) -> Iterator[Sdk]:
    """A client while the block runs; `cert` are the files of its certificate and key."""
    sdk = Sdk(kind, cert, **configuration)
    try:
        yield sdk
    finally:
        sdk.close()


def create_store(sdk: Sdk, dsl: str = DOCUMENTS, name: str = "test") -> str:
    """A new store with a model, which the client speaks of from then on; returns the id of the model."""
    sdk.set_store_id(sdk.create_store(CreateStoreRequest(name=name)).id)
    model: str = sdk.write_authorization_model(dsl_to_json(dsl)).authorization_model_id
    return model


def tuple_(user: str, relation: str, object_: str) -> ClientTuple:
    """A tuple, as the SDK writes it."""
    return ClientTuple(user=user, relation=relation, object=object_)


def check(user: str, relation: str, object_: str, **more: Any) -> ClientCheckRequest:
    """A question."""
    return ClientCheckRequest(user=user, relation=relation, object=object_, **more)


async def _opened(configuration: ClientConfiguration) -> OpenFgaClient:
    # The connections belong to the loop that runs while they are made.
    return OpenFgaClient(configuration)


async def _collected(stream: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in stream]
