"""The answers of /livez, /readyz and /metrics, and what a running worker answers there."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

import orjson
from prometheus_client.parser import text_string_to_metric_families

from worker.errors import PortUnusable
from worker.operations.health import Health, HealthWatch
from worker.operations.http_server import SERVER_NAME, Answer, HttpServer, Routes
from worker.operations.metrics import CONTENT_TYPE, MODEL_INFO, PROMOTION_REFUSED, Metrics
from worker.settings import Settings


def serve_probes(settings: Settings, health: HealthWatch, metrics: Metrics) -> HttpServer | None:
    """The server of the three paths, listening; None when WORKER_HTTP_PORT is 0.

    Raises PortUnusable, naming the settings, if it cannot listen on the address.
    """
    if settings.worker_http_port == 0:
        return None

    def exposition() -> Answer:
        text = metrics.expose(live=health.live().healthy, ready=health.ready().healthy)
        return Answer(200, CONTENT_TYPE, text)

    return _listen(
        settings,
        {"/livez": lambda: _answer(health.live()), "/readyz": lambda: _answer(health.ready()), "/metrics": exposition},
    )


def require_free_port(settings: Settings) -> None:
    """Raise PortUnusable unless `run` could listen on WORKER_HTTP_PORT now."""
    if settings.worker_http_port:
        _listen(settings, {}).close()


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """What a running segment worker reports about its model."""

    version: str | None
    """None: no model is loaded yet."""
    refuses_promotion: bool


def running_worker(settings: Settings) -> RunningWorker | None:
    """The segment worker that serves WORKER_HTTP_PORT now; None if another program, or nobody, does."""
    connection = http.client.HTTPConnection(settings.worker_http_host, settings.worker_http_port, timeout=1)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()
    if answer.headers.get("Server") != SERVER_NAME:
        return None
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    model, refused = samples.get(MODEL_INFO), samples[PROMOTION_REFUSED]
    return RunningWorker(None if model is None else model.labels["version"], refuses_promotion=refused.value == 1)


def _listen(settings: Settings, routes: Routes) -> HttpServer:
    host, port = settings.worker_http_host, settings.worker_http_port
    try:
        return HttpServer(host, port, routes)
    except PortUnusable as error:
        raise PortUnusable(
            f"WORKER_HTTP_HOST and WORKER_HTTP_PORT: cannot listen on {host}:{port} ({error}); "
            "set another port, or 0 to disable the server"
        ) from error


def _answer(health: Health) -> Answer:
    body = {"status": "ok" if health.healthy else "failing", "reason": health.reason}
    return Answer(200 if health.healthy else 503, "application/json", orjson.dumps(body) + b"\n")
