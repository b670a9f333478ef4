"""A worker that is far behind holds no more than one that is not."""

from pathlib import Path

import pytest

from benchmarks.load import fill, templates
from benchmarks.process import memory_mb
from tests.support.brokers import Programs, TestBroker, wait_until
from tests.support.worker_site import worker_site

EVENTS = 50_000
GROWTH_MB = 25


@pytest.mark.long
def test_memory_does_not_grow_with_the_backlog(broker: TestBroker, programs: Programs, tmp_path: Path) -> None:
    # Were each event or each result kept, it would be 40 MB more at the end; what the client reads ahead varies by 10.
    site = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("backlog"), tmp_path)
    site.create_topics()
    site.publish_model()
    fill(broker.bootstrap_servers, site.input, EVENTS, templates(bad_share=0))
    worker = site.start_ready()
    wait_until(lambda: sum(site.committed().values()) > EVENTS / 10, "a tenth of the backlog to be done")
    early_mb = memory_mb(worker.pid)["VmHWM"]
    wait_until(lambda: sum(site.committed().values()) == EVENTS, "the backlog to be done")
    late_mb = memory_mb(worker.pid)["VmHWM"]
    assert worker.stop() == 0
    print(f"{early_mb:.0f} MB at the most until a tenth was done, {late_mb:.0f} MB until the end")
    assert late_mb < early_mb + GROWTH_MB
