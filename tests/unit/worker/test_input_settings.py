"""The settings of the input format: what they read, and which are refused."""

from __future__ import annotations

import pytest

from schemas.formats.cloudevents import CloudEvents
from schemas.formats.mapped import Mapped
from worker.errors import SettingsError
from worker.input_settings import input_format
from worker.settings_loading import load_settings

JSON = {"worker_input_format": "json", "worker_input_user": "/user"}
SEGMENT = {"worker_input_format": "segment"}


def test_the_default_is_cloudevents_of_which_none_is_ignored() -> None:
    assert input_format(load_settings({})) == CloudEvents()


def test_the_settings_say_where_each_part_is() -> None:
    flags = {
        **JSON,
        "worker_input_time": "/at",
        "worker_input_time_format": "ms",
        "worker_input_data": "/traits",
        "worker_input_where": "/event=profile_updated",
    }
    of = input_format(load_settings(flags))
    assert isinstance(of, Mapped)
    assert of.names == {"subject": "/user", "time": "/at", "id": "$offset", "data": "/traits"}
    assert [(each.places, each.expected) for each in of.where.values] == [((("event",),), ("profile_updated",))]


def test_all_presets_work_with_the_fewest_settings() -> None:
    assert isinstance(input_format(load_settings({"worker_input_format": "segment"})), Mapped)
    flags = {"worker_input_format": "debezium", "worker_input_user": "$key"}
    assert isinstance(input_format(load_settings(flags)), Mapped)


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        ({"worker_input_user": "/user"}, {"worker_input_format", "worker_input_user"}),
        ({"worker_input_time_format": "ms"}, {"worker_input_format", "worker_input_time_format"}),
        ({"worker_input_numeric_ids": "true"}, {"worker_input_format", "worker_input_numeric_ids"}),
        ({"worker_input_where": "/data=x"}, {"worker_input_format", "worker_input_where"}),
        ({"worker_input_format": "json"}, {"worker_input_format", "worker_input_user"}),
        ({"worker_input_format": "debezium"}, {"worker_input_format", "worker_input_user"}),
        (
            {"worker_input_format": "debezium", "worker_input_user": "/id", "worker_input_data": "/x"},
            {"worker_input_format", "worker_input_data"},
        ),
        ({**JSON, "worker_input_time": "/at"}, {"worker_input_time", "worker_input_time_format"}),
        ({**JSON, "worker_input_time_format": "ms"}, {"worker_input_time", "worker_input_time_format"}),
        (
            {**JSON, "worker_input_time": "$timestamp", "worker_input_time_format": "ms"},
            {"worker_input_time", "worker_input_time_format"},
        ),
        (
            {**JSON, "worker_input_user": "$key", "worker_input_numeric_ids": "true"},
            {"worker_input_numeric_ids", "worker_input_user", "worker_input_id"},
        ),
        (
            {**JSON, "worker_input_time": "/user", "worker_input_time_format": "ms"},
            {"worker_input_time", "worker_input_user"},
        ),
        ({**JSON, "worker_input_id": "/user/id"}, {"worker_input_user", "worker_input_id"}),
        ({**JSON, "worker_input_data": "/user"}, {"worker_input_user", "worker_input_data"}),
        ({**JSON, "worker_input_data": "/user/traits"}, {"worker_input_user", "worker_input_data"}),
        ({**JSON, "worker_input_where": "/user/kind=x"}, {"worker_input_user", "worker_input_where"}),
        ({**SEGMENT, "worker_input_where": "/type=page"}, {"worker_input_format", "worker_input_where"}),
        ({**SEGMENT, "worker_input_data": "/type"}, {"worker_input_format", "worker_input_data"}),
        ({**SEGMENT, "worker_input_user": "/type/x"}, {"worker_input_format", "worker_input_user"}),
        ({**SEGMENT, "worker_input_user": "/traits"}, {"worker_input_format", "worker_input_user"}),
        ({**SEGMENT, "worker_input_id": "/timestamp"}, {"worker_input_format", "worker_input_id"}),
        ({**SEGMENT, "worker_input_where": "/userId/x=1"}, {"worker_input_format", "worker_input_where"}),
    ],
)
def test_what_the_format_does_not_use_or_lacks_is_named(flags: dict[str, str], fields: set[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags)
    assert caught.value.fields == fields
    (problem,) = caught.value.problems
    assert all(field.upper() in problem for field in fields)


@pytest.mark.parametrize(
    "flags",
    [
        {**JSON, "worker_input_id": "/user"},
        {**JSON, "worker_input_data": "/traits", "worker_input_user": "/traits/id"},
        {**JSON, "worker_input_where": "/user=x"},
        {"worker_input_where": "/type=user.profile.observed.v1 && header:kind=user"},
        {**SEGMENT, "worker_input_numeric_ids": "true"},
        {**SEGMENT, "worker_input_where": "/type=track && /traits/country=DE", "worker_input_id": "/userId"},
        {**SEGMENT, "worker_input_user": "/traits/email", "worker_input_data": "/context/traits"},
        {**SEGMENT, "worker_input_data": ""},
        {**SEGMENT, "worker_input_where": "/traits=null"},
        {"worker_input_format": "debezium", "worker_input_user": "/op", "worker_input_where": "/payload/op=x"},
    ],
)
def test_what_can_work_together_is_not_refused(flags: dict[str, str]) -> None:
    input_format(load_settings(flags))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("worker_input_user", "user"),
        ("worker_input_user", "$timestamp"),
        ("worker_input_user", ""),
        ("worker_input_time", ""),
        ("worker_input_id", ""),
        ("worker_input_user", "/a" * 33),
        ("worker_input_time", "$key"),
        ("worker_input_id", "$timestamp"),
        ("worker_input_data", "$key"),
        ("worker_input_time_format", "iso"),
        ("worker_input_format", "xml"),
        ("worker_input_where", "/event"),
        ("worker_input_where", "/event=[1]"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name: str, given: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({**JSON, name: given})
    assert name in caught.value.fields
    assert caught.value.problems[0].startswith(f"{name.upper()} (from --input-")


AVRO = {**JSON, "worker_input_format": "avro", "schema_registry_url": "https://registry.example:8081, http://b/path"}


def test_avro_has_the_settings_of_json_and_a_registry() -> None:
    of = input_format(load_settings({**AVRO, "worker_input_time": "/at"}))
    assert isinstance(of, Mapped)
    assert isinstance(input_format(load_settings({**AVRO, "worker_input_format": "debezium-avro"})), Mapped)


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        ({**AVRO, "worker_input_format": "json"}, {"worker_input_format", "schema_registry_url"}),
        ({"schema_registry_token": "t"}, {"worker_input_format", "schema_registry_token"}),
        ({**AVRO, "schema_registry_url": ""}, {"schema_registry_url"}),
        ({**AVRO, "schema_registry_url": "registry:8081"}, {"schema_registry_url"}),
        ({**AVRO, "schema_registry_url": "http://u:s3kr1t@registry"}, {"schema_registry_url"}),
        ({**AVRO, "schema_registry_url": "http://a,"}, {"schema_registry_url"}),
        ({**AVRO, "schema_registry_username": "a:b"}, {"schema_registry_username"}),
        ({**AVRO, "schema_registry_username": "u"}, {"schema_registry_username", "schema_registry_password"}),
        ({**AVRO, "schema_registry_password": "s3kr1t"}, {"schema_registry_username", "schema_registry_password"}),
        (
            {**AVRO, "schema_registry_token": "t", "schema_registry_username": "u", "schema_registry_password": "p"},
            {"schema_registry_token", "schema_registry_username"},
        ),
        ({**AVRO, "schema_registry_ssl_cafile": "/nowhere.pem"}, {"schema_registry_ssl_cafile"}),
        (
            {**AVRO, "schema_registry_ssl_password": "s3kr1t"},
            {"schema_registry_ssl_password", "schema_registry_ssl_certfile"},
        ),
        ({**AVRO, "worker_input_user": ""}, {"worker_input_user", "worker_input_format"}),
    ],
)
def test_settings_of_a_registry_that_cannot_work_are_named(flags: dict[str, str], fields: set[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value for name, value in flags.items() if value})
    assert fields <= caught.value.fields
    assert "s3kr1t" not in "".join(caught.value.problems)
