"""An authorization server on loopback, built from authlib: discovery, keys, tokens for clients with `private_key_jwt`
or with a secret.

For tests of authentication and of whole services. Its keys rotate, and its documents can fail in every way that servers
of others do.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import ssl
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl
from urllib.request import Request, urlopen

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523.assertion import private_key_jwt_sign
from authlib.oauth2.rfc7523.client import ASSERTION_TYPE, JWTBearerClientAssertion
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import ECKey, KeySet, RSAKey

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import CertificateAuthority, Issued

OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
KEYS, TOKEN, ELSEWHERE = "/keys", "/token", "/elsewhere"
PATIENCE = 10.0


@dataclass
class Client(ClientMixin):  # type: ignore[misc]
    """A program that may ask for tokens, with the key that proves who it is."""

    id: str
    scope: str
    key: Any
    is_bound: bool = False
    """Whether its tokens are bound to the certificate of its connection (RFC 8705)."""
    secret: str = ""
    """With one it proves itself by that."""

    def get_client_id(self) -> str:
        """Its name."""
        return self.id

    def get_allowed_scope(self, scope: str | None) -> str:
        """What it asks for, as far as it may have it; everything that it may have if it asks for nothing."""
        return " ".join(word for word in (scope or self.scope).split() if word in self.scope.split())

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """It proves itself by its secret if it has one, else by a signed assertion only."""
        return method == ("client_secret_post" if self.secret else "private_key_jwt")

    def check_client_secret(self, secret: str) -> bool:
        """Whether this is its secret."""
        return bool(self.secret) and secret == self.secret

    def check_grant_type(self, grant_type: str) -> bool:
        """It acts for itself."""
        return grant_type == "client_credentials"


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]
    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, issuer: LocalIssuer) -> None:
        super().__init__()
        self._issuer = issuer
        self._used: set[str] = set()

    def get_audiences(self) -> list[str]:
        return [self._issuer.url + TOKEN]

    def validate_jti(self, _claims: Any, jti: str) -> bool:
        is_new = jti not in self._used
        self._used.add(jti)
        return is_new

    def resolve_client_public_key(self, client: Client) -> Any:
        return client.key


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("private_key_jwt", "client_secret_post")


class _Tokens(JWTBearerTokenGenerator):  # type: ignore[misc]
    def __init__(self, issuer: LocalIssuer) -> None:
        super().__init__(issuer.url, alg="RS256", expires_generator=300)
        self._issuer = issuer

    def get_jwks(self) -> KeySet:
        return KeySet([self._issuer.keys[0]])

    def get_audiences(self, _client: Any, _user: Any, _scope: Any) -> str:
        return self._issuer.audience

    def get_extra_claims(self, client: Client, _grant_type: str, _user: Any, _scope: Any) -> dict[str, Any]:
        der = self._issuer.peer.certificate
        if not client.is_bound or der is None:
            return {}
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        return {"cnf": {"x5t#S256": thumbprint}}


class _Server(AuthorizationServer):  # type: ignore[misc]
    def __init__(self, issuer: LocalIssuer) -> None:
        super().__init__()
        self._issuer = issuer
        self.register_grant(_Grant)
        self.register_client_auth_method("private_key_jwt", _Assertion(issuer))
        self.register_token_generator("default", _Tokens(issuer))

    def query_client(self, client_id: str) -> Client | None:
        return self._issuer.clients.get(client_id)

    def save_token(self, token: Any, request: Any) -> None:
        """Nothing is kept."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: dict[str, str]) -> Any:
        return _Form(request)

    def handle_response(self, status: int, body: Any, _headers: Any) -> tuple[int, bytes]:
        return status, json.dumps(body).encode()


class _Form(OAuth2Request):  # type: ignore[misc]
    def __init__(self, form: dict[str, str]) -> None:
        # authlib wants to see https; on loopback this server speaks http too
        super().__init__("POST", f"https://localhost{TOKEN}")
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> Any:
        return self.payload.data


class _Peer(threading.local):
    certificate: bytes | None = None


