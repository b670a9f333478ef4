"""Every setting of the worker: its name, default, bounds and meaning, in one place."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from models.limits import MOST_SEQUENCE
from worker.errors import SettingsError

ENV_FILE = ".env"
# Rejected records repeat the original headers and add their own; this much more than the event itself must fit.
REJECTED_HEADROOM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Flag:
    """The command-line flag of a setting that a person would type; a setting without one comes from the environment."""

    name: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting takes, in words, where its type does not say it."""

    text: str


def _bootstrap_servers(value: str) -> str:
    for server in value.split(","):
        host, separator, port = server.strip().rpartition(":")
        if not separator or not host or "@" in host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("no list of host:port")
    return value


def _token_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.hostname or "@" in parts.netloc or set("?#") & set(value):
        raise ValueError("no URL")
    return value


def _pattern(expression: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(expression, value) or value in {".", ".."}:
            raise ValueError("the wrong characters")
        return value

    return AfterValidator(check)


Topic = Annotated[
    str, _pattern(r"[A-Za-z0-9._-]{1,249}"), Allowed("1 to 249 letters, digits, dots, underscores and hyphens")
]
Alias = Annotated[str, _pattern(r"[A-Za-z0-9_-]{1,64}"), Allowed("1 to 64 letters, digits, underscores and hyphens")]
InstanceId = Annotated[
    str, _pattern(r"[A-Za-z0-9._-]{1,200}"), Allowed("1 to 200 letters, digits, dots, underscores and hyphens")
]
GroupId = Annotated[str, _pattern(r"[!-~]{1,200}"), Allowed("1 to 200 printable characters without spaces")]
Host = Annotated[str, _pattern(r"[A-Za-z0-9.:_-]{1,253}"), Allowed("an address or a host name")]


class Settings(BaseSettings):
    """What one worker is told, checked; load_settings builds it.

    A field's name in capitals is the environment variable. Milliseconds, bytes and seconds are in the names.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        # Compose files write NAME= for a setting that nobody gave.
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    kafka_bootstrap_servers: Annotated[
        str,
        AfterValidator(_bootstrap_servers),
        Allowed("host:port, several separated by commas"),
        Flag("--bootstrap-servers"),
    ] = Field("localhost:9092", description="Brokers to ask first; the others are found from there.")
    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Flag("--security-protocol")
    ] = Field("PLAINTEXT", description="SASL_… signs in, …SSL encrypts.")
    kafka_ssl_cafile: Path | None = Field(None, description="PEM file of the authorities to trust; none: the system's.")
    kafka_ssl_certfile: Path | None = Field(None, description="PEM file of the client's certificate, for mutual TLS.")
    kafka_ssl_keyfile: Path | None = Field(None, description="PEM file of the certificate's private key.")
    kafka_ssl_password: SecretStr | None = Field(None, description="Password of the private key.")
    kafka_ssl_check_hostname: bool = Field(
        default=True, description="Whether a broker's certificate must name its host."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="How to sign in; with SASL_PLAINTEXT and SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(None, description="For PLAIN and SCRAM.")
    kafka_sasl_password: SecretStr | None = Field(None, description="For PLAIN and SCRAM.")
    kafka_sasl_oauth_token_url: Annotated[
        Annotated[str, AfterValidator(_token_url)] | None,
        Allowed("an https:// address without a user name, a ? or a # in it"),
    ] = Field(None, description="Token endpoint for OAUTHBEARER, asked with the client credentials grant.")
    kafka_sasl_oauth_client_id: str | None = Field(None, description="For OAUTHBEARER.")
    kafka_sasl_oauth_client_secret: SecretStr | None = Field(None, description="For OAUTHBEARER.")
    kafka_sasl_oauth_scope: str | None = Field(None, description="For OAUTHBEARER, where the endpoint wants one.")

    models_dir: Annotated[Path, Flag("--models")] = Field(
        Path("model-store"), description="The store of model versions."
    )
    model_alias: Annotated[Alias, Flag("--alias")] = Field(
        "production", description="Which version to load: the one that this alias names."
    )
    model_poll_s: float = Field(
        10.0,
        ge=0,
        le=300,
        description="How often a running worker looks whether the alias names another version, and takes it up for the "
        "next batch. 0: never, only a start does.",
    )
    model_public_key: str | None = Field(
        None,
        description="Load only what the owner of this key has signed: ed25519:… or the path of a PEM file, several "
        "separated by commas. None: signatures are not looked at.",
    )
    model_min_sequence: int = Field(
        0,
        ge=0,
        le=MOST_SEQUENCE,
        description="With MODEL_PUBLIC_KEY: refuse a history of promotions that ends below this sequence number, since "
        "it is an old one played back; each start logs the number.",
    )
    profile_class: Annotated[str, Flag("--profile")] = Field(
        "schemas:UserProfile", description="The class of a profile: package.module:Class or file.py:Class."
    )

    worker_group_id: Annotated[GroupId, Flag("--group-id")] = Field("segment-worker", description="The consumer group.")
    worker_instance_id: Annotated[InstanceId | None, Flag("--instance-id")] = Field(
        None,
        description="Makes membership static: a restart within the session timeout moves no partition. "
        "Different for each worker of the group.",
    )
    worker_input_topic: Annotated[Topic, Flag("--input-topic")] = Field("user-activity", description="Events to read.")
    worker_output_topic: Annotated[Topic, Flag("--output-topic")] = Field(
        "user-segments", description="Where assignments go."
    )
    worker_rejected_topic: Annotated[Topic, Flag("--rejected-topic")] = Field(
        "user-activity-rejected", description="Where rejected events go."
    )
    worker_start_at: Annotated[Literal["earliest", "latest"], Flag("--start-at")] = Field(
        "earliest",
        description="Where a partition without a committed offset begins, also one that is added later.",
    )
    worker_on_expired_offsets: Annotated[Literal["stop", "earliest"], Flag("--on-expired-offsets")] = Field(
        "stop",
        description="What to do where the group's offset is gone, by retention or with its topic: stop with status 2, "
        "or go on at the earliest record there is.",
    )
    worker_session_timeout_ms: int = Field(
        10_000, ge=1_000, le=1_800_000, description="A worker silent for this long loses its partitions."
    )
    worker_transaction_timeout_ms: int = Field(
        10_000, ge=1_000, le=900_000, description="The broker aborts a transaction older than this."
    )
    worker_max_poll_interval_ms: int = Field(
        60_000, ge=1_000, le=86_400_000, description="A worker that does not poll for this long loses its partitions."
    )
    worker_event_max_bytes: Annotated[int, Flag("--event-max-bytes")] = Field(
        900_000, ge=1, le=100_000_000, description="A larger event is rejected as too_large."
    )
    worker_batch_max_events: Annotated[int, Flag("--batch-max-events")] = Field(
        500, ge=1, le=100_000, description="Events in one transaction, at most."
    )
    worker_batch_max_bytes: Annotated[int, Flag("--batch-max-bytes")] = Field(
        8_000_000,
        ge=1,
        le=1_000_000_000,
        description="Bytes of events in one transaction, at most.",
    )
    worker_batch_max_wait_ms: Annotated[int, Flag("--batch-max-wait-ms")] = Field(
        50, ge=0, le=4_000, description="How long an event waits for others to share its transaction."
    )
    worker_broker_wait_s: Annotated[float, Flag("--broker-wait-s")] = Field(
        60, ge=0, le=86_400, description="How long to wait at the start for a broker that is not there yet."
    )
    worker_http_host: Annotated[Host, Flag("--http-host")] = Field(
        "127.0.0.1", description="Address of /livez, /readyz and /metrics; containers use 0.0.0.0."
    )
    worker_http_port: Annotated[int, Flag("--http-port")] = Field(
        8080, ge=0, le=65535, description="Its port; 0: none."
    )
    worker_liveness_window_s: float = Field(
        60, ge=1, le=86_400, description="/livez fails when a partition with lag stands still for this long."
    )
    worker_reject_limit_ratio: float | None = Field(
        None,
        ge=0.001,
        le=1,
        description="Stop with status 3 in front of the batch that makes rejected events this share of the last ones; "
        "counts from 100 events on. None: never. Each start lets through up to the limit again.",
    )
    worker_reject_limit_window: int = Field(
        1_000, ge=10, le=100_000, description="How many of the last events WORKER_REJECT_LIMIT_RATIO looks at."
    )
    worker_reject_limit_consecutive: int | None = Field(
        None, ge=1, le=100_000, description="Stop in the same way in front of so many rejected events in a row."
    )
    worker_hold_on_stop: bool = Field(
        default=False,
        description="Where whatever ends is started again: instead of exiting with 2 or 3, leave the group and stay, "
        "/livez 200, /readyz 503 with the reason.",
    )
    worker_log_level: Annotated[Literal["debug", "info", "warning", "error"], Flag("--log-level")] = Field(
        "info", description="The least level to log; debug has one line per batch."
    )

    @property
    def bootstrap_servers(self) -> list[str]:
        """The brokers, one string host:port each."""
        return [server.strip() for server in self.kafka_bootstrap_servers.split(",")]

    @property
    def rejected_max_bytes(self) -> int:
        """Bytes that the rejected topic and the client must take in one record."""
        return self.worker_event_max_bytes + REJECTED_HEADROOM_BYTES

    @property
    def topics(self) -> tuple[str, str, str]:
        """Input, output and rejected topic."""
        return self.worker_input_topic, self.worker_output_topic, self.worker_rejected_topic

    def transactional_id(self, unique: str) -> str:
        """`<group>-<instance>`, or `<group>-<unique>` without an instance id; one prefixed ACL covers both."""
        return f"{self.worker_group_id}-{self.worker_instance_id or unique}"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as `--help` shows it; the default is empty for a secret and for a setting that has none."""

    field: str
    variable: str
    flag: str | None
    default: str
    allowed: str
    meaning: str


def setting_rows() -> tuple[SettingRow, ...]:
    """Every setting, in the order of the class."""
    return tuple(_row(name) for name in Settings.model_fields)


def _row(name: str) -> SettingRow:
    info = Settings.model_fields[name]
    flags = [mark.name for mark in info.metadata if isinstance(mark, Flag)]
    default = (
        "" if info.default is None else str(info.default).lower() if info.annotation is bool else str(info.default)
    )
    return SettingRow(name, name.upper(), flags[0] if flags else None, default, _allowed(name), info.description or "")


def load_settings(flags: Mapping[str, str]) -> Settings:
    """The settings from the flags, else the environment, else `.env`, else the defaults.

    `flags` maps field names to what was typed. Raises SettingsError with one line for each wrong setting and for each
    combination that cannot work, all at once, and no secret in any.
    """
    settings, error = read_settings(flags)
    if error is not None:
        raise error
    return settings


def read_settings(flags: Mapping[str, str]) -> tuple[Settings, SettingsError | None]:
    """The settings with defaults in place of wrong ones, and what is wrong; for a check that looks at the rest too."""
    values: dict[str, Any] = dict(flags)
    problems: list[str] = []
    wrong: set[str] = set()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        wrong = {str(detail["loc"][0]) for detail in details}
        problems = [_problem(name, details, flags) for name in Settings.model_fields if name in wrong]
        settings = Settings(**{**values, **{name: Settings.model_fields[name].default for name in wrong}})
    except (UnicodeDecodeError, OSError) as error:
        reason = f".env cannot be read ({error}); mend it or move it away"
        return Settings(_env_file=None), SettingsError((reason,), frozenset(Settings.model_fields))
    # The right ones are compared with each other all the same: a person mends everything in one go.
    conflicts = [conflict for conflict in _conflicts(settings) if wrong.isdisjoint(conflict.fields)]
    problems += [conflict.text for conflict in conflicts]
    if not problems:
        return settings, None
    fields = wrong.union(*(conflict.fields for conflict in conflicts))
    return settings, SettingsError(tuple(problems), frozenset(fields))


def misspelt_settings() -> tuple[tuple[str, str], ...]:
    """Variables of the environment and `.env` that are no setting, each with the setting that it nearly is."""
    names = [name.upper() for name in Settings.model_fields]
    file_names: list[str] = []
    with contextlib.suppress(UnicodeDecodeError, OSError):  # read_settings has said so
        file_names = [name.upper() for name in DotEnvSettingsSource(Settings).env_vars]
    given = sorted({*os.environ, *file_names})
    ours = [name for name in given if name.startswith(("KAFKA_", "WORKER_", "MODEL", "PROFILE_")) and name not in names]
    near = [(name, get_close_matches(name, names, n=1, cutoff=0.9)) for name in ours]
    return tuple((name, match[0]) for name, match in near if match)


def _problem(name: str, details: list[ErrorDetails], flags: Mapping[str, str]) -> str:
    given = next(detail["input"] for detail in details if detail["loc"][0] == name)
    return f"{name.upper()} ({_origin(name, flags)}): {_shown(name, given)} is not allowed; give {_allowed(name)}"


def _origin(name: str, flags: Mapping[str, str]) -> str:
    if name in flags:
        return f"from {_row(name).flag}"
    if name.upper() in (variable.upper() for variable in os.environ):
        return "from the environment"
    return "from .env"


def _shown(name: str, given: object) -> str:
    # A secret lands in the wrong variable easily; an address is where people put a user and a password.
    if name.startswith(("kafka_sasl", "kafka_ssl_password")) or "@" in str(given):
        return "the value"
    return repr(str(given)[:80])


def _allowed(name: str) -> str:
    info = Settings.model_fields[name]
    kinds = _kinds(info.annotation)
    marks = [*info.metadata, *(mark for kind in kinds for mark in getattr(kind, "__metadata__", ()))]
    described = [mark.text for mark in marks if isinstance(mark, Allowed)]
    if described:
        return described[0]
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        return "one of " + ", ".join(choices)
    lowest = [mark.ge for mark in marks if isinstance(mark, Ge)]
    highest = [mark.le for mark in marks if isinstance(mark, Le)]
    if lowest and highest:
        return f"a {'whole number' if int in kinds else 'number'} from {lowest[0]} to {highest[0]}"
    if bool in kinds:
        return "true or false"
    return "a path" if Path in kinds else "text"


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)


