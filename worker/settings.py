"""Every setting of the worker: its name, default, bounds and meaning, in one place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.limits import MAX_SEQUENCE
from models.store_path import StorePath
from schemas.formats.pointers import LEVELS_MOST, pointer
from schemas.formats.times import TimeFormat
from schemas.formats.where import where
from worker.client_options import CLIENT_ID, SAFE_NAMES, Value, client_options, sasl_extensions

ENV_FILE = ".env"
# Rejected records repeat the original headers and add their own; this much more than the event itself must fit.
REJECTED_HEADROOM_BYTES = 64 * 1024
# Groups of settings in help and docs: the title, and the first setting that belongs to it.
GROUPS = {
    "kafka_bootstrap_servers": "Kafka",
    "kafka_security_protocol": "Kafka security",
    "models_dir": "model",
    "worker_group_id": "consumer group",
    "worker_input_topic": "topics",
    "worker_input_format": "input format",
    "schema_registry_url": "schema registry",
    "worker_event_max_bytes": "batches and transactions",
    "worker_reject_limit_ratio": "reject limit",
    "worker_http_host": "health and logs",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """The command-line flag of a setting that people type; settings without a flag come from the environment."""

    name: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting takes, in words, if its type does not say it."""

    text: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Settings that are valid on their own and cannot work together."""

    fields: tuple[str, ...]
    text: str


def _bootstrap_servers(value: str) -> str:
    for server in value.split(","):
        host, separator, port = server.strip().rpartition(":")
        if not separator or not host or "@" in host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("not a list of host:port")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.hostname or "@" in parts.netloc or set("?#") & set(value):
        raise ValueError("not a URL")
    return value


def _urls(value: str) -> str:
    for url in value.split(","):
        _url(url.strip())
    return value


def _extensions(value: str) -> str:
    sasl_extensions(value)
    return value


def _pattern(expression: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(expression, value) or value in {".", ".."}:
            raise ValueError("the wrong characters")
        return value

    return AfterValidator(check)


def _place(*others: str) -> AfterValidator:
    def check(value: str) -> str:
        # No levels: the whole object, which is never text or a number.
        if value not in others and not pointer(value):
            raise ValueError("the whole object")
        return value

    return AfterValidator(check)


def _conditions(value: str) -> str:
    where(value)
    return value


_TIME_FORMATS = "one of " + ", ".join(TimeFormat)
_POINTER = f"a JSON Pointer such as /user/id, of at most {LEVELS_MOST} levels"
Topic = Annotated[
    str, _pattern(r"[A-Za-z0-9._-]{1,249}"), Allowed("1 to 249 letters, digits, dots, underscores and hyphens")
]
Alias = Annotated[str, _pattern(r"[A-Za-z0-9_-]{1,64}"), Allowed("1 to 64 letters, digits, underscores and hyphens")]
InstanceId = Annotated[
    str, _pattern(r"[A-Za-z0-9._-]{1,200}"), Allowed("1 to 200 letters, digits, dots, underscores and hyphens")
]
# A colon separates group and instance in a transactional id: no group's prefix covers the ids of another group then.
GroupId = Annotated[
    str, _pattern(r"[!-9;-~]{1,200}"), Allowed("1 to 200 printable characters without spaces or colons")
]
Host = Annotated[str, _pattern(r"[A-Za-z0-9.:_-]{1,253}"), Allowed("an address or a host name")]


class Settings(BaseSettings):
    """The checked settings of one worker; settings_loading.load_settings builds them.

    A field's name in capitals is the environment variable. The first sentence of a description is what --help shows.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        # Compose files write NAME= for a setting that is not set.
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    kafka_bootstrap_servers: Annotated[
        str,
        AfterValidator(_bootstrap_servers),
        Allowed("host:port, several separated by commas"),
        Flag("--bootstrap-servers"),
    ] = Field("localhost:9092", description="Brokers to contact first. The rest of the cluster is discovered.")
    kafka_client: Annotated[Literal["kafka-python", "confluent"], Flag("--kafka-client")] = Field(
        "kafka-python",
        description="Client library. confluent (librdkafka) is faster; it needs pip install "
        "'stream-segmentation[fast]'. Workers of one group may use different ones. Commands other than run use "
        "kafka-python.",
    )
    kafka_client_config: Annotated[str | None, Allowed("name=value, several separated by commas")] = Field(
        None,
        description=f"More options of the Kafka client, by the names that Kafka gives them: {', '.join(SAFE_NAMES)}. "
        "Workers recognize each other by client.id: begin it with segment-worker-, or give all of a group the same.",
    )
    worker_broker_wait_s: Annotated[float, Flag("--broker-wait-s")] = Field(
        60, ge=0, le=86_400, description="How long to wait for brokers at the start."
    )

    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Flag("--security-protocol")
    ] = Field("PLAINTEXT", description="SASL_… authenticates, …SSL encrypts.")
    kafka_ssl_cafile: Path | None = Field(
        None, description="PEM file of the certificate authorities to trust. By default, those of the system."
    )
    kafka_ssl_certfile: Path | None = Field(None, description="PEM file of the client's certificate, for mutual TLS.")
    kafka_ssl_keyfile: Path | None = Field(None, description="PEM file of the certificate's private key.")
    kafka_ssl_password: SecretStr | None = Field(None, description="Password of the private key.")
    kafka_ssl_check_hostname: bool = Field(
        default=True, description="Whether a broker's certificate must match its host name."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="SASL mechanism, for SASL_PLAINTEXT and SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(None, description="User name for PLAIN and SCRAM.")
    kafka_sasl_password: SecretStr | None = Field(None, description="Password for PLAIN and SCRAM.")
    kafka_sasl_oauth_token_url: Annotated[
        Annotated[str, AfterValidator(_url)] | None,
        Allowed("an https:// address without a user name, a ? or a # in it"),
    ] = Field(None, description="Token endpoint for OAUTHBEARER (client credentials grant).")
    kafka_sasl_oauth_client_id: str | None = Field(None, description="Client id for OAUTHBEARER.")
    kafka_sasl_oauth_client_secret: SecretStr | None = Field(None, description="Client secret for OAUTHBEARER.")
    kafka_sasl_oauth_scope: str | None = Field(
        None, description="Scope for OAUTHBEARER, if the token endpoint requires one."
    )
    kafka_sasl_oauth_extensions: Annotated[
        Annotated[str, AfterValidator(_extensions)] | None,
        Allowed("name=value, several separated by commas; names have letters only, and are not auth"),
    ] = Field(
        None,
        description="SASL extensions for OAUTHBEARER, if the brokers require some. An example is "
        "logicalCluster=lkc-1,identityPoolId=pool-1.",
    )

    models_dir: Annotated[StorePath, Flag("--models"), Allowed("the path of a local directory, not a URL")] = Field(
        Path("model-store"), description="Folder of the model store."
    )
    model_alias: Annotated[Alias, Flag("--alias")] = Field(
        "production", description="Alias of the version to load. `segment-trainer promote` sets `production`."
    )
    model_poll_s: float = Field(
        10.0,
        ge=0,
        le=300,
        description="How often a running worker checks which version the alias names. It uses a new version from the "
        "next batch on; with 0 it checks only when it starts.",
    )
    model_public_key: str | None = Field(
        None,
        description="Load only versions signed with this key. ed25519:… or the path of a PEM file, several separated "
        "by commas; without it, signatures are not checked.",
    )
    model_min_sequence: int = Field(
        0,
        ge=0,
        le=MAX_SEQUENCE,
        description="Refuse a promotion history that ends below this sequence number. Protects against a model "
        "store that was restored to an older state; needs MODEL_PUBLIC_KEY. Each start logs the current number.",
    )
    profile_class: Annotated[str, Flag("--profile")] = Field(
        "schemas:UserProfile", description="Profile class. package.module:Class or file.py:Class."
    )

    worker_group_id: Annotated[GroupId, Flag("--group-id")] = Field("segment-worker", description="Consumer group.")
    worker_instance_id: Annotated[InstanceId | None, Flag("--instance-id")] = Field(
        None,
        description="Static membership under this id. A restart within the session timeout then moves no partition; "
        "each worker of a group needs its own.",
    )
    worker_start_at: Annotated[Literal["earliest", "latest"], Flag("--start-at")] = Field(
        "earliest",
        description="Where a new group starts. A partition that is added later starts at its earliest record.",
    )
    worker_on_offset_out_of_range: Annotated[Literal["stop", "earliest"], Flag("--on-offset-out-of-range")] = Field(
        "stop",
        description="What to do if a committed offset is out of range. This happens when retention deletes unread "
        "records, or the topic is recreated. stop: exit with status 2; earliest: continue at the earliest offset.",
    )
    worker_session_timeout_ms: int = Field(
        10_000, ge=1_000, le=1_800_000, description="A worker without a heartbeat for this long loses its partitions."
    )
    worker_max_poll_interval_ms: int = Field(
        60_000, ge=1_000, le=86_400_000, description="A worker that does not poll for this long loses its partitions."
    )

    worker_input_topic: Annotated[Topic, Flag("--input-topic")] = Field(
        "user-activity", description="Topic to read events from."
    )
    worker_output_topic: Annotated[Topic, Flag("--output-topic")] = Field(
        "user-segments", description="Topic to write results to."
    )
    worker_rejected_topic: Annotated[Topic, Flag("--rejected-topic")] = Field(
        "user-activity-rejected", description="Dead-letter topic for rejected events."
    )
    worker_current_topic: Annotated[Topic | None, Flag("--current-topic")] = Field(
        None,
        description="Compacted topic for the last result of each user. Each result is written to it once more, in the "
        "same transaction: the table of current segments. By default there is none.",
    )

    worker_result_time: Annotated[Literal["processing", "event"], Flag("--result-time")] = Field(
        "processing",
        description="Record time of results. event: the time of the event, for readers with windows; retention then "
        "counts from that time, so results of old events are deleted early. A time in the future is replaced by that "
        "of processing.",
    )

    worker_input_format: Annotated[
        Literal["cloudevents", "json", "segment", "debezium", "avro", "debezium-avro"], Flag("--input-format")
    ] = Field(
        "cloudevents",
        description="Format of the input topic. json is any JSON object, described by the settings below; segment "
        "and debezium are such descriptions: identify and track calls with traits, and the rows of change events. avro "
        "and debezium-avro are json and debezium in Avro, with a schema registry; they need pip install "
        "'stream-segmentation[avro]'.",
    )
    worker_input_user: Annotated[
        Annotated[str, _place("$key")] | None, Flag("--input-user"), Allowed(f"{_POINTER}; or $key")
    ] = Field(None, description="Where the user id is. The result's key is the user id, whatever the record's key is.")
    worker_input_time: Annotated[
        Annotated[str, _place("$timestamp")] | None, Flag("--input-time"), Allowed(f"{_POINTER}; or $timestamp")
    ] = Field(None, description="Where the time is. Without it, json takes the record's timestamp.")
    worker_input_time_format: Annotated[TimeFormat | None, Flag("--input-time-format"), Allowed(_TIME_FORMATS)] = Field(
        None,
        description="How the time is written, if WORKER_INPUT_TIME is a pointer. s, ms and us are numbers of seconds, "
        "milliseconds and microseconds since 1970. Avro needs it only for numbers that are not timestamps by their "
        "schema.",
    )
    worker_input_id: Annotated[
        Annotated[str, _place("$key", "$offset")] | None, Flag("--input-id"), Allowed(f"{_POINTER}; or $key, $offset")
    ] = Field(
        None,
        description="Where the event's id is. Without it, json takes $offset, which is <topic>/<partition>/<offset>.",
    )
    worker_input_data: Annotated[Annotated[str, _place("")] | None, Flag("--input-data"), Allowed(_POINTER)] = Field(
        None, description="Where the profile is. Without it, json takes the whole object."
    )
    worker_input_numeric_ids: bool = Field(
        default=False,
        description="Whether user and event ids may be integers. They have at most 64 bits, and are exact.",
    )
    worker_input_where: Annotated[
        Annotated[str, AfterValidator(_conditions)] | None,
        Flag("--input-where"),
        Allowed("conditions such as /event=profile_updated or header:kind=user, joined by &&"),
    ] = Field(
        None,
        description="Which records are events. Records that do not meet all of these conditions are ignored: they have "
        "no result, are not rejected, and are only counted.",
    )

    schema_registry_url: Annotated[
        Annotated[str, AfterValidator(_urls)] | None,
        Flag("--schema-registry-url"),
        Allowed("http:// or https:// addresses without a user name, a ? or a # in them, separated by commas"),
    ] = Field(None, description="Schema registry, for Avro. Of several addresses, the first that answers is used.")
    schema_registry_username: Annotated[Annotated[str, _pattern(r"[^:]+")] | None, Allowed("text without a colon")] = (
        Field(None, description="User name, or API key, for HTTP Basic authentication.")
    )
    schema_registry_password: SecretStr | None = Field(None, description="Password, or API secret, for it.")
    schema_registry_token: SecretStr | None = Field(
        None, description="Bearer token, in place of user name and password. It is not renewed."
    )
    schema_registry_ssl_cafile: Path | None = Field(
        None,
        description="PEM file of the certificate authorities to trust. By default, that of SSL_CERT_FILE, or those "
        "that come with the registry's client.",
    )
    schema_registry_ssl_certfile: Path | None = Field(
        None, description="PEM file of the client's certificate, for mutual TLS."
    )
    schema_registry_ssl_keyfile: Path | None = Field(None, description="PEM file of the certificate's private key.")
    schema_registry_ssl_password: SecretStr | None = Field(None, description="Password of the private key.")

    worker_event_max_bytes: Annotated[int, Flag("--event-max-bytes")] = Field(
        900_000, ge=1, le=100_000_000, description="A larger event is rejected as too_large."
    )
    worker_batch_max_events: Annotated[int, Flag("--batch-max-events")] = Field(
        3_000, ge=1, le=100_000, description="Most events in a transaction."
    )
    worker_batch_max_bytes: Annotated[int, Flag("--batch-max-bytes")] = Field(
        8_000_000,
        ge=1,
        le=1_000_000_000,
        description="Maximum bytes of events per transaction.",
    )
    worker_commit_interval_ms: Annotated[int, Flag("--commit-interval-ms")] = Field(
        5,
        ge=0,
        le=4_000,
        description="Least time from the end of a transaction to the beginning of the next one with events, unless "
        "a batch is full. What arrives meanwhile is one transaction; more means fewer transactions for the brokers, "
        "and up to this much latency.",
    )
    worker_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "lz4", description="Compression of results and rejected events. Consumers must be able to read it."
    )
    worker_transaction_timeout_ms: int = Field(
        10_000, ge=1_000, le=900_000, description="The broker aborts a transaction older than this."
    )

    worker_reject_limit_ratio: float | None = Field(
        None,
        ge=0.001,
        le=1,
        description="Stop with exit status 3 at this share of rejected events. The batch that reaches the limit is "
        "not committed. The share counts only the events since the start, and needs 100 of them, or a full window if "
        "that is smaller. By default there is no limit.",
    )
    worker_reject_limit_window: int = Field(
        1_000, ge=10, le=100_000, description="Number of recent events that WORKER_REJECT_LIMIT_RATIO is a share of."
    )
    worker_reject_limit_consecutive: int | None = Field(
        None, ge=1, le=100_000, description="Stop with exit status 3 at this many rejected events in a row."
    )

    worker_http_host: Annotated[Host, Flag("--http-host")] = Field(
        "127.0.0.1",
        description="Address of the HTTP server. It serves /livez, /readyz and /metrics; containers use 0.0.0.0.",
    )
    worker_http_port: Annotated[int, Flag("--http-port")] = Field(
        8080, ge=0, le=65535, description="Port of the HTTP server; 0 disables it."
    )
    worker_liveness_window_s: float = Field(
        90,
        ge=11,
        le=86_400,
        description="/livez fails when the loop hangs for this long. That is, it completed no turn, or it reported "
        "success while a partition with lag did not move. Must exceed WORKER_MAX_POLL_INTERVAL_MS and "
        "WORKER_TRANSACTION_TIMEOUT_MS by more than 10 s, because rebalances and transactions may take that long.",
    )
    worker_hold_on_stop: bool = Field(
        default=False,
        description="Stay alive instead of exiting with status 2 or 3. For orchestrators that restart every exited "
        "process: the worker leaves the group, and is not ready until SIGTERM.",
    )
    worker_log_level: Annotated[Literal["debug", "info", "warning", "error"], Flag("--log-level")] = Field(
        "info", description="Lowest level that is logged. debug has one line per batch."
    )

    @property
    def bootstrap_servers(self) -> list[str]:
        """The brokers, one string host:port each."""
        return [server.strip() for server in self.kafka_bootstrap_servers.split(",")]

    @property
    def client_options(self) -> Mapping[str, Value]:
        """The options of KAFKA_CLIENT_CONFIG by their names."""
        return client_options(self.kafka_client_config or "")

    @property
    def client_id(self) -> str:
        """The client id of every Kafka client."""
        return str(self.client_options.get("client.id", CLIENT_ID))

    @property
    def sasl_extensions(self) -> Mapping[str, str]:
        """The extensions of KAFKA_SASL_OAUTH_EXTENSIONS."""
        return {} if self.kafka_sasl_oauth_extensions is None else sasl_extensions(self.kafka_sasl_oauth_extensions)

    @property
    def input_is_avro(self) -> bool:
        """Whether records are in Avro, with a schema registry."""
        return self.worker_input_format.endswith("avro")

    @property
    def rejected_max_bytes(self) -> int:
        """The largest record that the dead-letter topic and the client must accept."""
        return self.worker_event_max_bytes + REJECTED_HEADROOM_BYTES

    @property
    def topics(self) -> tuple[str, ...]:
        """Input, output and rejected topic, and the current topic if there is one."""
        three = (self.worker_input_topic, self.worker_output_topic, self.worker_rejected_topic)
        return three if self.worker_current_topic is None else (*three, self.worker_current_topic)

    @property
    def written_topics(self) -> tuple[str, ...]:
        """Those of the topics that the worker writes to."""
        return self.topics[1:]

    def transactional_id(self, unique: str) -> str:
        """`<group>:<instance>`, or `<group>:<unique>` without an instance id; a prefixed ACL on `<group>:` covers both.

        Neither group nor instance holds a colon, so no two groups share an id.
        """
        return f"{self.worker_group_id}:{self.worker_instance_id or unique}"


def missing_files(settings: Settings, names: Iterable[str]) -> Iterator[Conflict]:
    """Those of these settings that name a file which is not there."""
    for name in names:
        path = getattr(settings, name)
        if isinstance(path, Path) and not path.is_file():
            yield Conflict((name,), f"{name.upper()}: there is no file {path}; give the path of a PEM file")