class LocalIssuer:
    """A running authorization server; a context manager.

    Args:
        audience: whom its tokens are for.
        certificate: serve TLS with it; without it plain HTTP.
        clients: the authority that vouches for clients' certificates, with TLS.
        folder: where the certificate may be put into files.

    """

    def __init__(
        self,
        audience: str = "authz",
        *,
        certificate: Issued | None = None,
        clients: CertificateAuthority | None = None,
        folder: Path | None = None,
    ) -> None:
        self.audience = audience
        self.keys: list[Any] = [new_key("RSA")]
        """The signing key, then older ones that are still published."""
        self.clients: dict[str, Client] = {}
        self.requests: Counter[str] = Counter()
        """How often each path was asked for."""
        self.troubles: dict[str, str] = {}
        """By path: `down`, `slow`, `drip`, `huge`, `garbage`, `redirect`, or a document to answer with."""
        self.absent: set[str] = set()
        """Paths where there is nothing."""
        self.released = threading.Event()
        """Ends the wait of slow answers."""
        self.peer = _Peer()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        if certificate is not None and folder is not None:
            self._http.socket = _secured(self._http.socket, certificate, clients, folder)
        host = "https://localhost" if certificate is not None else "http://127.0.0.1"
        self.url = f"{host}:{self._http.server_address[1]}"
        """Its `iss`."""
        self._oauth = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(PATIENCE)

    def rotate(self, *, keep: int = 1) -> None:
        """Sign with a new key from now on, and still publish some old ones."""
        self.keys = [new_key("RSA"), *self.keys[:keep]]

    def add_client(self, client_id: str, scope: str = "authz:check", *, is_bound: bool = False) -> Client:
        """Register a program with a key of its own."""
        client = self.clients[client_id] = Client(client_id, scope, new_key("EC"), is_bound)
        return client

    def token(self, client: Client, context: ssl.SSLContext | None = None, **claims: Any) -> str:
        """A token for a program, by the client credentials grant.

        Args:
            client: as registered.
            context: how to connect with TLS; brings the client's certificate.
            claims: of the assertion, for those who want it wrong.

        """
        endpoint = self.url + TOKEN
        assertion = private_key_jwt_sign(client.key, client.id, endpoint, alg="ES256", claims=claims)
        form = f"grant_type=client_credentials&client_assertion_type={ASSERTION_TYPE}&client_assertion={assertion}"
        with urlopen(Request(endpoint, form.encode()), timeout=PATIENCE, context=context) as response:
            return str(json.load(response)["access_token"])

    def answer(self, path: str, body: bytes) -> tuple[int, bytes] | None:
        """The answer to a request; None to hang up."""
        self.requests[path] += 1
        trouble = self.troubles.get(path)
        if trouble == "slow":
            self.released.wait(PATIENCE)
        elif trouble == "down":
            return None
        elif trouble == "redirect":
            return 302, ELSEWHERE.encode()
        elif trouble is not None and trouble not in {"drip", "huge"}:
            return 200, {"garbage": b"\x00<html>"}.get(trouble, trouble.encode())
        if path == TOKEN:
            status, answer = self._oauth.create_token_response(dict(parse_qsl(body.decode())))
            return status, answer
        document = None if path in self.absent else self._document(path)
        padding = b" " * 2_000_000 if trouble == "huge" else b""
        return (404, b"{}") if document is None else (200, json.dumps(document).encode() + padding)

    def _document(self, path: str) -> Any:
        if path in {OPENID, OAUTH}:
            return {"issuer": self.url, "jwks_uri": self.url + KEYS, "token_endpoint": self.url + TOKEN}
        if path in {KEYS, ELSEWHERE}:
            return {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in self.keys]}
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = PATIENCE

            def do_GET(self) -> None:
                self._respond(b"")

            def do_POST(self) -> None:
                self._respond(self.rfile.read(int(self.headers["content-length"])))

            def _respond(self, body: bytes) -> None:
                secured = isinstance(self.connection, ssl.SSLSocket)
                issuer.peer.certificate = self.connection.getpeercert(binary_form=True) if secured else None
                answer = issuer.answer(self.path, body)
                if answer is None:
                    return
                status, content = answer
                self.send_response(status)
                if status == 302:
                    self.send_header("location", issuer.url + content.decode())
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    if issuer.troubles.get(self.path) == "drip":
                        for byte in content:
                            issuer.released.wait(0.02)
                            self.wfile.write(bytes([byte]))
                    else:
                        self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the library
                """Nothing is written."""

        return Handler


def new_key(kind: str) -> Any:
    """A private key with an id: `RSA` or `EC`."""
    key: Any = RSAKey.generate_key(2048) if kind == "RSA" else ECKey.generate_key("P-256")
    key.ensure_kid()
    return key


def _secured(listener: Any, certificate: Issued, clients: CertificateAuthority | None, folder: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate.write(folder, "issuer"))
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=clients.certificate.decode())
    return context.wrap_socket(listener, server_side=True)