@dataclass(frozen=True, slots=True)
class _Conflict:
    """Settings that are right one by one and cannot work together."""

    fields: tuple[str, ...]
    text: str


def _conflicts(settings: Settings) -> Iterator[_Conflict]:
    if len(set(settings.topics)) < len(settings.topics):
        yield _Conflict(
            ("worker_input_topic", "worker_output_topic", "worker_rejected_topic"),
            "WORKER_INPUT_TOPIC, WORKER_OUTPUT_TOPIC, WORKER_REJECTED_TOPIC: two of them name the same topic "
            f"({', '.join(settings.topics)}); give three different topics",
        )
    if settings.worker_max_poll_interval_ms < settings.worker_session_timeout_ms:
        yield _Conflict(
            ("worker_max_poll_interval_ms", "worker_session_timeout_ms"),
            f"WORKER_MAX_POLL_INTERVAL_MS ({settings.worker_max_poll_interval_ms}) is below WORKER_SESSION_TIMEOUT_MS "
            f"({settings.worker_session_timeout_ms}); raise the first or lower the second",
        )
    if settings.worker_batch_max_bytes < settings.worker_event_max_bytes:
        yield _Conflict(
            ("worker_batch_max_bytes", "worker_event_max_bytes"),
            f"WORKER_BATCH_MAX_BYTES ({settings.worker_batch_max_bytes}) is below WORKER_EVENT_MAX_BYTES "
            f"({settings.worker_event_max_bytes}), and a batch must take the largest event; "
            "raise the first or lower the second",
        )
    yield from _sasl_conflicts(settings)
    yield from _ssl_conflicts(settings)


