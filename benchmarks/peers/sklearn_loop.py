"""The usual loop of tutorials: kafka-python, one event at a time, the fitted scikit-learn objects, offsets by timer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
from kafka import KafkaConsumer, KafkaProducer

from benchmarks.peers.job import BOOTSTRAP_SERVERS, GROUP, INPUT, Incoming, Job
from models.segmentation import Segmentation
from schemas import UserProfile


class ScikitLearn:
    """scaler.joblib and kmeans.joblib of the model's version."""

    def __init__(self, segmentation: Segmentation) -> None:
        version = Path(os.environ["BENCHMARK_MODEL"])
        self._scaler = joblib.load(version / "scaler.joblib")
        self._kmeans = joblib.load(version / "kmeans.joblib")
        self._encoder = segmentation.encoder
        self._segments = segmentation.segments

    def assign(self, profile: UserProfile) -> tuple[int, float, float, bool, Sequence[str], Sequence[str]]:
        """Segment, distance, margin, whether it is an outlier, and the fields that are unknown or out of range."""
        encoded = self._encoder.encode(
            {column.name: [getattr(profile, column.name)] for column in self._encoder.columns}
        )
        (distances,) = self._kmeans.transform(self._scaler.transform(encoded.matrix))
        segment = self._segments[int(distances.argmin())]
        first, second = np.partition(distances, 1)[:2].tolist()
        return (
            segment.number,
            round(first, 6),
            round(1 - first / second, 6),
            first > segment.outlier_distance or bool(encoded.out_of_range),
            encoded.unknown.get(0, ()),
            [*encoded.out_of_range],
        )


def main() -> None:
    """Run until killed."""
    job = Job.from_environment("scikit-learn-loop", ScikitLearn)
    consumer = KafkaConsumer(INPUT, bootstrap_servers=BOOTSTRAP_SERVERS, group_id=GROUP, auto_offset_reset="earliest")
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP_SERVERS)
    for message in consumer:
        record = Incoming(message.partition, message.offset, message.timestamp, message.key, message.value)
        topic, key, value, headers = job.one(record)
        producer.send(topic, value, key, headers)


if __name__ == "__main__":
    main()
