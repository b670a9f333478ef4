"""Faust, at least once: an agent that sends the result of each event.

Its setting for exactly once wrote no transaction markers when it was tried.
"""

from __future__ import annotations

import os

import faust
from faust.cli.faust import cli

from benchmarks.peers.job import BOOTSTRAP_SERVERS, GROUP, INPUT, OUTPUT, REJECTED, Incoming, Job

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
    """Process events one by one, as agents do: `take_events` stood still at low rates when it was tried."""
    async for event in stream.events():
        message = event.message
        record = Incoming(message.partition, message.offset, int(message.timestamp * 1000), message.key, message.value)
        topic, key, value, headers = job.one(record)
        await topics[topic].send(key=key, value=value, headers=headers)


if __name__ == "__main__":
    cli(["-A", "benchmarks.peers.faust_app", "worker", "-l", "warn", "--without-web"])
