"""Three workers and their broker under a short list of faults, on a real Kafka behind a proxy."""

import sys
from pathlib import Path

import pytest

from tests.chaos.crew import Crew
from tests.chaos.plan import HASTY_MS, LARGE_BATCH, Worker, short_plan
from tests.chaos.run import behind_a_proxy, clean_environment, run
from tests.chaos.sockets import connections_of
from tests.support.brokers import Program, Programs, wait_until
from tests.support.worker_site import worker_site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which process has a connection")


@pytest.mark.long
def test_no_input_is_lost_or_doubled_or_out_of_order_whatever_happens_to_workers_connections_and_broker(
    tmp_path: Path,
) -> None:
    plan = short_plan()
    result = run(plan, seed=0, events=3_000, directory=tmp_path, tell=print)
    assert [*result.verdict.lines()] == [], f"logs of broker and workers: {tmp_path}"
    assert result.verdict.inputs >= 3_000
    assert result.injected.total() == len(plan.faults)


def test_all_connections_of_a_worker_go_through_the_proxy_and_one_that_does_not_is_seen(tmp_path: Path) -> None:
    programs = Programs(tmp_path, clean_environment())
    with behind_a_proxy(tmp_path / "broker") as (broker, proxy):
        site = worker_site(programs, proxy.address, "bypass", tmp_path)
        site.create_topics()
        site.publish_model()
        addresses = {"through": proxy.address, "past": broker.bootstrap_servers}

        def start(worker: Worker) -> Program:
            at = addresses[worker.instance_id or ""]
            return site.start(
                KAFKA_BOOTSTRAP_SERVERS=at, WORKER_HTTP_PORT="0", WORKER_INSTANCE_ID=worker.instance_id or ""
            )

        try:
            crew = Crew(start, proxy.port)
            through, past = (crew.post(Worker(name, HASTY_MS, LARGE_BATCH)).member for name in addresses)
            assert through is not None
            assert past is not None
            for member in (through, past):
                member.program.wait_for_log('"started"')
            # Consumer and producer, each to where it began and to where the broker sends it.
            wait_until(lambda: len(connections_of(through.program.pid)) > 1, "connections of a consumer and a producer")
            assert {one.remote_port for one in connections_of(through.program.pid)} == {proxy.port}
            at_broker = connections_of(broker.pid)
            real_port = int(broker.addresses["WORKERS"].rpartition(":")[2])
            wait_until(
                lambda: (
                    {one.remote_port for one in connections_of(broker.pid) if one.local_port == real_port}
                    == proxy.source_ports()
                ),
                "the broker to see there the connections of the proxy, and no other",
            )
            assert at_broker
            crew.look_for_bypasses()
            port = int(broker.bootstrap_servers.rpartition(":")[2])
            assert crew.bypasses == {f"{past.name} is connected to port {port}"}
        finally:
            programs.end_all()
