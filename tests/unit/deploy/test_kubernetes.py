"""The Kubernetes manifests: valid for old and new clusters, in agreement with the programs and with each other."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.manifests import Document, one, patched, problems, read, secrets

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/kubernetes"
MANIFESTS = read(FOLDER)
GONE: Final = object()

Path_ = tuple[str | int, ...]
POD: Path_ = ("spec", "template", "spec")
WORKER: Path_ = (*POD, "containers", 0)


def env(name: str) -> int:
    """Where the worker's manifest gives this variable."""
    worker = one(MANIFESTS, "StatefulSet", "segment-worker")["spec"]["template"]["spec"]["containers"][0]
    return next(place for place, each in enumerate(worker["env"]) if each["name"] == name)


def changed(kind: str, name: str, path: Path_, value: object) -> list[Document]:
    documents = copy.deepcopy(MANIFESTS)
    inner: Any = one(documents, kind, name)
    for step in path[:-1]:
        inner = inner[step]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return documents


def test_the_manifests_are_valid_and_agree_with_the_programs() -> None:
    assert problems(MANIFESTS) == []


STATEFUL = ("StatefulSet", "segment-worker")
MUTATIONS: dict[str, tuple[str, str, Path_, object]] = {
    "no serviceName": (*STATEFUL, ("spec", "serviceName"), GONE),
    "serviceName of nothing": (*STATEFUL, ("spec", "serviceName"), "other"),
    "a Service with an address": ("Service", "segment-worker", ("spec", "clusterIP"), GONE),
    "a field that Kubernetes does not know": (*STATEFUL, ("spec", "replica"), 2),
    "a number as text": (*STATEFUL, ("spec", "replicas"), "2"),
    "pods start one by one": (*STATEFUL, ("spec", "podManagementPolicy"), GONE),
    "a misspelt setting": (*STATEFUL, (*WORKER, "env", env("WORKER_HTTP_PORT"), "name"), "WORKER_HTPP_PORT"),
    "a value that the setting does not take": (*STATEFUL, (*WORKER, "env", env("WORKER_HTTP_PORT"), "value"), "80800"),
    "a setting given twice": (*STATEFUL, (*WORKER, "env", env("WORKER_HTTP_PORT"), "name"), "WORKER_HTTP_HOST"),
    "an instance id that all pods share": (
        *STATEFUL,
        (*WORKER, "env", env("WORKER_INSTANCE_ID"), "valueFrom", "fieldRef", "fieldPath"),
        "metadata.namespace",
    ),
    "restarts at the reject limit": (*STATEFUL, (*WORKER, "env", env("WORKER_HOLD_ON_STOP"), "value"), "false"),
    "a password for everybody to read": (
        *STATEFUL,
        (*WORKER, "env", env("KAFKA_SASL_PASSWORD")),
        {"name": "KAFKA_SASL_PASSWORD", "value": "secret"},
    ),
    "checked with other settings than run": (*STATEFUL, (*POD, "initContainers", 0, "env"), []),
    "a command that does not exist": (*STATEFUL, (*WORKER, "args"), ["start"]),
    "an image that is not built": (*STATEFUL, (*WORKER, "image"), "segment-worker"),
    "another port": (*STATEFUL, (*WORKER, "ports", 0, "containerPort"), 8081),
    "liveness asked of readiness": (*STATEFUL, (*WORKER, "livenessProbe", "httpGet", "path"), "/readyz"),
    "no readiness probe": (*STATEFUL, (*WORKER, "readinessProbe"), GONE),
    "a probe of a port without a name": (*STATEFUL, (*WORKER, "startupProbe", "httpGet", "port"), "web"),
    "killed while it drains": (*STATEFUL, (*POD, "terminationGracePeriodSeconds"), 5),
    "root": (*STATEFUL, (*POD, "securityContext", "runAsNonRoot"), False),
    "no seccomp profile": (
        "CronJob",
        "segment-trainer",
        ("spec", "jobTemplate", *POD, "securityContext", "seccompProfile"),
        GONE,
    ),
    "a token of the cluster": (*STATEFUL, (*POD, "automountServiceAccountToken"), GONE),
    "variables of Services": (*STATEFUL, (*POD, "enableServiceLinks"), True),
    "a file system to write to": (*STATEFUL, (*WORKER, "securityContext", "readOnlyRootFilesystem"), False),
    "a capability kept": ("Job", "segment-trainer-first", (*WORKER, "securityContext", "capabilities", "drop"), []),
    "no memory limit": (*STATEFUL, (*WORKER, "resources", "limits"), GONE),
    "a mount of nothing": (*STATEFUL, (*WORKER, "volumeMounts", 0, "name"), "model"),
    "models that the worker may change": (*STATEFUL, (*WORKER, "volumeMounts", 0, "readOnly"), GONE),
    "no /tmp": ("Job", "segment-trainer-first", (*WORKER, "volumeMounts", 2), GONE),
    "a history that is not mounted": ("Job", "segment-trainer-first", (*WORKER, "args", 1), "/data/history.csv"),
    "a budget for other pods": (
        "PodDisruptionBudget",
        "segment-worker",
        ("spec", "selector", "matchLabels"),
        {"app": "x"},
    ),
    "a policy for other pods": (
        "NetworkPolicy",
        "segment-trainer",
        ("spec", "podSelector", "matchLabels"),
        {"app": "x"},
    ),
    "a policy without the brokers": ("NetworkPolicy", "segment-worker", ("spec", "egress", 1), GONE),
    "a policy that lets everybody in": ("NetworkPolicy", "segment-worker", ("spec", "ingress", 0, "from"), GONE),
    "a monitor of another port": ("PodMonitor", "segment-worker", ("spec", "podMetricsEndpoints", 0, "port"), "web"),
    "a field that the operator does not know": ("PodMonitor", "segment-worker", ("spec", "endpoints"), []),
    "a scaler of nothing": ("ScaledObject", "segment-worker", ("spec", "scaleTargetRef", "kind"), "Deployment"),
    "a scaler to zero": ("ScaledObject", "segment-worker", ("spec", "minReplicaCount"), 0),
    "a scaler of another group": (
        *("ScaledObject", "segment-worker"),
        ("spec", "triggers", 0, "metadata", "consumerGroup"),
        "other",
    ),
    "a number where KEDA wants text": (
        *("ScaledObject", "segment-worker"),
        ("spec", "triggers", 0, "metadata", "lagThreshold"),
        50000,
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mistake_in_a_manifest_is_refused(mutation: tuple[str, str, Path_, object]) -> None:
    assert problems(changed(*mutation)) != []


def test_the_kustomization_names_every_manifest_but_those_of_operators_and_the_images_of_this_version() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files - {"keda.yaml", "pod-monitor.yaml"}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    used = set(re.findall(r"image: (\S+)", "".join((FOLDER / name).read_text() for name in files)))
    assert {(image["name"], image["newTag"]) for image in kustomization["images"]} == {(name, version) for name in used}


def test_with_the_component_for_signed_stores_nothing_starts_without_every_key() -> None:
    component = yaml.safe_load((FOLDER / "signed/kustomization.yaml").read_text())
    assert component["kind"] == "Component"
    assert [patch["path"] for patch in component["patches"]] == ["require-keys.yaml"]
    signed = patched(MANIFESTS, read(FOLDER / "signed"))
    assert problems(signed) == []
    before, after = secrets(MANIFESTS, "segment-model-keys"), secrets(signed, "segment-model-keys")
    assert {source["optional"] for source in before} == {True}
    assert after == [{**source, "optional": False} for source in before]


def test_no_namespace_is_given_so_that_it_is_chosen_when_applied() -> None:
    assert [each["metadata"]["name"] for each in MANIFESTS if "namespace" in each["metadata"]] == []
