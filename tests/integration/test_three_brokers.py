"""One broker of three is away: the others lead, and both clients have to notice."""

import json
from contextlib import ExitStack

import pytest
from kafka.admin import NewTopic
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from tests.support.brokers import Programs
from tests.support.kafka_world import KafkaWorld, both_clients
from tests.support.three_brokers import three_brokers
from tests.support.transport_contract import until
from worker.kafka.clients import consumer_client
from worker.kafka.config import connection_arguments
from worker.kafka.ports import ConsumerClient

pytestmark = pytest.mark.long


@both_clients
def test_brokers_that_restart_one_after_another_cost_nothing(client: str, programs: Programs) -> None:
    with three_brokers() as brokers:
        servers = ",".join(broker.bootstrap_servers for broker in brokers)
        with KafkaWorld(servers, client=client, copies=3) as kafka:
            # The first of them coordinates the group, then that one of the others which did not restart last.
            second_first = {0: [2, 3, 1]}
            kafka.admin.create_topics([NewTopic("__consumer_offsets", replica_assignments=second_first)])
            settings = kafka.settings().model_dump(mode="json", exclude_defaults=True)
            worker = programs.start("tests.support.echo_worker", json.dumps(settings), "worker")
            sent = 0
            for broker in brokers[1:]:
                for restart in (broker.stop, broker.start):
                    restart()
                    for _ in range(5):
                        kafka.send(b"%d" % sent)
                        sent += 1
                        until(lambda: len(kafka.values(kafka.output)) == sent or None)  # noqa: B023  # at once
            assert worker.stop() == 0
            assert sorted(int(value.partition(b"|")[0]) for value in kafka.values(kafka.output)) == list(range(sent))


# kafka-python learns from a member's heartbeats, which these do not send, that its coordinator is away.
def test_what_is_committed_is_known_while_a_broker_is_away() -> None:
    with three_brokers() as brokers, ExitStack() as closing:
        servers = ",".join(broker.bootstrap_servers for broker in brokers)
        with KafkaWorld(servers, client="confluent", copies=3) as kafka:
            settings = kafka.settings()
            # Each of them takes one of the three for the controller, any one.
            consumers = [consumer_client(settings, connection_arguments(settings)) for _ in range(8)]
            for consumer in consumers:
                closing.callback(consumer.close)

            def ask(consumer: ConsumerClient) -> bool | None:
                try:
                    return consumer.committed([TopicPartition(kafka.input, 0)], 2_000) == {}
                except KafkaError:
                    return None

            for consumer in consumers:
                until(lambda: ask(consumer))  # noqa: B023  # at once
            brokers[1].stop()
            for consumer in consumers:
                until(lambda: ask(consumer))  # noqa: B023  # at once
