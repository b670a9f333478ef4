"""Looking up schemas: what the registry's answers become, over real HTTP and HTTPS."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from schemas.formats.avro import RegisteredSchema, WriterSchemas
from schemas.rejected import Rejection, RejectReason
from tests.support.avro import record_schema, registered, wire
from tests.support.certificates import Authority
from tests.support.schema_registry import SchemaRegistry, schema_registry
from worker.errors import ExitStatus, RetryBatchError, SettingsError, StopProcessError, UnsupportedClientError
from worker.kafka import registry as under_test
from worker.kafka.registry import LOOK_UP_MOST_S, UNKNOWN_FOR_S, Registry, SchemaLookUp, input_of, input_read_once
from worker.settings import Settings
from worker.settings_loading import load_settings

USER = record_schema(x="long")
SECRET = "top-secret-password"


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with schema_registry() as server:
        server.register(7, USER)
        yield server


def settings(url: str, **more: str) -> Settings:
    return load_settings(
        {"worker_input_format": "avro", "worker_input_user": "$key", "schema_registry_url": url, **more}
    )


def test_a_schema_is_what_the_registry_has(registry: SchemaRegistry) -> None:
    of = Registry(settings(registry.url))
    assert of.schema(7) == registered(USER)
    registry.register(8, {}, schemaType="PROTOBUF")
    assert of.schema(8) == RegisteredSchema("PROTOBUF", "{}")
    assert of.schema(9) is None


def test_references_come_before_what_refers_to_them(registry: SchemaRegistry) -> None:
    leaf, middle = record_schema("Leaf", x="long"), record_schema("Middle", leaf="shop.users.Leaf")
    to_leaf = {"name": "shop.users.Leaf", "subject": "leaf/of tree", "version": 3}
    to_middle = {"name": "shop.users.Middle", "subject": "middle", "version": 1}
    registry.register(1, leaf)
    registry.versions["leaf/of tree", 3] = {**registry.schemas[1], "subject": "leaf/of tree", "version": 3, "id": 1}
    registry.register(2, middle, references=[to_leaf])
    registry.versions["middle", 1] = {**registry.schemas[2], "subject": "middle", "version": 1, "id": 2}
    registry.register(3, record_schema(m="Middle", l="Leaf"), references=[to_middle, to_leaf])
    schema = Registry(settings(registry.url)).schema(3)
    assert schema == registered(record_schema(m="Middle", l="Leaf"), leaf, middle)
    schemas = WriterSchemas()
    schemas.add(3, schema)
    assert schemas.load(b"\x00\x00\x00\x00\x03\x02\x04", 100) == {"m": {"leaf": {"x": 1}}, "l": {"x": 2}}
    del registry.versions["leaf/of tree", 3]
    assert Registry(settings(registry.url)).schema(3) is None


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}"),
        (503, b"<html>"),
        (429, b""),
        (404, b"<html>nothing here</html>"),
        (404, b'{"error_code": 404}'),
        (302, b""),
        (400, b"[]"),
        (200, b""),
        (200, b"<html>a login page</html>"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"7"),
        (200, b'{"schema": 7}'),
        (200, b'{"schema": null}'),
        (200, b'{"schema": "{}", "references": [{}]}'),
        (200, b'{"schema": "{}", "references": 7}'),
        (200, b"\xff"),
    ],
)
def test_an_answer_that_is_not_a_registrys_is_asked_for_again(
    registry: SchemaRegistry, answer: tuple[int, bytes]
) -> None:
    of = Registry(settings(registry.url))
    registry.answer = answer
    with pytest.raises(RetryBatchError) as caught:
        of.schema(7)
    assert registry.url in str(caught.value)
    registry.answer = None
    assert of.schema(7) == registered(USER)


def test_a_registry_that_is_away_or_too_slow_is_asked_again(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "_ANSWER_S", 0.2)
    of = Registry(settings(registry.url))
    registry.delay_s = 0.5
    with pytest.raises(RetryBatchError, match=registry.url):
        of.schema(7)
    registry.delay_s = 0
    assert of.schema(7) == registered(USER)
    with pytest.raises(RetryBatchError):
        Registry(settings("http://127.0.0.1:1")).schema(7)


def test_of_several_addresses_the_first_that_answers_is_used(registry: SchemaRegistry) -> None:
    assert Registry(settings(f"http://127.0.0.1:1, {registry.url}")).schema(7) == registered(USER)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_stops_with_the_settings_and_without_the_secret(registry: SchemaRegistry, status: int) -> None:
    registry.answer = (status, b'{"error_code": %d, "message": "no"}' % status)
    for login in ({}, {"schema_registry_username": "u", "schema_registry_password": SECRET}):
        with pytest.raises(StopProcessError) as caught:
            Registry(settings(registry.url, **login)).schema(7)
        assert caught.value.exit_status is ExitStatus.ACT_FIRST
        assert "SCHEMA_REGISTRY_PASSWORD" in str(caught.value)
        assert SECRET not in str(caught.value)


def test_a_login_is_sent(registry: SchemaRegistry) -> None:
    registry.require_login("u", "a:b ü")
    login = {"schema_registry_username": "u", "schema_registry_password": "a:b ü"}
    assert Registry(settings(registry.url, **login)).schema(7) == registered(USER)
    registry.authorization = "Bearer token-1"
    assert Registry(settings(registry.url, schema_registry_token="token-1")).schema(7) == registered(USER)


def test_tls_trusts_the_authority_that_is_named_and_shows_the_clients_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.issue("client", key_password=SECRET)
    with schema_registry(authority.issue("127.0.0.1"), clients_of=authority.cafile) as server:
        server.register(7, USER)
        files = {
            "schema_registry_ssl_cafile": str(authority.cafile),
            "schema_registry_ssl_certfile": str(client.certfile),
            "schema_registry_ssl_keyfile": str(client.keyfile),
        }
        assert Registry(settings(server.url, **files, schema_registry_ssl_password=SECRET)).schema(7) is not None
        with pytest.raises(SettingsError) as caught:
            Registry(settings(server.url, **files, schema_registry_ssl_password="wrong"))
        assert "schema_registry_ssl_certfile" in caught.value.fields
        with pytest.raises(StopProcessError, match="SCHEMA_REGISTRY_SSL_CAFILE") as stopped:
            Registry(settings(server.url)).schema(7)
        assert stopped.value.exit_status is ExitStatus.ACT_FIRST
        with pytest.raises(RetryBatchError):
            Registry(settings(server.url, schema_registry_ssl_cafile=str(authority.cafile))).schema(7)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def look_up(
    found: dict[int, RegisteredSchema], clock: Clock, each_s: float = 0.0, most_s: float = LOOK_UP_MOST_S
) -> tuple[SchemaLookUp, WriterSchemas, list[int]]:
    asked: list[int] = []
    schemas = WriterSchemas()

    def fetch(schema_id: int) -> RegisteredSchema | None:
        asked.append(schema_id)
        clock.now_s += each_s
        return found.get(schema_id)

    return SchemaLookUp(schemas, fetch, most_s, clock), schemas, asked


def values(*ids: int) -> list[bytes | None]:
    return [wire(schema_id, USER, {"x": 1}) for schema_id in ids]


def test_each_schema_is_asked_for_once_and_what_is_not_avro_not_at_all() -> None:
    of, schemas, asked = look_up({7: registered(USER), 8: registered(USER)}, Clock())
    of([None, b"", b"\x00\x00", b"\x01\x00\x00\x00\x07", *values(7, 7, 8)])
    of(values(8, 7))
    assert sorted(asked) == [7, 8]
    assert schemas.load(values(7)[0], 100) == {"x": 1}


def test_an_unknown_schema_is_asked_for_again_after_a_minute() -> None:
    clock, found = Clock(), dict[int, RegisteredSchema]()
    of, schemas, asked = look_up(found, clock)
    of(values(7))
    rejection = schemas.load(values(7)[0], 100)
    assert isinstance(rejection, Rejection)
    assert rejection.reason is RejectReason.UNKNOWN_SCHEMA
    found[7] = registered(USER)
    clock.now_s += UNKNOWN_FOR_S - 1
    of(values(7))
    assert asked == [7]
    clock.now_s += 1
    of(values(7))
    assert asked == [7, 7]
    assert schemas.load(values(7)[0], 100) == {"x": 1}


def test_a_batch_with_more_schemas_than_fit_into_the_time_gets_there_in_several_turns() -> None:
    clock = Clock()
    # All of it takes longer than an unknown schema stays known as such.
    of, _, asked = look_up({}, clock, each_s=UNKNOWN_FOR_S / 20)
    turns = 0
    while len(asked) < 50:
        turns += 1
        with pytest.raises(RetryBatchError):
            of(values(*range(51)))
        assert len(asked) > turns
    of(values(*range(51)))
    assert sorted(asked) == [*range(51)]


def test_where_nothing_is_read_again_one_turn_is_enough() -> None:
    of, _, asked = look_up({}, Clock(), each_s=UNKNOWN_FOR_S, most_s=inf)
    of(values(*range(51)))
    assert sorted(asked) == [*range(51)]


def test_where_nothing_is_read_again_a_registry_is_waited_for(
    registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        registry.fail_until_waited_for(patched)
        of, look_up = input_read_once(settings(registry.url))
        look_up(values(7))
    assert of.load(values(7)[0], 100) == {"x": 1}
    monkeypatch.setattr(under_test, "AWAY_MOST_S", 0.0)
    registry.answer = (500, b"{}")
    with pytest.raises(StopProcessError) as caught:
        input_read_once(settings(registry.url)).look_up(values(7))
    assert caught.value.exit_status is ExitStatus.RESTART
    (line,) = caught.value.lines
    assert registry.url in line
    assert "SCHEMA_REGISTRY_URL" in line


def test_what_is_not_avro_needs_neither_registry_nor_client(monkeypatch: pytest.MonkeyPatch) -> None:
    without_client(monkeypatch)
    input_of(load_settings({})).look_up([b"\x00\x00\x00\x00\x07"])
    with pytest.raises(UnsupportedClientError) as caught:
        input_of(settings("http://127.0.0.1:1"))
    assert "stream-segmentation[avro]" in str(caught.value)


def without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("confluent_kafka"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
