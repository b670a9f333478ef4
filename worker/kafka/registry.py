"""The schema registry: looks up the schemas that records in Avro were written with, before the records are read."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from schemas.formats.avro import RegisteredSchema, WriterSchemas
from schemas.formats.input_format import InputFormat
from worker.errors import ExitStatus, RetryBatchError, SettingsError, StopProcessError, UnsupportedClientError
from worker.input_settings import input_format
from worker.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

# For each wait. Below what a stop may take.
_ANSWER_S: Final = 4.0
# What was looked up by then is kept, so that the same batch needs less when it is read again.
LOOK_UP_MOST_S: Final = 5.0
# How long one schema is asked for again where nothing is read again.
AWAY_MOST_S: Final = 5.0
_PAUSE_S: Final = 0.5
# A schema may be registered after a first record that names it.
UNKNOWN_FOR_S: Final = 60.0
_REFERENCES_MOST: Final = 1_000
_SCHEMA_NOT_FOUND: Final = 40403
_NOT_FOUND: Final = frozenset({_SCHEMA_NOT_FOUND, 40401, 40402})  # the subject or the version of a reference

Fetch = Callable[[int], RegisteredSchema | None]
LookUp = Callable[[Iterable[bytes | None]], None]
"""Looks up what these values need to be read. Raises RetryBatchError while the registry does not answer properly,
StopProcessError when somebody must act."""

_log = structlog.get_logger()


class Input(NamedTuple):
    """How records are read, and what is to be called before they are."""

    format: InputFormat
    look_up: LookUp


def input_of(settings: Settings) -> Input:
    """The input of these settings for a reader that reads again what it could not. Raises SettingsError,
    UnsupportedClientError.
    """
    return _input_of(settings, lambda registry: registry.schema, LOOK_UP_MOST_S)


def input_read_once(settings: Settings) -> Input:
    """The same for a reader that does not: looking up takes its time, and only raises StopProcessError."""
    return _input_of(settings, lambda registry: partial(_waited_for, registry.schema), inf)


def _input_of(settings: Settings, fetch: Callable[[Registry], Fetch], most_s: float) -> Input:
    if not settings.input_is_avro:
        return Input(input_format(settings), lambda _: None)
    schemas = WriterSchemas()
    return Input(input_format(settings, schemas), SchemaLookUp(schemas, fetch(Registry(settings)), most_s))


def _waited_for(fetch: Fetch, schema_id: int) -> RegisteredSchema | None:
    until_s = time.monotonic() + AWAY_MOST_S
    while True:
        try:
            return fetch(schema_id)
        except RetryBatchError as error:
            if time.monotonic() >= until_s:
                raise StopProcessError(f"{error}, and run this again", ExitStatus.RESTART) from error
        time.sleep(_PAUSE_S)


class SchemaLookUp:
    """Adds the schemas that values need to those that are known; what the registry does not know is asked for again."""

    def __init__(
        self,
        schemas: WriterSchemas,
        fetch: Fetch,
        most_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._schemas = schemas
        self._fetch = fetch
        self._most_s = most_s
        self._clock_s = clock_s
        self._unknown_since_s: dict[int, float] = {}
        self._complete = True

    def __call__(self, values: Iterable[bytes | None]) -> None:
        """Look up what these values need."""
        began_s = self._clock_s()
        if self._complete:
            # Not while a batch is read again because its schemas took too long, or it might never have all of them.
            self._forget_unknown(before_s=began_s - UNKNOWN_FOR_S)
        self._complete = False
        missing = self._schemas.missing(values)
        for done, schema_id in enumerate(missing):
            if self._clock_s() - began_s > self._most_s:
                raise RetryBatchError(f"{len(missing) - done} schemas of the batch are not looked up yet")
            schema = self._fetch(schema_id)
            self._schemas.add(schema_id, schema)
            if schema is None:
                self._unknown_since_s[schema_id] = self._clock_s()
                _log.warning("schema_unknown", schema_id=schema_id, asked_again_after_s=UNKNOWN_FOR_S)
            else:
                _log.info("schema_found", schema_id=schema_id, type=schema.type, characters=len(schema.text))
        self._complete = True

    def _forget_unknown(self, before_s: float) -> None:
        old = [schema_id for schema_id, since_s in self._unknown_since_s.items() if since_s <= before_s]
        self._schemas.forget(old)
        for schema_id in old:
            del self._unknown_since_s[schema_id]


class Registry:
    """The registry of the settings, asked through confluent-kafka's client."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError for files that cannot be loaded, UnsupportedClientError where the client is missing."""
        self._url = settings.schema_registry_url or ""
        self._is_authenticated = settings.schema_registry_username or settings.schema_registry_token
        self._client = registry_client(settings)

    def schema(self, schema_id: int) -> RegisteredSchema | None:
        """The schema with this id, and those that it refers to; None if there is none.

        Raises RetryBatchError, StopProcessError.
        """
        from confluent_kafka.schema_registry.error import SchemaRegistryError  # noqa: PLC0415  # an extra

        try:
            schema = self._client.get_schema(schema_id)
            text, references = _text(schema), tuple(self._references(schema, set()))
        except SchemaRegistryError as error:
            if error.http_status_code == 404 and error.error_code in _NOT_FOUND:
                return None
            raise self._answered(error.http_status_code) from error
        except Exception as error:  # its HTTP client's errors, and whatever it raises for garbage, which it keeps
            self._client.clear_caches()  # type: ignore[no-untyped-call]  # the only one there without types
            raise self._not_reached(error) from error
        return RegisteredSchema(str(schema.schema_type), text, references)

    def _references(self, schema: Schema, seen: set[tuple[str, int]]) -> Iterator[str]:
        for reference in schema.references or ():
            subject, version = reference.subject, reference.version
            if subject is None or version is None or len(seen) > _REFERENCES_MOST:
                raise ValueError("references that cannot be followed")
            if (subject, version) not in seen:
                seen.add((subject, version))
                other = self._client.get_version(subject, version, deleted=True).schema
                yield from self._references(other, seen)
                yield _text(other)

    def _answered(self, status: int) -> RetryBatchError | StopProcessError:
        if status in {401, 403}:
            names = "SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD, or SCHEMA_REGISTRY_TOKEN"
            return StopProcessError(
                f"the schema registry {self._url} answered {status}; "
                + (f"check {names}, and that they may read schemas" if self._is_authenticated else f"give {names}"),
                ExitStatus.ACT_FIRST,
            )
        return RetryBatchError(
            f"the schema registry {self._url} answered {status}; if that does not pass, check SCHEMA_REGISTRY_URL"
        )

    def _not_reached(self, error: Exception) -> RetryBatchError | StopProcessError:
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return StopProcessError(
                    f"the certificate of the schema registry {self._url} is not trusted ({cause.verify_message}); "
                    "check SCHEMA_REGISTRY_URL and SCHEMA_REGISTRY_SSL_CAFILE",
                    ExitStatus.ACT_FIRST,
                )
        return RetryBatchError(
            f"the schema registry {self._url} did not answer properly ({type(error).__name__}); if that does not pass, "
            "check SCHEMA_REGISTRY_URL"
        )


