"""A token endpoint for OAUTHBEARER: client credentials in, short-lived tokens out."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.support.certificates import Certificate

CLIENT_ID, CLIENT_SECRET = "segment-worker-client", "right-client-secret"
BASIC_CREDENTIALS = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()


class TokenServer(ThreadingHTTPServer):
    """Issues tokens for the subject `oauth` to clients with the right secret, and records them."""

    daemon_threads = True

    def __init__(self, certificate: Certificate) -> None:
        """Listen, over TLS, on a free port of 127.0.0.1."""
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.keystore)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server_port}/token"
        self.lifetime_s = 3600.0
        self.tokens: list[str] = []
        self.trusts_client = True
        self.in_trouble = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust the certificate hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.server.in_trouble:
            self._answer(503, {})
        elif self.path != "/token":
            self._answer(404, {})
        elif self.headers["Authorization"] != f"Basic {BASIC_CREDENTIALS}" or not self.server.trusts_client:
            self._answer(401, {"error": "invalid_client"})
        elif form.get("grant_type") != ["client_credentials"]:
            self._answer(400, {"error": "unsupported_grant_type"})
        else:
            token = _unsigned_token("oauth", self.server.lifetime_s)
            self.server.tokens.append(token)
            self._answer(200, {"access_token": token, "expires_in": self.server.lifetime_s, "token_type": "bearer"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the standard library
        """Nobody reads it."""


def _unsigned_token(subject: str, lifetime_s: float) -> str:
    now_s = time.time()
    parts = {"alg": "none"}, {"sub": subject, "iat": now_s, "exp": now_s + lifetime_s}
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@contextmanager
def token_server(certificate: Certificate) -> Iterator[TokenServer]:
    """A running token server."""
    server = TokenServer(certificate)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
