"""The schema is registered once, and each problem is reported with what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from demo.avro import SCHEMA
from demo.errors import DemoError, RegistryAway, RegistryRefused, RegistryUnusable
from demo.kafka.ports import free_ports
from demo.registry import registered
from tests.support.schema_registry import SchemaRegistry, schema_registry


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[SchemaRegistry]:
    with schema_registry() as server:
        monkeypatch.setenv("SCHEMA_REGISTRY_URL", server.url)
        yield server


def test_the_schema_is_registered_for_the_values_of_the_topic_and_again_under_the_same_id(
    registry: SchemaRegistry,
) -> None:
    registry.register(6, "string")
    assert registered("shop/users") == (7, registry.url) == registered("shop/users")
    assert registry.asked == ["/subjects/shop%2Fusers-value/versions"] * 2
    assert json.loads(registry.schemas[7]["schema"]) == SCHEMA


def test_the_login_is_that_of_a_worker(registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.require_login("demo", "right-registry-password")
    with pytest.raises(RegistryRefused, match="SCHEMA_REGISTRY_PASSWORD"):
        registered("events")
    monkeypatch.setenv("SCHEMA_REGISTRY_USERNAME", "demo")
    with pytest.raises(RegistryUnusable, match="SCHEMA_REGISTRY_PASSWORD"):
        registered("events")
    monkeypatch.setenv("SCHEMA_REGISTRY_PASSWORD", "right-registry-password")
    assert registered("events").schema_id == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "exit_status", "named"),
    [
        (
            409,
            b'{"error_code": 409, "message": "incompatible"}',
            RegistryRefused,
            2,
            "events-value (409: incompatible)",
        ),
        (404, b"<html>", RegistryRefused, 2, "SCHEMA_REGISTRY_URL"),
        (500, b'{"error_code": 50001, "message": "store"}', RegistryAway, 1, "500"),
        (200, b"<html>", RegistryAway, 1, "SCHEMA_REGISTRY_URL"),
        (200, b"", RegistryAway, 1, "SCHEMA_REGISTRY_URL"),
        (200, b"[]", RegistryAway, 1, "SCHEMA_REGISTRY_URL"),
        (200, b"{}", RegistryAway, 1, "SCHEMA_REGISTRY_URL"),
        (200, b'{"id": "1"}', RegistryAway, 1, "SCHEMA_REGISTRY_URL"),
    ],
)
def test_a_registry_that_refuses_or_answers_something_else_is_named(
    registry: SchemaRegistry, status: int, body: bytes, kind: type[DemoError], exit_status: int, named: str
) -> None:
    registry.answer = (status, body)
    with pytest.raises(kind) as caught:
        registered("events")
    assert caught.value.exit_status == exit_status
    assert registry.url in str(caught.value)
    assert named in str(caught.value)


def test_a_registry_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (nobody,) = free_ports(1)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", f"http://127.0.0.1:{nobody}")
    with pytest.raises(RegistryAway, match=f"http://127.0.0.1:{nobody}.*SCHEMA_REGISTRY_URL"):
        registered("events")


def test_without_an_address_or_without_the_extra_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCHEMA_REGISTRY_URL", raising=False)
    with pytest.raises(RegistryUnusable, match="SCHEMA_REGISTRY_URL"):
        registered("events")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "confluent_kafka.schema_registry", None)
    with pytest.raises(RegistryUnusable, match=r"stream-segmentation\[avro\]"):
        registered("events")
