"""A schema registry: the calls of readers and of a writer, over HTTP or HTTPS, with a login, and its bad days."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.certificates import Certificate

_NOT_FOUND = {"error_code": 40403, "message": "Schema not found"}


class SchemaRegistry(ThreadingHTTPServer):
    """Schemas by id, and by subject and version; it counts what it is asked."""

    daemon_threads = True

    def __init__(self, certificate: Certificate | None = None, clients_of: Path | None = None) -> None:
        """Listen on a free port of 127.0.0.1; with a certificate over TLS, for clients of this authority, if any."""
        super().__init__(("127.0.0.1", 0), _Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.keystore)
            if clients_of is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(clients_of)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.server_port}"
        self.schemas: dict[int, dict[str, Any]] = {}
        self.versions: dict[tuple[str, int], dict[str, Any]] = {}
        self.asked: list[str] = []
        self.authorization: str | None = None
        """What a client must send; by default nothing."""
        self.answer: tuple[int, bytes] | None = None
        """What it answers whatever it is asked, if that is set."""
        self.delay_s = 0.0

    def register(self, schema_id: int, schema: Any, **more: Any) -> None:
        """Have this schema under this id."""
        self.schemas[schema_id] = {"schema": json.dumps(schema), **more}

    def fail_until_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer 500 until the program that asks pauses."""
        self.answer = (500, b"{}")
        paused = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: setattr(self, "answer", None))
        monkeypatch.setattr("worker.kafka.registry.time", paused)

    def require_login(self, username: str, password: str) -> None:
        """Refuse all who do not log in with these."""
        self.authorization = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust the certificate, or waits no longer, hangs up."""


class _Handler(BaseHTTPRequestHandler):
    server: SchemaRegistry

    def do_GET(self) -> None:
        path = self._asked()
        if self._is_refused():
            return
        if found := re.fullmatch(r"/schemas/ids/(\d+)", path):
            self._found(self.server.schemas.get(int(found[1])))
        elif found := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", path):
            self._found(self.server.versions.get((unquote(found[1]), int(found[2]))))
        else:
            self._answer(404, {"error_code": 404, "message": "HTTP 404 Not Found"})

    def do_POST(self) -> None:
        """Registers a schema, the same one once."""
        found = re.fullmatch(r"/subjects/([^/]+)/versions", self._asked())
        schema = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._is_refused():
            return
        if found is None:
            self._answer(404, {"error_code": 404, "message": "HTTP 404 Not Found"})
            return
        schemas = self.server.schemas
        schema_id = next((each for each, known in schemas.items() if known == schema), max(schemas, default=0) + 1)
        schemas[schema_id] = schema
        self._answer(200, {"id": schema_id})

    def _asked(self) -> str:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        time.sleep(self.server.delay_s)
        return path

    def _is_refused(self) -> bool:
        if self.server.answer is not None:
            self._send(*self.server.answer)
        elif self.server.authorization not in {None, self.headers["Authorization"]}:
            self._answer(401, {"error_code": 401, "message": "Unauthorized"})
        else:
            return False
        return True

    def _found(self, schema: dict[str, Any] | None) -> None:
        self._answer(*((404, _NOT_FOUND) if schema is None else (200, schema)))

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the standard library
        """Nobody reads it."""


@contextmanager
def schema_registry(certificate: Certificate | None = None, clients_of: Path | None = None) -> Iterator[SchemaRegistry]:
    """A running schema registry."""
    with SchemaRegistry(certificate, clients_of) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
