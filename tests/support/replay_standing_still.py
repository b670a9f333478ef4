"""`segment-worker replay`, to be killed: `STEP NUMBER` of a transaction stands still in front of it until SIGUSR1."""

from __future__ import annotations

import sys

from tests.support.echo_worker import stand_still_before
from worker.__main__ import main
from worker.kafka.kafka_python.producer import KafkaPythonProducer

if __name__ == "__main__":
    stand_still_before(KafkaPythonProducer, sys.argv[1], int(sys.argv[2]))
    raise SystemExit(main(["replay", *sys.argv[3:]]))
