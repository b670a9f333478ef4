"""What must hold between the Kubernetes manifests, and between them and the programs; no schema says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # the one module that knows it
import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from trainer.settings import TrainerSettings
from worker.lifecycle import DRAIN_S, LAST_RESORT_S
from worker.settings import Settings as WorkerSettings
from worker.settings_loading import read_settings

Document = dict[str, Any]

OLDEST, NEWEST = "1.31", "1.37"
OPERATORS = {
    # Kinds of operators, whose schemas come with them: the fields that may be there.
    ("monitoring.coreos.com/v1", "PodMonitor"): {"jobLabel", "selector", "podMetricsEndpoints"},
    ("keda.sh/v1alpha1", "ScaledObject"): {
        *("scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "advanced", "triggers"),
    },
    ("keda.sh/v1alpha1", "TriggerAuthentication"): {"secretTargetRef"},
}
KEDA_KAFKA = {
    *("bootstrapServers", "consumerGroup", "topic", "lagThreshold", "activationLagThreshold", "offsetResetPolicy"),
    *("limitToPartitionsWithLag", "excludePersistentLag", "allowIdleConsumers", "sasl", "tls"),
}
PROBED = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
COMMANDS = {
    "stream-segmentation-worker": {"run", "check", "verify", "replay"},
    "stream-segmentation-trainer": {"fit"},
}
SETTINGS: dict[str, type[BaseSettings]] = {
    "stream-segmentation-worker": WorkerSettings,
    "stream-segmentation-trainer": TrainerSettings,
}


def read(folder: Path) -> list[Document]:
    """Every document of the folder but the kustomization."""
    files = sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


def problems(documents: list[Document]) -> list[str]:
    """All that is wrong, one line each."""
    found: list[str] = []
    for document in documents:
        where = f"{document['kind']} {document['metadata']['name']}"
        found += [f"{where}: {problem}" for problem in _of_schema(document)]
        if (pod := pod_of(document)) is not None:
            found += [f"{where}: {problem}" for problem in (*_of_confinement(pod), *_of_containers(pod))]
    found += _of_worker(documents)
    found += _of_selectors(documents)
    found += _of_network(documents)
    found += _of_operators(documents)
    return found


def patched(documents: list[Document], patches: list[Document]) -> list[Document]:
    """The documents after strategic merges: maps by key, lists of named things by name."""
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in patches}
    found = [_merged(each, by_name.pop((each["kind"], each["metadata"]["name"]), {})) for each in documents]
    assert not by_name, f"patches of nothing: {[*by_name]}"
    return found


def _merged(value: Any, patch: Any) -> Any:
    if isinstance(value, dict) and isinstance(patch, dict):
        return {key: _merged(value.get(key), patch[key]) if key in patch else value[key] for key in value | patch}
    if isinstance(value, list) and isinstance(patch, list):
        named = {each["name"]: each for each in patch}
        merged = [_merged(each, named.pop(each["name"], {})) for each in value]
        return [*merged, *named.values()]
    return patch


def secrets(documents: list[Document], secret: str) -> list[Document]:
    """Every place where a variable comes from this Secret."""
    sources = [
        each.get("valueFrom", {}).get("secretKeyRef", {})
        for pod in map(pod_of, documents)
        if pod is not None
        for container in containers(pod)
        for each in container.get("env", ())
    ]
    return [source for source in sources if source.get("name") == secret]


def pod_of(document: Document) -> Document | None:
    """The template of the pods that a document makes."""
    spec = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    template: Document | None = spec.get("template")
    return template


def one(documents: list[Document], kind: str, name: str) -> Document:
    return next(each for each in documents if (each["kind"], each["metadata"]["name"]) == (kind, name))


def containers(pod: Document) -> list[Document]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _of_schema(document: Document) -> Iterator[str]:
    operator = OPERATORS.get((document["apiVersion"], document["kind"]))
    if operator is not None:
        yield from (f"spec.{field} is none of this kind" for field in document["spec"].keys() - operator)
        return
    yield from _against_schemas(json.dumps(document))


@cache
def _against_schemas(text: str) -> tuple[str, ...]:
    """Kept, since a schema takes long to load and most documents are compared again and again."""
    document, found = json.loads(text), []
    for version in (OLDEST, NEWEST):
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            found.append(f"Kubernetes {version}: {error.message}")
    return tuple(found)


def _of_confinement(pod: Document) -> Iterator[str]:
    spec = pod["spec"]
    user = spec.get("securityContext", {})
    if user.get("runAsNonRoot") is not True or user.get("runAsUser") != 10001:
        yield "must run as 10001, not as root"
    if user.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "gets a token of the cluster that it does not need"
    if spec.get("enableServiceLinks") is not False:
        yield "gets variables of Services, some of which are named like settings"
    for container in containers(pod):
        confined = container.get("securityContext", {})
        wanted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        yield from (
            f"{container['name']}: {key} must be {value}" for key, value in wanted.items() if confined.get(key) != value
        )
        if not container.get("resources", {}).get("limits", {}).get("memory"):
            yield f"{container['name']}: has no memory limit"


def _of_containers(pod: Document) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
    for container in containers(pod):
        name, image = container["name"], container["image"]
        mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", ())}
        yield from (f"{name}: no volume {mount['name']}" for mount in mounts.values() if mount["name"] not in volumes)
        if "emptyDir" not in volumes.get(mounts.get("/tmp", {}).get("name"), {}):
            yield f"{name}: /tmp must be an emptyDir, for nothing else can be written to"
        if image not in COMMANDS:
            yield f"{name}: no image {image}"
            continue
        if not container.get("args") or container["args"][0] not in COMMANDS[image]:
            yield f"{name}: {container.get('args')} is no command of the image"
        paths = [value for value in plain_values(container).values() if value.startswith("/")]
        paths += [argument for argument in container.get("args", ()) if argument.startswith("/")]
        yield from (f"{name}: nothing is mounted for {path}" for path in paths if not any(map(path.startswith, mounts)))
        yield from (f"{name}: {problem}" for problem in wrong_settings(image, container))


def plain_values(container: Document) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}


def wrong_settings(image: str, container: Document) -> Iterator[str]:
    """Names that are no setting, values that a setting does not take, and settings that contradict each other."""
    names = [each["name"] for each in container.get("env", ())]
    known = {name.upper() for name in SETTINGS[image].model_fields}
    yield from (f"{name} is no setting" for name in names if name not in known)
    yield from (f"{name} is given twice" for name in set(names) if names.count(name) > 1)
    # What a Secret or the pod gives is there, whatever it is; a text and a number may be this.
    given = {each["name"].lower(): each.get("value", "1") for each in container.get("env", ())}
    if SETTINGS[image] is WorkerSettings:
        _, wrong = read_settings(given)
        # Files are in the container; whether something is mounted there is looked at elsewhere.
        yield from (line for line in (wrong.problems if wrong else ()) if "there is no file" not in line)
        return
    try:
        TrainerSettings.model_validate(given)
    except ValidationError as error:
        yield from (f"{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())


def _of_worker(documents: list[Document]) -> Iterator[str]:
    stateful = one(documents, "StatefulSet", "segment-worker")
    spec, pod = stateful["spec"], stateful["spec"]["template"]
    labels = pod["metadata"]["labels"]
    if spec.get("podManagementPolicy") != "Parallel":
        yield "worker: a pod that cannot start keeps all others from starting"
    services = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "Service"}
    service = services.get(spec.get("serviceName"), {})
    if service.get("clusterIP") != "None" or not _selects(service.get("selector"), labels):
        yield "worker: serviceName must name the headless Service of these pods"
    if pod["spec"].get("terminationGracePeriodSeconds", 30) <= DRAIN_S + LAST_RESORT_S:
        yield "worker: killed before it could have drained"
    worker = pod["spec"]["containers"][0]
    sources = {each["name"]: each.get("valueFrom", {}) for each in worker.get("env", ())}
    if sources.get("WORKER_INSTANCE_ID") != {"fieldRef": {"fieldPath": "metadata.name"}}:
        yield "worker: WORKER_INSTANCE_ID must be the pod's name, the reason for a StatefulSet"
    values = plain_values(worker)
    wanted = {"WORKER_HOLD_ON_STOP": "true", "WORKER_HTTP_HOST": "0.0.0.0"}  # noqa: S104  # inside a pod
    yield from (f"worker: {name} must be {value}" for name, value in wanted.items() if values.get(name) != value)
    plain_secrets = [name for name in values if re.search(r"PASSWORD|SECRET|USERNAME", name)]
    yield from (f"worker: {name} must come from a Secret" for name in plain_secrets)
    if [each["env"] for each in pod["spec"]["initContainers"]] != [worker["env"]]:
        yield "worker: what is checked must be what runs"
    models = [mount for mount in worker["volumeMounts"] if mount["mountPath"] == values.get("MODELS_DIR")]
    if [mount.get("readOnly") for mount in models] != [True]:
        yield "worker: MODELS_DIR must be mounted, and only to be read"
    ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
    if ports.get("http") != int(
        values.get("WORKER_HTTP_PORT", WorkerSettings.model_fields["worker_http_port"].default)
    ):
        yield "worker: port http must be WORKER_HTTP_PORT"
    for probe, path in PROBED.items():
        asked = worker.get(probe, {}).get("httpGet", {})
        if asked != {"path": path, "port": "http"}:
            yield f"worker: {probe} must ask {path} at port http"


def _selects(selector: dict[str, str] | None, labels: dict[str, str]) -> bool:
    return bool(selector) and selector is not None and selector.items() <= labels.items()


def _of_selectors(documents: list[Document]) -> Iterator[str]:
    pods = [pod["metadata"]["labels"] for pod in map(pod_of, documents) if pod is not None]
    for document in documents:
        spec = document["spec"]
        for key in ("selector", "podSelector"):
            selector = spec.get(key, {})
            selector = selector.get("matchLabels", selector)
            if key in spec and not any(_selects(selector, labels) for labels in pods):
                yield f"{document['kind']} {document['metadata']['name']}: {key} selects no pod that is made here"


def _broker_port(documents: list[Document]) -> int:
    worker = one(documents, "StatefulSet", "segment-worker")["spec"]["template"]["spec"]["containers"][0]
    return int(plain_values(worker)["KAFKA_BOOTSTRAP_SERVERS"].rpartition(":")[2])


def _of_network(documents: list[Document]) -> Iterator[str]:
    pod = one(documents, "StatefulSet", "segment-worker")["spec"]["template"]["spec"]
    http = pod["containers"][0]["ports"][0]["containerPort"]
    policy = one(documents, "NetworkPolicy", "segment-worker")["spec"]
    into = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    out = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    if into != {http}:
        yield f"NetworkPolicy segment-worker: lets {into} in, and the worker listens at {http}"
    if out != {53, _broker_port(documents)}:
        yield f"NetworkPolicy segment-worker: lets {out} out, and needs DNS and the brokers"
    if any(not rule.get(side) for rules, side in (("ingress", "from"), ("egress", "to")) for rule in policy[rules]):
        yield "NetworkPolicy segment-worker: a rule without a peer lets everybody through"


def _of_operators(documents: list[Document]) -> Iterator[str]:
    worker = one(documents, "StatefulSet", "segment-worker")["spec"]["template"]["spec"]["containers"][0]
    values = plain_values(worker)
    for endpoint in one(documents, "PodMonitor", "segment-worker")["spec"]["podMetricsEndpoints"]:
        if endpoint.get("path") != "/metrics" or endpoint.get("port") not in {port["name"] for port in worker["ports"]}:
            yield "PodMonitor segment-worker: the worker has no such endpoint"
    scaled = one(documents, "ScaledObject", "segment-worker")["spec"]
    target = scaled["scaleTargetRef"]
    if (target.get("kind"), target["name"]) != ("StatefulSet", "segment-worker"):
        yield "ScaledObject segment-worker: scales nothing that is made here"
    if not 1 <= scaled.get("minReplicaCount", 0) <= scaled.get("maxReplicaCount", 0):
        yield "ScaledObject segment-worker: at least one worker, and no fewer at most"
    for trigger in scaled["triggers"]:
        asked = trigger["metadata"]
        yield from (
            f"ScaledObject segment-worker: {key} is nothing that KEDA knows" for key in asked.keys() - KEDA_KAFKA
        )
        yield from (
            f"ScaledObject segment-worker: {key} is no text" for key in asked if not isinstance(asked[key], str)
        )
        same = {
            "bootstrapServers": values["KAFKA_BOOTSTRAP_SERVERS"],
            "consumerGroup": values["WORKER_GROUP_ID"],
            "topic": values.get("WORKER_INPUT_TOPIC", WorkerSettings.model_fields["worker_input_topic"].default),
            "sasl": values["KAFKA_SASL_MECHANISM"].lower().replace("-sha-", "_sha"),
        }
        yield from (
            f"ScaledObject segment-worker: {key} must be {value}"
            for key, value in same.items()
            if asked.get(key) != value
        )
        one(documents, "TriggerAuthentication", trigger["authenticationRef"]["name"])
