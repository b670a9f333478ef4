"""Settings: where they come from, which are refused, and how problems are reported."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from schemas.misspelt_settings import Misspelt, misspelt_settings
from worker.client_options import SAFE_NAMES
from worker.errors import SettingsError
from worker.settings import Settings
from worker.settings_loading import load_settings, read_settings, setting_rows

OAUTH = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "OAUTHBEARER",
    "kafka_sasl_oauth_token_url": "https://idp/token",
    "kafka_sasl_oauth_client_id": "me",
    "kafka_sasl_oauth_client_secret": "secret",
}


def problems(flags: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags or {})
    return caught.value.problems


def test_every_setting_has_a_default() -> None:
    assert load_settings({}) == Settings.model_construct()


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("WORKER_GROUP_ID=file\nWORKER_INPUT_TOPIC=file\nMODEL_ALIAS=file\n")
    monkeypatch.setenv("WORKER_GROUP_ID", "environment")
    monkeypatch.setenv("WORKER_INPUT_TOPIC", "environment")
    settings = load_settings({"worker_group_id": "flag"})
    assert settings.worker_group_id == "flag"
    assert settings.worker_input_topic == "environment"
    assert settings.model_alias == "file"
    assert settings.worker_output_topic == "user-segments"


def test_an_empty_variable_is_one_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_INSTANCE_ID", "")
    monkeypatch.setenv("WORKER_HTTP_PORT", "")
    settings = load_settings({})
    assert settings.worker_instance_id is None
    assert settings.worker_http_port == Settings.model_fields["worker_http_port"].default


def test_what_is_no_setting_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HISTORY_FILE=x.csv\n")
    monkeypatch.setenv("KAFKA_PORT", "tcp://10.0.0.1:9092")
    assert load_settings({}) == Settings()
    assert misspelt_settings(Settings) == ()


def test_a_misspelt_setting_is_named_with_the_one_it_nearly_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WORKER_BATCH_MAX_EVENT=5\n")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVER", "kafka:9092")
    assert misspelt_settings(Settings) == (
        Misspelt("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        Misspelt("WORKER_BATCH_MAX_EVENT", "WORKER_BATCH_MAX_EVENTS"),
    )


@pytest.mark.parametrize(
    ("field", "given", "allowed"),
    [
        ("worker_batch_max_events", "0", "an integer from 1 to 100000"),
        ("worker_batch_max_events", "many", "an integer from 1 to 100000"),
        ("worker_batch_max_events", "1.5", "an integer from 1 to 100000"),
        ("worker_http_port", "65536", "an integer from 0 to 65535"),
        ("worker_broker_wait_s", "nan", "a number from 0 to 86400"),
        ("worker_start_at", "newest", "one of earliest, latest"),
        ("worker_on_offset_out_of_range", "latest", "one of stop, earliest"),
        ("worker_hold_on_stop", "perhaps", "true or false"),
        ("kafka_security_protocol", "TLS", "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("kafka_bootstrap_servers", "kafka", "host:port, several separated by commas"),
        ("kafka_bootstrap_servers", "kafka:9092,", "host:port, several separated by commas"),
        ("kafka_bootstrap_servers", "http://kafka:9092", "host:port, several separated by commas"),
        ("kafka_bootstrap_servers", "kafka:0", "host:port, several separated by commas"),
        ("worker_input_topic", "a topic", "1 to 249 letters, digits, dots, underscores and hyphens"),
        ("worker_input_topic", "..", "1 to 249 letters, digits, dots, underscores and hyphens"),
        ("worker_group_id", "two words", "1 to 200 printable characters without spaces or colons"),
        ("worker_instance_id", "a/b", "1 to 200 letters, digits, dots, underscores and hyphens"),
        ("models_dir", "s3://bucket/models", "the path of a local directory, not a URL"),
        ("model_alias", "a.b", "1 to 64 letters, digits, underscores and hyphens"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, field: str, given: str, allowed: str
) -> None:
    monkeypatch.setenv(field.upper(), given)
    assert problems() == (f"{field.upper()} (from the environment): expected {allowed}; got {given!r}",)


def test_a_wrong_value_is_named_with_the_place_it_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WORKER_HTTP_PORT=x\n")
    monkeypatch.setenv("WORKER_BATCH_MAX_BYTES", "x")
    found = problems({"worker_start_at": "x"})
    assert found[0].startswith("WORKER_START_AT (from --start-at): ")
    assert found[1].startswith("WORKER_BATCH_MAX_BYTES (from the environment): ")
    assert found[2].startswith("WORKER_HTTP_PORT (from .env): ")


def test_several_brokers_may_be_named() -> None:
    settings = load_settings({"kafka_bootstrap_servers": "a:9092, [::1]:9093"})
    assert settings.bootstrap_servers == ["a:9092", "[::1]:9093"]


def test_all_wrong_settings_are_named_at_once_conflicts_included() -> None:
    found = problems({"worker_http_port": "x", "worker_start_at": "x", "worker_output_topic": "user-activity"})
    assert [line.split(" ")[0] for line in found] == ["WORKER_START_AT", "WORKER_HTTP_PORT", "WORKER_INPUT_TOPIC,"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("client.id=a, sasl.password=hunter2", ["sasl.password", *SAFE_NAMES]),
        ("isolation.level=read_uncommitted,enable.idempotence=false", ["isolation.level", *SAFE_NAMES]),
        ("client_id=a", ["client_id", *SAFE_NAMES]),
        ("client.rack=a,client.rack=b", ["client.rack"]),
        ("hunter2", ["item 1", "name=value"]),
        ("client.id=two words", ["client.id", "1 to 200 letters"]),
        ("client.dns.lookup=hunter2", ["client.dns.lookup", "use_all_dns_ips"]),
        ("connections.max.idle.ms=60000", ["connections.max.idle.ms", "120000"]),
        ("metadata.max.age.ms=-1", ["metadata.max.age.ms", "1000"]),
        (f"send.buffer.bytes={'9' * 5_000}", ["send.buffer.bytes", "1024"]),
    ],
)
def test_an_option_that_may_not_be_passed_on_is_named_with_those_that_may(given: str, named: list[str]) -> None:
    found = problems({"kafka_client_config": given})
    assert found[0].startswith("KAFKA_CLIENT_CONFIG: ")
    assert all(word in found[0] for word in named)
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize("given", ["a", "auth=x", "a-b=c", "a=", "a=b,,=c", "a=\x01", "a=ü"])
def test_an_extension_that_rfc_7628_does_not_allow_is_refused_and_not_repeated(given: str) -> None:
    (line,) = problems(OAUTH | {"kafka_sasl_oauth_extensions": given})
    assert line.startswith("KAFKA_SASL_OAUTH_EXTENSIONS (")
    assert "(hidden: it may be a secret)" in line


def test_extensions_are_for_oauthbearer_only() -> None:
    assert load_settings(OAUTH | {"kafka_sasl_oauth_extensions": "a=b c, d=e=f"}).sasl_extensions == {
        "a": "b c",
        "d": "e=f",
    }
    (line,) = problems({"kafka_sasl_oauth_extensions": "a=b"})
    assert line.startswith("KAFKA_SASL_OAUTH_EXTENSIONS is given, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"WORKER_GROUP_ID=\xff\xfe\n")
    (line,) = problems()
    assert line.startswith(".env cannot be read (")
    assert misspelt_settings(Settings) == ()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            {"worker_rejected_topic": "user-activity"},
            (
                "WORKER_INPUT_TOPIC, WORKER_OUTPUT_TOPIC, WORKER_REJECTED_TOPIC: two of them name the same topic "
                "(user-activity, user-segments, user-activity); give different topics"
            ),
        ),
        (
            {"worker_current_topic": "user-segments"},
            (
                "WORKER_INPUT_TOPIC, WORKER_OUTPUT_TOPIC, WORKER_REJECTED_TOPIC, WORKER_CURRENT_TOPIC: two of them "
                "name the same topic (user-activity, user-segments, user-activity-rejected, user-segments); give "
                "different topics"
            ),
        ),
        (
            {"worker_max_poll_interval_ms": "9999"},
            (
                "WORKER_MAX_POLL_INTERVAL_MS (9999) is below WORKER_SESSION_TIMEOUT_MS (10000); "
                "raise the first or lower the second"
            ),
        ),
        (
            {
                "kafka_client_config": "connections.max.idle.ms=3600000",
                "worker_max_poll_interval_ms": "3600000",
                "worker_liveness_window_s": "4000",
            },
            (
                "KAFKA_CLIENT_CONFIG: connections.max.idle.ms (3600000) must be greater than "
                "WORKER_MAX_POLL_INTERVAL_MS (3600000); raise the first or lower the second"
            ),
        ),
        (
            {"worker_liveness_window_s": "70"},
            (
                "WORKER_LIVENESS_WINDOW_S (70) must be greater than WORKER_MAX_POLL_INTERVAL_MS plus 10 s (70); "
                "raise the first or lower the second"
            ),
        ),
        (
            {"worker_transaction_timeout_ms": "80000"},
            (
                "WORKER_LIVENESS_WINDOW_S (90) must be greater than WORKER_TRANSACTION_TIMEOUT_MS plus 10 s (90); "
                "raise the first or lower the second"
            ),
        ),
        (
            {"worker_batch_max_bytes": "899999"},
            (
                "WORKER_BATCH_MAX_BYTES (899999) is below WORKER_EVENT_MAX_BYTES (900000), and a batch must take the "
                "largest event; raise the first or lower the second"
            ),
        ),
        (
            {"kafka_sasl_username": "u"},
            (
                "KAFKA_SASL_USERNAME is given, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not authenticate; "
                "set that to SASL_SSL or SASL_PLAINTEXT, or remove KAFKA_SASL_USERNAME"
            ),
        ),
        (
            {"kafka_security_protocol": "SASL_SSL"},
            (
                "KAFKA_SASL_MECHANISM is missing, and KAFKA_SECURITY_PROTOCOL=SASL_SSL needs it; "
                "give one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"
            ),
        ),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN", "kafka_sasl_username": "u"},
            "KAFKA_SASL_PASSWORD is missing, and KAFKA_SASL_MECHANISM=PLAIN needs it; give it",
        ),
        (
            {
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": "SCRAM-SHA-512",
                "kafka_sasl_username": "u",
                "kafka_sasl_password": "p",
                "kafka_sasl_oauth_scope": "s",
            },
            "KAFKA_SASL_OAUTH_SCOPE is given, but KAFKA_SASL_MECHANISM=SCRAM-SHA-512 does not use it; remove it",
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "nowhere.pem"},
            "KAFKA_SSL_CAFILE: there is no file nowhere.pem; give the path of a PEM file",
        ),
        (
            {"kafka_ssl_password": "p"},
            (
                "KAFKA_SSL_PASSWORD is given, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not encrypt; "
                "set that to SSL, or remove KAFKA_SSL_PASSWORD"
            ),
        ),
        (
            {"kafka_security_protocol": "SSL", "kafka_ssl_password": "p"},
            "KAFKA_SSL_PASSWORD is given without KAFKA_SSL_CERTFILE; give the certificate that the key belongs to",
        ),
    ],
)
def test_settings_that_cannot_work_together_are_named(flags: dict[str, str], line: str) -> None:
    assert problems(flags) == (line,)


def test_oauthbearer_names_each_part_it_lacks() -> None:
    found = problems({"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"})
    assert [line.split(" ")[0] for line in found] == [
        "KAFKA_SASL_OAUTH_TOKEN_URL",
        "KAFKA_SASL_OAUTH_CLIENT_ID",
        "KAFKA_SASL_OAUTH_CLIENT_SECRET",
    ]


def test_a_conflict_with_a_wrong_setting_is_not_reported_too() -> None:
    (line,) = problems({"kafka_security_protocol": "wrong", "kafka_sasl_username": "u"})
    assert line.startswith("KAFKA_SECURITY_PROTOCOL (from --security-protocol)")


SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    "flags",
    [
        {"kafka_sasl_oauth_token_url": f"https://me:{SECRET}@idp/token"},
        {"kafka_sasl_oauth_token_url": f"https://idp/token?code={SECRET}"},
        {"kafka_sasl_oauth_token_url": f"https://idp/token#{SECRET}"},
        {"kafka_bootstrap_servers": f"kafka://me:{SECRET}@broker"},
        {"kafka_sasl_mechanism": SECRET},
        {"kafka_sasl_password": SECRET},
        {"kafka_security_protocol": "SSL", "kafka_ssl_password": SECRET},
    ],
)
def test_no_secret_is_in_a_problem(flags: dict[str, str]) -> None:
    assert SECRET not in "\n".join(problems(flags))


@pytest.mark.parametrize("secret_part", ["?code=", "#"])
def test_a_token_url_that_could_hold_a_secret_is_refused(secret_part: str) -> None:
    found = problems({"kafka_sasl_oauth_token_url": f"https://idp/token{secret_part}{SECRET}"})
    assert any("KAFKA_SASL_OAUTH_TOKEN_URL" in line and "without a user name, a ? or a #" in line for line in found)


def test_no_secret_is_in_the_settings_shown() -> None:
    settings = load_settings(
        {
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_sasl_username": "u",
            "kafka_sasl_password": SECRET,
        }
    )
    assert settings.kafka_sasl_password == SecretStr(SECRET)
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_reader_that_continues_gets_defaults_for_the_wrong_ones_and_the_rest_as_given() -> None:
    settings, wrong = read_settings({"worker_http_port": "x", "worker_group_id": "mine"})
    assert (settings.worker_http_port, settings.worker_group_id) == (8080, "mine")
    assert wrong is not None
    assert wrong.fields == {"worker_http_port"}


def test_the_transactional_id_begins_with_the_group_so_that_one_prefixed_acl_covers_it() -> None:
    static = load_settings({"worker_group_id": "g", "worker_instance_id": "one"})
    assert static.transactional_id("made-up") == "g:one"
    assert load_settings({"worker_group_id": "g"}).transactional_id("made-up") == "g:made-up"


def test_no_two_groups_share_a_transactional_id() -> None:
    one = load_settings({"worker_group_id": "segments", "worker_instance_id": "eu-worker-0"})
    other = load_settings({"worker_group_id": "segments-eu", "worker_instance_id": "worker-0"})
    assert one.transactional_id("made-up") != other.transactional_id("made-up")
    assert not other.transactional_id("made-up").startswith("segments:")


@pytest.mark.parametrize("setting", ["worker_group_id", "worker_instance_id"])
def test_what_separates_group_and_instance_is_in_neither(setting: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({setting: "segments:eu"})
    assert raised.value.fields == {setting}


def test_a_rejected_record_may_take_64_kib_more_than_an_event() -> None:
    assert load_settings({"worker_event_max_bytes": "1000"}).rejected_max_bytes == 1000 + 65536


def test_each_setting_says_what_it_means_and_no_secret_has_a_flag() -> None:
    rows = setting_rows()
    assert all(row.meaning.endswith(".") and row.allowed for row in rows)
    secrets = {"KAFKA_SSL_PASSWORD", "KAFKA_SASL_PASSWORD", "KAFKA_SASL_OAUTH_CLIENT_SECRET"}
    assert {row.variable for row in rows if row.flag is None} >= secrets
    assert len({row.flag for row in rows if row.flag}) == sum(1 for row in rows if row.flag)
