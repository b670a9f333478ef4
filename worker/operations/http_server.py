"""A small HTTP server beside the loop: a few paths, immediate answers, and clients that cannot block it."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Final, cast

from worker.errors import PortUnusable

# A probe sends one short request; slower clients are disconnected.
CLIENT_MAX_S: Final = 5.0
# Request line and headers together; the standard library alone would keep a hundred headers of 64 kB.
REQUEST_MAX_BYTES: Final = 16 * 1024
# With more clients than this the oldest is disconnected, so that idle connections do not keep an orchestrator's probe
# out. At the second number new clients are refused until the disconnected ones are gone.
CLIENTS_MAX: Final = 32
THREADS_MAX: Final = 2 * CLIENTS_MAX

SERVER_NAME: Final = "segment-worker"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one path."""

    status: int
    content_type: str
    body: bytes


Routes = Mapping[str, Callable[[], Answer]]


class HttpServer:
    """Serves the routes until `close`, on threads of its own.

    Raises PortUnusable when it cannot listen on the address. Port 0 means any free one; `port` says which.
    """

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        try:
            self._server = _Server(host, port, routes)
        except OSError as error:
            raise PortUnusable(error.strerror or str(error)) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.2], name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, without waiting for clients that are being answered."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        # In the order in which they came; changed by the thread that accepts and by those that answer.
        self._since_s: dict[socket.socket, float] = {}
        self._cut_off: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks up the host's name and may wait for the name service.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with self._lock:
            staying = [each for each in self._since_s if each not in self._cut_off]
            full = len(self._since_s) >= THREADS_MAX
            if len(staying) >= CLIENTS_MAX:
                self._cut(staying[0])
            if not full:
                self._since_s[request] = time.monotonic()
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        with self._lock:
            self._since_s.pop(request, None)
            self._cut_off.discard(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        # A socket's timeout is for one read: a client that sends a byte now and then would stay forever.
        now_s = time.monotonic()
        with self._lock:
            for request, since_s in self._since_s.items():
                if now_s - since_s > CLIENT_MAX_S:
                    self._cut(request)

    def _cut(self, request: socket.socket) -> None:
        self._cut_off.add(request)
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that disconnected early is not worth a log line."""


class _Head:
    """The lines of a request up to the limit; beyond it, headers get a 431 and a request line no answer."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._left = REQUEST_MAX_BYTES
        self.close = file.close

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("request")
        return line


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_MAX_S
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.rfile = cast(io.BufferedReader, _Head(self.rfile))

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        make = self.server.routes.get(self.path.partition("?")[0])
        answer = make() if make else Answer(404, "text/plain; charset=utf-8", self._paths())
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def _paths(self) -> bytes:
        return ("not found; the paths are " + " ".join(self.server.routes) + "\n").encode()

    def version_string(self) -> str:
        return SERVER_NAME

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name in the standard library
        """No log lines for requests: probes come every few seconds, and a request may hold anything."""
