"""Reading the settings: flags, environment, .env; what is wrong with them; and their rows for help and docs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worker.client_options import MAX_IDLE, client_option_problems
from worker.errors import SettingsError
from worker.input_settings import input_conflicts
from worker.settings import GROUPS, Allowed, Conflict, Flag, Settings, missing_files

LIVENESS_MARGIN_S = 10


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting for help and docs; `default` is empty if there is none."""

    group: str
    field: str
    variable: str
    flag: str | None
    default: str
    allowed: str
    meaning: str

    @property
    def summary(self) -> str:
        """The first sentence of the meaning, without its full stop."""
        return self.meaning.partition(". ")[0].removesuffix(".")


def setting_rows() -> tuple[SettingRow, ...]:
    """Every setting, in the order of the class."""
    rows = []
    group = ""
    for name, info in Settings.model_fields.items():
        group = GROUPS.get(name, group)
        default = "" if info.default is None else str(info.default)
        if info.annotation is bool:
            default = default.lower()
        rows.append(SettingRow(group, name, name.upper(), _flag(name), default, _allowed(name), info.description or ""))
    return tuple(rows)


def _flag(name: str) -> str | None:
    return next((mark.name for mark in Settings.model_fields[name].metadata if isinstance(mark, Flag)), None)


def load_settings(flags: Mapping[str, str]) -> Settings:
    """The settings from the flags, else the environment, else `.env`, else the defaults.

    `flags` maps field names to what was typed. Raises SettingsError: one line for each wrong setting and each
    combination that cannot work, all at once, without secrets.
    """
    settings, error = read_settings(flags)
    if error is not None:
        raise error
    return settings


def read_settings(flags: Mapping[str, str]) -> tuple[Settings, SettingsError | None]:
    """The settings, with defaults in place of wrong ones, and what is wrong."""
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
        reason = f".env cannot be read ({error}); fix it or remove it"
        return Settings(_env_file=None), SettingsError((reason,), frozenset(Settings.model_fields))
    # Conflicts between the right ones are reported too: everything can then be fixed in one go.
    conflicts = [conflict for conflict in _conflicts(settings) if wrong.isdisjoint(conflict.fields)]
    problems += [conflict.text for conflict in conflicts]
    if not problems:
        return settings, None
    fields = wrong.union(*(conflict.fields for conflict in conflicts))
    return settings, SettingsError(tuple(problems), frozenset(fields))


def _problem(name: str, details: list[ErrorDetails], flags: Mapping[str, str]) -> str:
    given, message = next((detail["input"], detail["msg"]) for detail in details if detail["loc"][0] == name)
    expected = f"{name.upper()} ({_origin(name, flags)}): expected {_allowed(name)}; got {_shown(name, given)}"
    # Of all settings, only this one can be wrong in more ways than its form shows.
    return f"{expected}: {message.removeprefix('Value error, ')}" if name == "worker_input_where" else expected


def _origin(name: str, flags: Mapping[str, str]) -> str:
    if name in flags:
        return f"from {_flag(name)}"
    if name.upper() in (variable.upper() for variable in os.environ):
        return "from the environment"
    return "from .env"


def _shown(name: str, given: object) -> str:
    # A secret easily lands in the wrong variable, and people write user and password into an address.
    may_be = ("kafka_sasl", "kafka_ssl_password", "kafka_client_config", "schema_registry")
    if name.startswith(may_be) or "@" in str(given):
        return "another value (hidden: it may be a secret)"
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
        return f"{'an integer' if int in kinds else 'a number'} from {lowest[0]} to {highest[0]}"
    if bool in kinds:
        return "true or false"
    return "a path" if Path in kinds else "text"


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)


def _conflicts(settings: Settings) -> Iterator[Conflict]:
    if len(set(settings.topics)) < len(settings.topics):
        names = ("worker_input_topic", "worker_output_topic", "worker_rejected_topic", "worker_current_topic")
        yield Conflict(
            names,
            f"{', '.join(name.upper() for name in names[: len(settings.topics)])}: two of them name the same topic "
            f"({', '.join(settings.topics)}); give different topics",
        )
    yield from _client_conflicts(settings)
    if settings.worker_max_poll_interval_ms < settings.worker_session_timeout_ms:
        yield Conflict(
            ("worker_max_poll_interval_ms", "worker_session_timeout_ms"),
            f"WORKER_MAX_POLL_INTERVAL_MS ({settings.worker_max_poll_interval_ms}) is below WORKER_SESSION_TIMEOUT_MS "
            f"({settings.worker_session_timeout_ms}); raise the first or lower the second",
        )
    if settings.worker_batch_max_bytes < settings.worker_event_max_bytes:
        yield Conflict(
            ("worker_batch_max_bytes", "worker_event_max_bytes"),
            f"WORKER_BATCH_MAX_BYTES ({settings.worker_batch_max_bytes}) is below WORKER_EVENT_MAX_BYTES "
            f"({settings.worker_event_max_bytes}), and a batch must take the largest event; "
            "raise the first or lower the second",
        )
    yield from input_conflicts(settings)
    yield from _liveness_conflicts(settings)
    yield from _sasl_conflicts(settings)
    yield from _ssl_conflicts(settings)


