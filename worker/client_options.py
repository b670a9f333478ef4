"""Settings that are lists of name=value: KAFKA_CLIENT_CONFIG and KAFKA_SASL_OAUTH_EXTENSIONS.

The options of KAFKA_CLIENT_CONFIG have Kafka's own names. Only those are taken that change neither what is delivered
nor how a client logs in; worker.kafka.config and worker.kafka.confluent.config translate them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

CLIENT_ID: Final = "segment-worker"
"""The client id unless another one is set; workers recognize each other in the group by it."""

MAX_IDLE: Final = "connections.max.idle.ms"

Value = str | int

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")
_BUFFER: Final = range(1024, 100_000_001)
_SAFE: Final[Mapping[str, re.Pattern[str] | tuple[str, ...] | range]] = {
    "client.id": _NAME,
    "client.rack": _NAME,
    "client.dns.lookup": ("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"),
    MAX_IDLE: range(120_000, 86_400_001),
    "metadata.max.age.ms": range(1_000, 900_001),
    "reconnect.backoff.ms": range(1, 1_001),
    "reconnect.backoff.max.ms": range(1_000, 60_001),
    "receive.buffer.bytes": _BUFFER,
    "send.buffer.bytes": _BUFFER,
}
SAFE_NAMES: Final = tuple(_SAFE)
_OPTION_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{1,60}")
# RFC 7628, 3.1; brokers refuse the name `auth`, which is that of the token, and an empty value.
_EXTENSION: Final = re.compile(r"(?!auth=)[A-Za-z]{1,100}=[ -~]{1,1000}")


def client_options(text: str) -> Mapping[str, Value]:
    """The options in a list `name=value,…` without problems; numbers as int."""
    pairs = (item.split("=", 1) for item in _items(text))
    return {name: int(value) if isinstance(_SAFE[name], range) else value for name, value in pairs}


def client_option_problems(text: str) -> Iterator[str]:
    """What is wrong with such a list, one line per item; values, which may be secrets, are not repeated."""
    seen: set[str] = set()
    for number, item in enumerate(_items(text), 1):
        name, separator, value = item.partition("=")
        if not separator or not _OPTION_NAME.fullmatch(name):
            yield f"item {number} is not name=value; give name=value, several separated by commas"
        elif name not in _SAFE:
            yield f"{name} cannot be set here; these can: {', '.join(SAFE_NAMES)}"
        elif name in seen:
            yield f"{name} is given twice; give it once"
        elif not _is_allowed(name, value):
            yield f"{name}: expected {_allowed(name)}"
        seen.add(name)


def is_segment_worker(client_id: str, own: str) -> bool:
    """Whether a member with this client id is a worker like the one with the client id `own`."""
    return client_id in {own, CLIENT_ID} or client_id.startswith(f"{CLIENT_ID}-")


def sasl_extensions(text: str) -> Mapping[str, str]:
    """The extensions in a list `name=value,…`; raises ValueError for what RFC 7628 does not allow."""
    items = _items(text)
    pairs = dict(item.split("=", 1) for item in items if _EXTENSION.fullmatch(item))
    if not items or len(pairs) < len(items):
        raise ValueError("not a list of extensions")
    return pairs


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _is_allowed(name: str, value: str) -> bool:
    allowed = _SAFE[name]
    if isinstance(allowed, range):
        return value.isascii() and value.isdecimal() and int(value[:20]) in allowed
    return value in allowed if isinstance(allowed, tuple) else bool(allowed.fullmatch(value))


def _allowed(name: str) -> str:
    allowed = _SAFE[name]
    if isinstance(allowed, range):
        return f"an integer from {allowed.start} to {allowed.stop - 1}"
    if isinstance(allowed, tuple):
        return f"one of {', '.join(allowed)}"
    return "1 to 200 letters, digits, dots, underscores and hyphens"
