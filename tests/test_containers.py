"""What Dockerfile and docker-compose.yml promise about confinement, read without an engine."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)


def test_the_services_that_run_this_project_are_known() -> None:
    assert {"worker", "trainer", "emitter"} <= set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_a_service_writes_to_tmp_and_its_volume_only_and_gains_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["tmpfs"]) == (True, ["/tmp"])  # the container's own
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "user"} & service.keys()
    volumes = service.get("volumes", [])
    writable = [one for one in volumes if not (one["read_only"] if isinstance(one, dict) else one.endswith(":ro"))]
    assert writable == (["models:/models"] if name == "trainer" else [])


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_an_image_starts_programs_and_needs_no_shell() -> None:
    started = re.findall(r"^(?:ENTRYPOINT|CMD|    CMD) (.*)$", DOCKERFILE, re.MULTILINE)
    assert len(started) == 5  # of trainer and of worker, and the health check of the latter
    programs = [json.loads(line)[0] for line in started]
    assert programs == ["segment-trainer", "--help", "python", "segment-worker", "run"]
    assert "SHELL" not in DOCKERFILE


def test_no_secret_is_given_to_an_image_when_it_is_built() -> None:
    assert not re.search(r"^(?:ARG|ENV) .*(?:PASSWORD|SECRET|SIGNING|TOKEN)", DOCKERFILE, re.MULTILINE)


def test_workers_can_be_scaled() -> None:
    worker = SERVICES["worker"]
    assert "container_name" not in worker
    assert "WORKER_INSTANCE_ID" not in worker["environment"]  # one for all would be fenced
    (port,) = worker["ports"]
    published = re.fullmatch(r"127\.0\.0\.1:\$\{WORKER_HOST_PORT:-(\d+)-(\d+)\}:8080", port)
    assert published is not None
    first, last = map(int, published.groups())
    assert first == 8080 < last