def _client_conflicts(settings: Settings) -> Iterator[Conflict]:
    problems = [*client_option_problems(settings.kafka_client_config or "")]
    for problem in problems:
        yield Conflict(("kafka_client_config",), f"KAFKA_CLIENT_CONFIG: {problem}")
    idle_ms = None if problems else settings.client_options.get(MAX_IDLE)
    # A member waits in silence for a rebalance, for up to a poll interval, and its connection must not count as idle.
    if isinstance(idle_ms, int) and idle_ms <= settings.worker_max_poll_interval_ms:
        yield Conflict(
            ("kafka_client_config", "worker_max_poll_interval_ms"),
            f"KAFKA_CLIENT_CONFIG: {MAX_IDLE} ({idle_ms}) must be greater than WORKER_MAX_POLL_INTERVAL_MS "
            f"({settings.worker_max_poll_interval_ms}); raise the first or lower the second",
        )


def _liveness_conflicts(settings: Settings) -> Iterator[Conflict]:
    # A rebalance waits for a stuck member for its poll interval, and a commit for as long as its transaction may take:
    # neither is a reason for a restart.
    window_s = settings.worker_liveness_window_s
    for name in ("worker_max_poll_interval_ms", "worker_transaction_timeout_ms"):
        least_s = getattr(settings, name) / 1000 + LIVENESS_MARGIN_S
        if window_s <= least_s:
            yield Conflict(
                ("worker_liveness_window_s", name),
                f"WORKER_LIVENESS_WINDOW_S ({window_s:g}) must be greater than {name.upper()} plus "
                f"{LIVENESS_MARGIN_S} s ({least_s:g}); raise the first or lower the second",
            )


def _given(settings: Settings, *names: str) -> list[str]:
    return [name for name in names if getattr(settings, name) is not None]


def _sasl_conflicts(settings: Settings) -> Iterator[Conflict]:
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    password = ("kafka_sasl_username", "kafka_sasl_password")
    token = ("kafka_sasl_oauth_token_url", "kafka_sasl_oauth_client_id", "kafka_sasl_oauth_client_secret")
    may_be_given = ("kafka_sasl_oauth_scope", "kafka_sasl_oauth_extensions")
    both = ("kafka_security_protocol", "kafka_sasl_mechanism")
    if protocol in {"PLAINTEXT", "SSL"}:
        instead = "SASL_SSL" if protocol == "SSL" else "SASL_SSL or SASL_PLAINTEXT"
        for name in _given(settings, "kafka_sasl_mechanism", *password, *token, *may_be_given):
            yield Conflict(
                ("kafka_security_protocol", name),
                f"{name.upper()} is given, but KAFKA_SECURITY_PROTOCOL={protocol} does not authenticate; "
                f"set that to {instead}, or remove {name.upper()}",
            )
        return
    if mechanism is None:
        yield Conflict(
            both,
            f"KAFKA_SASL_MECHANISM is missing, and KAFKA_SECURITY_PROTOCOL={protocol} needs it; "
            f"give {_allowed('kafka_sasl_mechanism')}",
        )
        return
    needed, foreign = (token, password) if mechanism == "OAUTHBEARER" else (password, (*token, *may_be_given))
    for name in needed:
        if getattr(settings, name) is None:
            yield Conflict(
                (*both, name), f"{name.upper()} is missing, and KAFKA_SASL_MECHANISM={mechanism} needs it; give it"
            )
    for name in _given(settings, *foreign):
        yield Conflict(
            (*both, name), f"{name.upper()} is given, but KAFKA_SASL_MECHANISM={mechanism} does not use it; remove it"
        )


def _ssl_conflicts(settings: Settings) -> Iterator[Conflict]:
    protocol = settings.kafka_security_protocol
    given = _given(settings, "kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile", "kafka_ssl_password")
    if protocol not in {"SSL", "SASL_SSL"}:
        instead = "SSL" if protocol == "PLAINTEXT" else "SASL_SSL"
        for name in given:
            yield Conflict(
                ("kafka_security_protocol", name),
                f"{name.upper()} is given, but KAFKA_SECURITY_PROTOCOL={protocol} does not encrypt; "
                f"set that to {instead}, or remove {name.upper()}",
            )
        return
    yield from missing_files(settings, given)
    if settings.kafka_ssl_certfile is None:
        for name in _given(settings, "kafka_ssl_keyfile", "kafka_ssl_password"):
            yield Conflict(
                ("kafka_ssl_certfile", name),
                f"{name.upper()} is given without KAFKA_SSL_CERTFILE; give the certificate that the key belongs to",
            )