def _given(settings: Settings, *names: str) -> list[str]:
    return [name for name in names if getattr(settings, name) is not None]


def _sasl_conflicts(settings: Settings) -> Iterator[_Conflict]:
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    password = ("kafka_sasl_username", "kafka_sasl_password")
    token = ("kafka_sasl_oauth_token_url", "kafka_sasl_oauth_client_id", "kafka_sasl_oauth_client_secret")
    both = ("kafka_security_protocol", "kafka_sasl_mechanism")
    if protocol in {"PLAINTEXT", "SSL"}:
        instead = "SASL_SSL" if protocol == "SSL" else "SASL_SSL or SASL_PLAINTEXT"
        for name in _given(settings, "kafka_sasl_mechanism", *password, *token, "kafka_sasl_oauth_scope"):
            yield _Conflict(
                ("kafka_security_protocol", name),
                f"{name.upper()} is given, but KAFKA_SECURITY_PROTOCOL={protocol} does not sign in; "
                f"set that to {instead}, or remove {name.upper()}",
            )
        return
    if mechanism is None:
        yield _Conflict(
            both,
            f"KAFKA_SASL_MECHANISM is missing, and KAFKA_SECURITY_PROTOCOL={protocol} needs it; "
            f"give {_allowed('kafka_sasl_mechanism')}",
        )
        return
    needed, foreign = (
        (token, password) if mechanism == "OAUTHBEARER" else (password, (*token, "kafka_sasl_oauth_scope"))
    )
    for name in needed:
        if getattr(settings, name) is None:
            yield _Conflict(
                (*both, name), f"{name.upper()} is missing, and KAFKA_SASL_MECHANISM={mechanism} needs it; give it"
            )
    for name in _given(settings, *foreign):
        yield _Conflict(
            (*both, name), f"{name.upper()} is given, but KAFKA_SASL_MECHANISM={mechanism} does not use it; remove it"
        )


def _ssl_conflicts(settings: Settings) -> Iterator[_Conflict]:
    protocol = settings.kafka_security_protocol
    given = _given(settings, "kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile", "kafka_ssl_password")
    if protocol not in {"SSL", "SASL_SSL"}:
        instead = "SSL" if protocol == "PLAINTEXT" else "SASL_SSL"
        for name in given:
            yield _Conflict(
                ("kafka_security_protocol", name),
                f"{name.upper()} is given, but KAFKA_SECURITY_PROTOCOL={protocol} does not encrypt; "
                f"set that to {instead}, or remove {name.upper()}",
            )
        return
    for name in given:
        path = getattr(settings, name)
        if isinstance(path, Path) and not path.is_file():
            yield _Conflict((name,), f"{name.upper()}: there is no file {path}; give the path of a PEM file")
    if settings.kafka_ssl_certfile is None:
        for name in _given(settings, "kafka_ssl_keyfile", "kafka_ssl_password"):
            yield _Conflict(
                ("kafka_ssl_certfile", name),
                f"{name.upper()} is given without KAFKA_SSL_CERTFILE; give the certificate that the key belongs to",
            )
