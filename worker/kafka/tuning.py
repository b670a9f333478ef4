"""What both Kafka clients are set to, whatever they call it."""

from __future__ import annotations

from typing import Final

# What a consumer holds ahead is bounded by these, whatever the backlog; a larger record still comes through, alone.
FETCH_BYTES: Final = 8 * 1024 * 1024
PARTITION_FETCH_BYTES: Final = 1024 * 1024
METADATA_MAX_AGE_MS: Final = 60_000
RECONNECT_BACKOFF_MAX_MS: Final = 1_000
# A member learns from its heartbeat that the group rebalances, and all others wait for it.
HEARTBEAT_MS: Final = 1_000
# Sending begins at the flush, so that a transaction is one batch per partition.
LINGER_MS: Final = 200
# Half of the brokers' default limit, beyond which they refuse a batch. With smaller ones a transaction needs more
# requests than may be in flight, and librdkafka waits for their turn in a busy loop.
BATCH_BYTES: Final = 512 * 1024
RECORD_OVERHEAD_BYTES: Final = 1024
REQUEST_BYTES: Final = 1024 * 1024
