"""/livez, /readyz and /metrics, and the port they need."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from demo.kafka.ports import free_ports
from tests.support.transport_contract import PATIENCE_S
from worker.errors import PortUnusable
from worker.operations.health import HealthWatch
from worker.operations.metrics import Metrics
from worker.operations.probes import RunningWorker, require_free_port, running_worker, serve_probes
from worker.settings import Settings


@pytest.fixture
def port() -> int:
    (port,) = free_ports(1)
    return port


def settings(port: int) -> Settings:
    return Settings(worker_http_port=port)


@pytest.fixture
def health(port: int) -> Iterator[HealthWatch]:
    """Of a worker that serves its probes at `port`."""
    metrics = Metrics()
    health = HealthWatch(60, threading.Event(), metrics.progressed)
    server = serve_probes(settings(port), health, metrics)
    assert server is not None
    yield health
    server.close()


def get(port: int, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", path)
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, reply.headers["Content-Type"], body


def test_readyz_follows_health_and_says_why(port: int, health: HealthWatch) -> None:
    status, kind, body = get(port, "/readyz")
    assert (status, kind, json.loads(body)) == (503, "application/json", {"status": "failing", "reason": "starting"})
    health.running(lambda: (), lambda: True)
    status, _, body = get(port, "/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    health.not_ready("topic x: does not exist")
    status, _, body = get(port, "/readyz")
    assert (status, json.loads(body)["reason"]) == (503, "topic x: does not exist")


def test_livez_is_200_from_the_start_and_while_held(port: int, health: HealthWatch) -> None:
    assert get(port, "/livez")[0] == 200
    health.not_ready("held")
    assert get(port, "/livez")[0] == 200


def test_metrics_are_prometheus_text_with_health_in_it(port: int, health: HealthWatch) -> None:
    status, kind, body = get(port, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert {b"segment_worker_live 1.0", b"segment_worker_ready 0.0"} <= set(body.splitlines())


def test_port_0_serves_nothing() -> None:
    metrics = Metrics()
    assert serve_probes(settings(0), HealthWatch(60, threading.Event(), metrics.progressed), metrics) is None
    require_free_port(settings(0))


def test_a_port_in_use_is_an_error_that_names_the_settings_to_change(port: int, health: HealthWatch) -> None:
    with pytest.raises(PortUnusable) as caught:
        require_free_port(settings(port))
    assert "WORKER_HTTP_HOST and WORKER_HTTP_PORT" in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)


def test_a_worker_at_the_port_says_what_it_serves_and_another_program_is_known_from_it() -> None:
    (port,) = free_ports(1)
    metrics = Metrics()
    server = serve_probes(settings(port), HealthWatch(60, threading.Event(), metrics.progressed), metrics)
    assert server is not None
    assert running_worker(settings(port)) == RunningWorker(None, refuses_promotion=False)
    metrics.model_loaded("2026-11-28-1", "digest", [0], ["age"], {})
    metrics.store_checked(refused=True)
    assert running_worker(settings(port)) == RunningWorker("2026-11-28-1", refuses_promotion=True)
    server.close()
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        assert running_worker(settings(other.server_port)) is None
        thread.join()
    assert running_worker(settings(other.server_port)) is None
