"""`segment-worker check`: everything that `run` needs, looked at in one go, without being a member of anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from models.errors import ModelError
from schemas.errors import ProfileClassError
from worker.check import Finding, Weight, judge_cluster
from worker.errors import PortUnusable, SettingsError, WorkerError
from worker.kafka_clients import connection_arguments
from worker.kafka_cluster import Cluster
from worker.model import load_model
from worker.probes import require_free_port, worker_answers
from worker.settings import Settings, misspelt_settings, read_settings

_WAIT_S: Final = 5.0


def preflight(flags: Mapping[str, str]) -> tuple[Finding, ...]:
    """Every finding about settings, model, port and cluster; what a wrong setting decides is left out."""
    settings, wrong = read_settings(flags)
    fields = wrong.fields if wrong else frozenset[str]()
    findings = [Finding(Weight.PROBLEM, "settings", problem) for problem in (wrong.problems if wrong else ())]
    findings += [
        Finding(Weight.ADVICE, "settings", f"{given} is none", f"did you mean {meant}?")
        for given, meant in misspelt_settings()
    ]
    findings = findings or [Finding(Weight.FINE, "settings", "as they must be")]
    if fields.isdisjoint({"models_dir", "model_alias", "profile_class"}):
        findings.append(_model(settings))
    if fields.isdisjoint({"worker_http_host", "worker_http_port"}):
        findings.append(_port(settings))
    if not any(name.startswith(("kafka_", "worker_")) and not name.startswith("worker_http_") for name in fields):
        findings += _cluster(settings)
    return tuple(findings)


def _model(settings: Settings) -> Finding:
    try:
        model = load_model(settings)
    except (ModelError, ProfileClassError) as error:
        return Finding(Weight.PROBLEM, "model", str(error))
    manifest = model.stored.manifest
    what = f"version {manifest.id} loads, {manifest.k} segments, fitted for {manifest.profile.name}"
    return Finding(Weight.FINE, "model", what)


def _port(settings: Settings) -> Finding:
    if settings.worker_http_port == 0:
        return Finding(Weight.FINE, "http", "off")
    try:
        require_free_port(settings)
    except PortUnusable as error:
        if worker_answers(settings):
            # Asked from inside a running worker's container, say.
            what = f"a segment worker answers at {settings.worker_http_host}:{settings.worker_http_port} already"
            return Finding(Weight.ADVICE, "http", what, "stop it before another one starts there")
        return Finding(Weight.PROBLEM, "http", str(error))
    return Finding(Weight.FINE, "http", f"port {settings.worker_http_port} is free")


def _cluster(settings: Settings) -> Iterator[Finding]:
    try:
        with Cluster(settings, connection_arguments(settings), min(_WAIT_S, settings.worker_broker_wait_s)) as cluster:
            facts = cluster.facts()
    except SettingsError as error:
        yield from (Finding(Weight.PROBLEM, "settings", problem) for problem in error.problems)
        return
    except WorkerError as error:
        yield Finding(Weight.PROBLEM, "brokers", str(error))
        return
    yield from judge_cluster(facts, settings)
