"""Registers the schema of the demo's events, with the registry and the login that a worker has in its settings."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from demo.avro import SCHEMA
from demo.errors import RegistryAway, RegistryRefused, RegistryUnusable
from demo.formats import SETTINGS
from worker.errors import WorkerError, is_temporary
from worker.kafka.registry import registry_client
from worker.settings_loading import load_settings


class Registered(NamedTuple):
    """The id of the schema, and the registry that has it."""

    schema_id: int
    url: str


def registered(topic: str) -> Registered:
    """The schema, registered for the values of this topic. Raises RegistryUnusable, RegistryAway, RegistryRefused."""
    try:
        settings = load_settings({name.lower(): value for name, value in SETTINGS["avro"].items()})
        client = registry_client(settings)
    except WorkerError as error:
        raise RegistryUnusable("\n".join(error.lines)) from error
    from confluent_kafka.schema_registry import Schema, SchemaRegistryError  # noqa: PLC0415  # an extra

    url, subject = settings.schema_registry_url or "", f"{topic}-value"
    try:
        schema_id = client.register_schema(subject, Schema(orjson.dumps(SCHEMA).decode(), "AVRO"))
    except SchemaRegistryError as error:
        status = error.http_status_code
        if not is_temporary(status):
            raise RegistryRefused(
                f"the schema registry {url} refused the schema of subject {subject} ({status}: {error.error_message}); "
                "send to another topic if this one has another schema, or correct SCHEMA_REGISTRY_URL and the login in "
                "SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD, or SCHEMA_REGISTRY_TOKEN"
            ) from error
        raise RegistryAway(f"the schema registry {url} answered {status}; try again later") from error
    except Exception as error:  # its HTTP client's errors, and whatever it raises for garbage
        raise _away(url, type(error).__name__) from error
    if not isinstance(schema_id, int):
        raise _away(url, "no id")
    return Registered(schema_id, url)


def _away(url: str, reason: str) -> RegistryAway:
    return RegistryAway(
        f"the schema registry {url} did not answer properly ({reason}); start it, or correct SCHEMA_REGISTRY_URL"
    )