def _text(schema: Schema) -> str:
    if not isinstance(schema.schema_str, str):
        raise TypeError("an answer without a schema")
    return schema.schema_str


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def registry_client(settings: Settings) -> SchemaRegistryClient:
    """The client for the registry of these settings. Raises SettingsError, UnsupportedClientError."""
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UnsupportedClientError(
            "Avro needs the client of a schema registry, which is not installed; install it with "
            "pip install 'stream-segmentation[avro]'"
        ) from error
    # The loop tries again, with growing delays.
    arguments: dict[str, Any] = {"url": settings.schema_registry_url, "timeout": _ANSWER_S, "max.retries": 0}
    if settings.schema_registry_username is not None and settings.schema_registry_password is not None:
        password = settings.schema_registry_password.get_secret_value()
        arguments["basic.auth.user.info"] = f"{settings.schema_registry_username}:{password}"
    if settings.schema_registry_token is not None:
        arguments["bearer.auth.credentials.source"] = "STATIC_TOKEN"
        arguments["bearer.auth.token"] = settings.schema_registry_token.get_secret_value()
        # The client wants one; a token of Confluent Cloud's own is not static.
        arguments["bearer.auth.logical.cluster"] = ""
    if settings.schema_registry_ssl_cafile is not None:
        arguments["ssl.ca.location"] = str(settings.schema_registry_ssl_cafile)
    if settings.schema_registry_ssl_certfile is not None:
        arguments["ssl.certificate.location"] = str(settings.schema_registry_ssl_certfile)
        # Without one, OpenSSL asks for it on the terminal.
        of_key = settings.schema_registry_ssl_password
        arguments["ssl.key.password"] = "" if of_key is None else of_key.get_secret_value()
    if settings.schema_registry_ssl_keyfile is not None:
        arguments["ssl.key.location"] = str(settings.schema_registry_ssl_keyfile)
    try:
        return SchemaRegistryClient(arguments)
    except OSError as error:  # ssl.SSLError is one
        names = ("schema_registry_ssl_cafile", "schema_registry_ssl_certfile", "schema_registry_ssl_keyfile")
        given = [name for name in names if getattr(settings, name) is not None]
        listed = ", ".join(name.upper() for name in given)
        problem = f"{listed}: cannot be loaded ({error}); check these files, and SCHEMA_REGISTRY_SSL_PASSWORD"
        raise SettingsError((problem,), frozenset(given)) from error
