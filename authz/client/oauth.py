"""Access tokens by the client credentials grant of OAuth 2.0 (RFC 6749, section 4.4). Given to a client as `token=`.

One token is fetched for all threads and tasks, and again before it ends: while it is still good only one of them
fetches, and the others go on with it. A fetch that fails then is tried again by a later call; calls fail only without
a valid token.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

from authz.addresses import is_loopback_host
from authz.client.credentials import check_usable
from authz.client.errors import NoCredentials
from authz.client.fetching import MAX_ANSWER_BYTES, Fetcher, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ASSUMED_LIFETIME = 300.0
_LONGEST_EARLY = 60.0
_EARLY_PART = 0.2
_PAUSE = 1.0
_NEW = 5.0
_FETCH_SECONDS = 10.0
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")


class _Token(NamedTuple):
    """A token: when it was fetched, when it should be replaced and when it ends, on the monotonic clock."""

    text: str
    made_at: float
    renew_at: float
    ends_at: float


class ClientCredentials:
    """A source of tokens: a client id and its secret at a token endpoint.

    `secret` may be a callable, asked at each fetch, so that secrets can rotate. `auth` is how they are sent: `basic`
    (the header) or `post` (the form). `extra` are further fields of the form, such as `audience` or `resource`. `ca`
    is PEM, else the system's authorities.
    """

    can_renew = True

    def __init__(
        self,
        url: str,
        client_id: str,
        secret: str | Callable[[], str],
        *,
        scope: str = "",
        auth: str = "basic",
        extra: Mapping[str, str] | None = None,
        ca: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = _checked_url(url)
        if auth not in ("basic", "post"):
            raise ValueError(f"`auth` must be `basic` or `post`: got `{auth}`")
        self._client_id = client_id
        self._secret = secret
        self._is_basic = auth == "basic"
        self._form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {}), **(extra or {})}
        self._fetcher = Fetcher(url, ca)
        self._clock = clock
        self._fetching = threading.Lock()
        self._held: _Token | None = None
        self._next_try = clock()
        self._failure = ""

    def __repr__(self) -> str:
        return f"ClientCredentials({self._url!r}, {self._client_id!r})"

    def ready(self) -> str:
        """The token while it need not be replaced yet, or is being replaced; empty when `token` must be called."""
        held, now = self._held, self._clock()
        if held is None or now >= held.ends_at:
            return ""
        return held.text if now < max(held.renew_at, self._next_try) or self._fetching.locked() else ""

    def token(self, timeout: float) -> str:
        """A valid token.

        Raises:
            NoCredentials: the endpoint gives none, or not within `timeout` seconds.

        """
        ends = self._clock() + timeout
        held = self._held
        if held and self._clock() < held.ends_at:
            return self._renewed(held, timeout)
        if not self._fetching.acquire(timeout=max(0.0, timeout)):
            raise NoCredentials("no access token was had in the time of the call")
        try:
            held, now = self._held, self._clock()
            if held is None or now >= held.ends_at:
                if now < self._next_try:
                    raise NoCredentials(self._failure)
                held = self._fetch(ends - now)
            return held.text
        finally:
            self._fetching.release()

    def refused(self, token: str) -> None:
        """The service refused this token: the next call fetches another, unless this one is quite new."""
        held = self._held
        if held and held.text == token and self._clock() - held.made_at >= _NEW:
            self._held = None

    def _renewed(self, held: _Token, timeout: float) -> str:
        """Another token in place of one that ends soon; that one when somebody fetches already, or when that fails."""
        now = self._clock()
        if now < held.renew_at or now < self._next_try or not self._fetching.acquire(blocking=False):
            return held.text
        try:
            if self._held is held:
                self._fetch(min(timeout / 2, held.ends_at - now))
        except NoCredentials:
            return held.text
        finally:
            self._fetching.release()
        return (self._held or held).text

    def _fetch(self, timeout: float) -> _Token:
        """Fetch a token and hold it; a failure holds for a moment, so that many calls do not become many fetches."""
        try:
            self._held = self._asked(timeout)
        except NoCredentials as error:
            self._failure = error.message
            self._next_try = self._clock() + _PAUSE
            raise
        return self._held

    def _asked(self, timeout: float) -> _Token:
        began = self._clock()
        try:
            raw = self._fetcher.fetch(self._request(), min(max(timeout, 0.001), _FETCH_SECONDS))
        except Refusal as refusal:
            raise NoCredentials(f"the token endpoint answered {refusal.status}{_code_in(refusal.body)}") from None
        except (OSError, ValueError) as error:
            # ValueError: http.client on malformed answers. Neither shows what was sent.
            raise NoCredentials(f"the token endpoint cannot be reached: {type(error).__name__}") from None
        except Exception as error:  # noqa: BLE001 - http.client has exceptions of its own
            raise NoCredentials(f"the token endpoint failed: {type(error).__name__}") from None
        return _token_in(raw, began)

    def _request(self) -> urllib.request.Request:
        secret = self._secret if isinstance(self._secret, str) else self._secret()
        form, headers = dict(self._form), {"Accept": "application/json"}
        if self._is_basic:
            pair = ":".join(urllib.parse.quote_plus(part) for part in (self._client_id, secret))
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": self._client_id, "client_secret": secret}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return urllib.request.Request(self._url, urllib.parse.urlencode(form).encode(), headers)  # noqa: S310 - checked


def _checked_url(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.username is not None:
        raise ValueError("the token endpoint needs a URL with a host, and without a user")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback_host(host)):
        raise ValueError(f"refusing to send the client secret to `{host}` in clear text: use https")
    return url


def _code_in(body: bytes) -> str:
    """The error code of RFC 6749, section 5.2, if there is one; descriptions are not shown."""
    try:
        code = json.loads(body)["error"]
    except Exception:  # noqa: BLE001 - the body is anything
        return ""
    return f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


def _token_in(raw: bytes, began: float) -> _Token:
    if len(raw) > MAX_ANSWER_BYTES:
        raise NoCredentials("the answer of the token endpoint is too large")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise NoCredentials("the answer of the token endpoint is not JSON") from None
    if not isinstance(body, dict) or str(body.get("token_type", "")).lower() != "bearer":
        raise NoCredentials("the answer of the token endpoint holds no bearer token")
    lifetime = _lifetime(body.get("expires_in"))
    early = min(_LONGEST_EARLY, lifetime * _EARLY_PART)
    return _Token(check_usable(body.get("access_token")), began, began + lifetime - early, began + lifetime)


def _lifetime(given: object) -> float:
    """Seconds; some endpoints write the number as text."""
    try:
        seconds = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else None
    except ValueError:
        seconds = None
    if seconds is None:
        return _ASSUMED_LIFETIME
    return min(seconds, 86_400.0) if seconds > 0 else 0.0
