"""The Kubernetes manifests: valid for old and new clusters, and in agreement with the programs that they start."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml

from trainer.settings import TrainerSettings
from worker.lifecycle import DRAIN_S, LAST_RESORT_S
from worker.settings import Settings
from worker.settings_loading import read_settings

Document = dict[str, Any]

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/kubernetes"


def read(folder: Path) -> list[Document]:
    files = sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


MANIFESTS = read(FOLDER)
OF_KUBERNETES = [each for each in MANIFESTS if not re.match(r"keda\.sh|monitoring\.coreos\.com", each["apiVersion"])]


def one(kind: str, name: str = "segment-worker") -> Document:
    return next(each for each in MANIFESTS if (each["kind"], each["metadata"]["name"]) == (kind, name))


def pod_of(document: Document) -> Document | None:
    spec = document["spec"]
    template: Document | None = spec.get("jobTemplate", {}).get("spec", spec).get("template")
    return template


def containers_of(pod: Document) -> list[Document]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def named(entries: list[Document], key: str = "value") -> dict[str, Any]:
    """The entries by name; None for one that has no such key."""
    return {entry["name"]: entry.get(key) for entry in entries}


PODS = [pod for pod in map(pod_of, MANIFESTS) if pod is not None]
CONTAINERS = [(pod, container) for pod in PODS for container in containers_of(pod)]
WORKER_POD = pod_of(one("StatefulSet")) or {}
WORKER = WORKER_POD["spec"]["containers"][0]
VALUES = named(WORKER["env"])


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("document", OF_KUBERNETES, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_a_manifest_is_valid(document: Document, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_has_no_rights_and_is_given_no_variables_of_services(pod: Document) -> None:
    user = pod["spec"]["securityContext"]
    assert (user["runAsNonRoot"], user["runAsUser"], user["seccompProfile"]) == (
        True,
        10001,
        {"type": "RuntimeDefault"},
    )
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["enableServiceLinks"] is False  # some are named like settings
    for container in containers_of(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_the_settings_of_a_container_exist_and_take_these_values(pod: Document, container: Document) -> None:
    # What comes from a Secret, a ConfigMap or the pod is a text that nobody knows here; "1" is also a number.
    given = {each["name"].lower(): each.get("value", "1") for each in container["env"]}
    assert len(given) == len(container["env"]), "a setting is given twice"
    if container["image"] == "stream-segmentation-worker":
        assert given.keys() <= Settings.model_fields.keys()
        _, wrong = read_settings(given)
        assert [line for line in (wrong.problems if wrong else ()) if "there is no file" not in line] == []
    else:
        assert given.keys() <= TrainerSettings.model_fields.keys()
        TrainerSettings.model_validate(given)


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_a_container_mounts_what_its_settings_and_arguments_name_and_tmp(pod: Document, container: Document) -> None:
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts.values()) <= volumes.keys()
    assert "emptyDir" in volumes[mounts["/tmp"]]
    paths = [each for each in (*named(container["env"]).values(), *container["args"]) if (each or "").startswith("/")]
    assert [path for path in paths if not any(map(path.startswith, mounts))] == []


@pytest.mark.parametrize(("pod", "container"), CONTAINERS)
def test_a_profile_class_of_ones_own_reaches_every_container(pod: Document, container: Document) -> None:
    source = {"configMapKeyRef": {"name": "segment-profile", "key": "class", "optional": True}}
    assert named(container["env"], "valueFrom")["PROFILE_CLASS"] == source
    assert {"name": "profile", "mountPath": "/profile", "readOnly": True} in container["volumeMounts"]
    assert named(pod["spec"]["volumes"], "configMap")["profile"] == {"name": "segment-profile", "optional": True}


def test_a_worker_keeps_its_name_drains_in_time_and_is_held_where_a_restart_cannot_help() -> None:
    sources = named(WORKER["env"], "valueFrom")
    assert sources["WORKER_INSTANCE_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert sources["KAFKA_SASL_PASSWORD"]["secretKeyRef"]
    assert VALUES["WORKER_HOLD_ON_STOP"] == "true"
    assert WORKER_POD["spec"]["terminationGracePeriodSeconds"] > DRAIN_S + LAST_RESORT_S
    assert one("StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"  # one that cannot start stops no other
    assert next(mount for mount in WORKER["volumeMounts"] if mount["name"] == "models")["readOnly"]


def test_what_is_checked_is_what_runs() -> None:
    (check,) = WORKER_POD["spec"]["initContainers"]
    assert (check["env"], check["image"], check["args"]) == (WORKER["env"], WORKER["image"], ["check"])


def test_probes_monitor_and_network_policy_use_the_ports_that_the_worker_uses() -> None:
    port = int(VALUES["WORKER_HTTP_PORT"])
    assert WORKER["ports"] == [{"name": "http", "containerPort": port}]
    probes = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert {name: WORKER[name]["httpGet"] for name in probes} == {
        name: {"path": path, "port": "http"} for name, path in probes.items()
    }
    (endpoint,) = one("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
    policy = one("NetworkPolicy")["spec"]
    broker = int(VALUES["KAFKA_BOOTSTRAP_SERVERS"].rpartition(":")[2])
    assert {each["port"] for rule in policy["ingress"] for each in rule["ports"]} == {port}
    assert {each["port"] for rule in policy["egress"] for each in rule["ports"]} == {53, broker}
    assert all(rule["from"] for rule in policy["ingress"])  # without a peer everybody is let in
    assert all(rule["to"] for rule in policy["egress"])


@pytest.mark.parametrize("kind", ["StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"])
def test_a_selector_selects_the_workers(kind: str) -> None:
    spec = one(kind)["spec"]
    selector = spec.get("selector") or spec["podSelector"]
    assert selector.get("matchLabels", selector).items() <= WORKER_POD["metadata"]["labels"].items()


def test_keda_scales_the_workers_by_the_lag_of_their_group() -> None:
    spec = one("ScaledObject")["spec"]
    assert (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) == ("StatefulSet", "segment-worker")
    assert 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]
    (trigger,) = spec["triggers"]
    asked = trigger["metadata"]
    assert asked["bootstrapServers"] == VALUES["KAFKA_BOOTSTRAP_SERVERS"]
    assert asked["consumerGroup"] == VALUES["WORKER_GROUP_ID"]
    assert asked["topic"] == Settings.model_fields["worker_input_topic"].default
    assert all(isinstance(value, str) for value in asked.values())  # KEDA takes nothing else
    assert one("TriggerAuthentication", trigger["authenticationRef"]["name"])


def test_the_kustomization_names_every_manifest_but_those_of_operators_and_the_images_of_this_version() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files - {"keda.yaml", "pod-monitor.yaml"}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    used = {container["image"] for _, container in CONTAINERS}
    assert {(image["name"], image["newTag"]) for image in kustomization["images"]} == {(name, version) for name in used}


def test_with_the_component_for_signed_stores_every_key_is_required_in_every_container() -> None:
    def keys(documents: list[Document], *, optional: bool) -> set[tuple[str, str, str, str]]:
        """Kind and container of each variable that comes from the Secret, the variable, and its key there."""
        return {
            (document["kind"], container["name"], each["name"], source["key"])
            for document in documents
            if (pod := pod_of(document)) is not None
            for container in containers_of(pod)
            for each in container["env"]
            if each["name"].startswith("MODEL_") and (source := each.get("valueFrom", {}).get("secretKeyRef"))
            if source["optional"] is optional
        }

    required = keys(read(FOLDER / "signed"), optional=False)
    assert required == keys(MANIFESTS, optional=True) != set()
