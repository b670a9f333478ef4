"""Faust, at least once: an agent that takes batches of events and acknowledges them when their results are stored.

Its setting for exactly once wrote no transaction markers when it was tried.
"""

from __future__ import annotations

import asyncio
import os

import faust
from faust.cli.faust import cli

from benchmarks.peers.job import BOOTSTRAP_SERVERS, GROUP, INPUT, OUTPUT, REJECTED, Incoming, Job

BATCH = 1_000

job = Job.from_environment("faust")
app = faust.App(
    GROUP,
    broker=f"kafka://{BOOTSTRAP_SERVERS}",
    store="memory://",
    datadir=os.environ["SCRATCH"],
    topic_disable_leader=True,
    topic_allow_declare=False,
    consumer_auto_offset_reset="earliest",
    stream_buffer_maxsize=16_384,
    producer_linger=0.005,
    producer_max_batch_size=1_000_000,
    web_enabled=False,
)
raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
events = app.topic(INPUT, **raw)
topics = {name: app.topic(name, **raw) for name in (OUTPUT, REJECTED)}


@app.agent(events)  # type: ignore[untyped-decorator]  # its package is not installed where types are checked
async def assign(stream: faust.StreamT[bytes]) -> None:
    """Process batches, each of what came within 10 ms."""
    async for batch in stream.take_events(BATCH, within=0.01):
        messages = [event.message for event in batch]
        records = [
            Incoming(message.partition, message.offset, int(message.timestamp * 1000), message.key, message.value)
            for message in messages
        ]
        sent = [
            await topics[topic].send(key=key, value=value, headers=headers)
            for topic, key, value, headers in job.batch(records)
        ]
        await asyncio.gather(*sent)


if __name__ == "__main__":
    cli(["-A", "benchmarks.peers.faust_app", "worker", "-l", "warn", "--without-web"])
