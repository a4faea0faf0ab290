"""Bounded HTTP GET on a thread of its own, for documents of issuers. Called by `sources`."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MAX_DOCUMENT_BYTES = 262_144
_CHUNK = 16_384


class FetchFailed(Exception):
    """A document that did not come; the message says why, and shows nothing of what came instead."""


def get(url: str, *, timeout: float, ca_file: Path | None) -> bytes:
    """The body of a successful answer. Follows no redirect; honours the usual proxy variables.

    Args:
        url: checked by the caller.
        timeout: seconds for each step, and for the whole body.
        ca_file: authorities to trust instead of those of the system.

    Raises:
        FetchFailed: for whatever reason.

    """
    until = time.monotonic() + timeout  # not of our clock: sockets do not ask it either
    try:
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked by callers
        with _opener(request, ca_file).open(request, timeout=timeout) as response:
            return _body(response, until)
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchFailed(f"status {error.code}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise FetchFailed(type(reason).__name__) from None


def _opener(request: urllib.request.Request, ca_file: Path | None) -> urllib.request.OpenerDirector:
    # Not `build_opener`, which would add handlers for redirects, files and FTP. Plain http never leaves this machine.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPHandler()]
    if request.type == "https":
        context = ssl.create_default_context(cafile=ca_file)
        handlers = [urllib.request.ProxyHandler(), urllib.request.HTTPSHandler(context=context)]
    opener = urllib.request.OpenerDirector()
    for handler in (*handlers, urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    return opener


def _body(response: http.client.HTTPResponse, until: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_DOCUMENT_BYTES:
            raise FetchFailed(f"more than {MAX_DOCUMENT_BYTES} bytes")
        if time.monotonic() > until:
            raise FetchFailed("too slow")
    return b"".join(parts)


async def on_own_thread(work: Callable[[], T]) -> T:
    """The result of `work`. Its thread holds up neither the shared pool nor the end of the process.

    Raises:
        Exception: what `work` raises.

    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed over to the caller
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, result, problem)

    threading.Thread(target=run, name="authz-fetch", daemon=True).start()
    return await done
