"""check: findings from the facts about a cluster, and how they are printed."""

import dataclasses
import json

import pytest

from worker.client_options import CLIENT_ID
from worker.cluster_rules import Finding, Weight, judge_cluster, problems
from worker.kafka.facts import Absent, ClusterFacts, GroupFacts, Member, TopicFacts
from worker.kafka.tuning import BATCH_BYTES
from worker.settings import Settings
from worker.tools.check.output import as_json, as_text

CONFIGS = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.after.max.ms": "3600000",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "2",
}
TOPIC = TopicFacts(4, (), 3, frozenset({"READ", "WRITE", "DESCRIBE"}), CONFIGS)
GROUP = GroupFacts(frozenset({"READ", "DESCRIBE"}), ())
INPUT, OUTPUT, REJECTED = "user-activity", "user-segments", "user-activity-rejected"
GOOD = ClusterFacts(
    "cluster",
    3,
    {INPUT: TOPIC, OUTPUT: TOPIC, REJECTED: TOPIC},
    GROUP,
    transactional_id_visible=True,
    broker_configs={
        "transaction.max.timeout.ms": "900000",
        "group.min.session.timeout.ms": "6000",
        "group.max.session.timeout.ms": "1800000",
    },
)
SETTINGS = Settings()


def with_topic(name: str, **changed: object) -> ClusterFacts:
    topic = dataclasses.replace(TOPIC, **changed)  # type: ignore[arg-type]
    return dataclasses.replace(GOOD, topics={**GOOD.topics, name: topic})


def with_config(name: str, **changed: str) -> ClusterFacts:
    return with_topic(name, configs=CONFIGS | {key.replace("_", "."): value for key, value in changed.items()})


def findings(facts: ClusterFacts, settings: Settings = SETTINGS) -> list[Finding]:
    """All findings except the fine ones."""
    return [each for each in judge_cluster(facts, settings) if each.weight is not Weight.FINE]


def only(facts: ClusterFacts, settings: Settings = SETTINGS) -> tuple[Weight, str]:
    (finding,) = findings(facts, settings)
    return finding.weight, finding.line


def test_a_cluster_with_everything_as_required_is_fine_in_every_line() -> None:
    judged = judge_cluster(GOOD, SETTINGS)
    assert {each.weight for each in judged} == {Weight.FINE}
    assert [each.where for each in judged] == [
        "brokers",
        f"topic {INPUT}",
        f"topic {OUTPUT}",
        f"topic {REJECTED}",
        "group segment-worker",
        "transactional id segment-worker:…",
    ]


@pytest.mark.parametrize(
    ("name", "setting"),
    [(INPUT, "WORKER_INPUT_TOPIC"), (OUTPUT, "WORKER_OUTPUT_TOPIC"), (REJECTED, "WORKER_REJECTED_TOPIC")],
)
def test_a_missing_topic_is_a_problem_that_names_its_setting(name: str, setting: str) -> None:
    facts = dataclasses.replace(GOOD, topics={**GOOD.topics, name: Absent.MISSING})
    weight, line = only(facts)
    assert weight is Weight.PROBLEM
    assert line.startswith(f"topic {name}: does not exist;")
    assert setting in line
    assert "--create-topics" in line


def test_a_hidden_topic_may_be_missing_or_forbidden() -> None:
    facts = dataclasses.replace(GOOD, topics={**GOOD.topics, OUTPUT: Absent.HIDDEN})
    weight, line = only(facts)
    assert weight is Weight.PROBLEM
    assert "grant WRITE on it" in line


@pytest.mark.parametrize(("name", "needed"), [(INPUT, "READ"), (OUTPUT, "WRITE"), (REJECTED, "WRITE")])
def test_each_topic_needs_its_own_right(name: str, needed: str) -> None:
    facts = with_topic(name, operations=frozenset({"READ", "WRITE", "DESCRIBE"} - {needed}))
    weight, line = only(facts)
    assert weight is Weight.PROBLEM
    assert line.startswith(f"topic {name}: {needed} is not allowed; grant {needed} on it")


def test_a_partition_without_a_leader_is_an_outage() -> None:
    weight, line = only(with_topic(INPUT, leaderless=(1, 3)))
    assert weight is Weight.OUTAGE
    assert "2 partitions without a leader: 1, 3" in line


def test_the_rejected_topic_must_take_the_largest_event_and_64_kib_more() -> None:
    needed = SETTINGS.rejected_max_bytes
    assert findings(with_config(REJECTED, max_message_bytes=str(needed))) == []
    weight, line = only(with_config(REJECTED, max_message_bytes=str(needed - 1)))
    assert weight is Weight.PROBLEM
    assert f"max.message.bytes is {needed - 1}" in line
    assert f"raise it to {needed}, or lower WORKER_EVENT_MAX_BYTES" in line


def test_with_librdkafka_a_topic_should_take_a_batch_of_results() -> None:
    facts = with_config(OUTPUT, max_message_bytes=str(BATCH_BYTES - 1))
    assert findings(facts) == []
    weight, line = only(facts, Settings(kafka_client="confluent"))
    assert weight is Weight.ADVICE
    assert f"max.message.bytes is {BATCH_BYTES - 1}" in line
    assert f"raise it to {BATCH_BYTES}, or set KAFKA_CLIENT=kafka-python" in line
    assert findings(with_config(OUTPUT, max_message_bytes=str(BATCH_BYTES)), Settings(kafka_client="confluent")) == []
    small = Settings(kafka_client="confluent", worker_event_max_bytes=100_000)
    weight, line = only(with_config(REJECTED, max_message_bytes="200000"), small)
    assert weight is Weight.ADVICE
    assert "max.message.bytes is 200000" in line


def test_a_larger_event_limit_needs_a_larger_rejected_topic() -> None:
    settings = Settings(worker_event_max_bytes=2_000_000)
    assert only(GOOD, settings)[0] is Weight.PROBLEM


def test_a_compacted_rejected_topic_is_a_problem_and_a_compacted_output_topic_is_not() -> None:
    assert only(with_config(REJECTED, cleanup_policy="compact,delete"))[0] is Weight.PROBLEM
    assert only(with_config(OUTPUT, cleanup_policy="compact"))[0] is Weight.ADVICE
    assert findings(with_config(INPUT, cleanup_policy="compact")) == []


CURRENT = "user-segments-current"
WITH_CURRENT = Settings(worker_current_topic=CURRENT)


def current(**changed: str) -> ClusterFacts:
    return with_config(CURRENT, **{"cleanup_policy": "compact", **changed})


def test_a_compacted_current_topic_is_as_required() -> None:
    assert findings(current(), WITH_CURRENT) == []
    assert f"topic {CURRENT}" in [each.where for each in judge_cluster(current(), WITH_CURRENT)]


@pytest.mark.parametrize(("policy", "weight"), [("delete", Weight.PROBLEM), ("compact,delete", Weight.ADVICE)])
def test_a_current_topic_that_forgets_users_is_named(policy: str, weight: Weight) -> None:
    found, line = only(current(cleanup_policy=policy), WITH_CURRENT)
    assert found is weight
    assert line.startswith(f"topic {CURRENT}: ")
    assert "set its cleanup.policy to compact" in line


def test_a_current_topic_is_judged_like_the_output_topic() -> None:
    missing = dataclasses.replace(GOOD, topics={**GOOD.topics, CURRENT: Absent.MISSING})
    assert "WORKER_CURRENT_TOPIC" in only(missing, WITH_CURRENT)[1]
    compacted = CONFIGS | {"cleanup.policy": "compact"}
    unwritable = with_topic(CURRENT, configs=compacted, operations=frozenset({"READ"}))
    assert only(unwritable, WITH_CURRENT)[1].startswith(f"topic {CURRENT}: WRITE is not allowed")
    weight, line = only(with_topic(CURRENT, configs=compacted, partitions=3), WITH_CURRENT)
    assert weight is Weight.ADVICE
    assert line.startswith(f"topic {CURRENT}: has 3 partitions, topic {INPUT} has 4")


def test_a_topic_that_refuses_old_records_does_not_take_results_with_the_time_of_their_event() -> None:
    by_event = Settings(worker_result_time="event")
    a_day = with_config(OUTPUT, message_timestamp_before_max_ms="86400000")
    weight, line = only(a_day, by_event)
    assert weight is Weight.PROBLEM
    assert "message.timestamp.before.max.ms is 86400000" in line
    assert findings(a_day) == []
    assert findings(with_config(REJECTED, message_timestamp_before_max_ms="86400000"), by_event) == []
    assert findings(with_config(OUTPUT, message_timestamp_before_max_ms=str(2**63 - 1)), by_event) == []
    replaced = with_config(OUTPUT, message_timestamp_type="LogAppendTime")
    assert only(replaced, by_event)[0] is Weight.ADVICE
    assert findings(replaced) == []


def test_more_replicas_in_sync_than_there_are_is_advice() -> None:
    weight, line = only(with_config(OUTPUT, min_insync_replicas="4"))
    assert weight is Weight.ADVICE
    assert "min.insync.replicas is 4" in line
    assert "3 replicas" in line


def test_as_many_replicas_in_sync_as_there_are_is_advice() -> None:
    assert only(with_config(OUTPUT, min_insync_replicas="3"))[0] is Weight.ADVICE


def test_one_replica_is_advice_if_there_are_several_brokers() -> None:
    one_replica = with_topic(OUTPUT, replicas=1, configs=CONFIGS | {"min.insync.replicas": "1"})
    assert only(one_replica)[0] is Weight.ADVICE
    assert findings(dataclasses.replace(one_replica, brokers=1)) == []


def test_a_topic_that_refuses_small_clock_differences_is_advice() -> None:
    strict = with_config(OUTPUT, message_timestamp_after_max_ms="1000")
    assert only(strict)[0] is Weight.ADVICE
    assert (
        findings(with_config(OUTPUT, message_timestamp_after_max_ms="1000", message_timestamp_type="LogAppendTime"))
        == []
    )


def test_another_number_of_partitions_than_the_input_is_advice() -> None:
    weight, line = only(with_topic(OUTPUT, partitions=3))
    assert weight is Weight.ADVICE
    assert f"has 3 partitions, topic {INPUT} has 4" in line


def test_one_partition_is_advice() -> None:
    one = dataclasses.replace(GOOD, topics=dict.fromkeys(GOOD.topics, dataclasses.replace(TOPIC, partitions=1)))
    weight, line = only(one)
    assert weight is Weight.ADVICE
    assert line.startswith(f"topic {INPUT}: has 1 partition,")
    written = next(each for each in judge_cluster(one, SETTINGS) if each.where == f"topic {OUTPUT}")
    assert written.what == "1 partition with 3 replicas, WRITE allowed"


def test_a_configuration_that_may_not_be_read_is_unknown_and_not_a_problem() -> None:
    facts = dataclasses.replace(with_topic(OUTPUT, configs={}), broker_configs={})
    assert [each.weight for each in findings(facts)] == [Weight.UNKNOWN, Weight.UNKNOWN]


@pytest.mark.parametrize("group", [Absent.HIDDEN, dataclasses.replace(GROUP, operations=frozenset({"DESCRIBE"}))])
def test_the_group_needs_read(group: GroupFacts | Absent) -> None:
    weight, line = only(dataclasses.replace(GOOD, group=group))
    assert weight is Weight.PROBLEM
    assert "grant READ on the group" in line


def with_members(*members: Member) -> ClusterFacts:
    return dataclasses.replace(GOOD, group=dataclasses.replace(GROUP, members=members))


def worker(instance_id: str | None = None) -> Member:
    return Member(CLIENT_ID, "10.0.0.1", instance_id)


def test_a_member_that_is_not_a_segment_worker_is_named_with_its_host() -> None:
    weight, line = only(with_members(worker(), Member("rdkafka", "10.0.0.7", None)))
    assert weight is Weight.PROBLEM
    assert "1 member is" in line
    assert "client id rdkafka on host 10.0.0.7" in line
    assert "WORKER_GROUP_ID" in line


def test_of_many_foreign_members_all_are_counted_and_some_are_named() -> None:
    one_host = [Member("reports", "10.0.0.1", None)] * 2
    hosts = [Member("reports", f"10.0.0.{number}", None) for number in range(2, 8)]
    weight, line = only(with_members(*hosts, *one_host))
    assert weight is Weight.PROBLEM
    assert "8 members are" in line
    assert line.count("client id reports") == 5
    assert "and 2 more" in line


def test_a_group_whose_members_may_not_be_seen_has_a_foreign_one() -> None:
    hidden = dataclasses.replace(GOOD, group=dataclasses.replace(GROUP, members=Absent.HIDDEN))
    weight, line = only(hidden, Settings(worker_instance_id="one"))
    assert weight is Weight.PROBLEM
    assert "1 member is" in line


def test_a_group_of_other_workers_can_be_joined() -> None:
    assert findings(with_members(worker(), worker("one"))) == []


def test_workers_with_a_client_id_of_their_own_recognize_each_other() -> None:
    own = Settings(kafka_client_config="client.id=billing")
    billing, pod = Member("billing", "10.0.0.1", None), Member(f"{CLIENT_ID}-pod-1", "10.0.0.2", None)
    assert findings(with_members(billing, worker(), pod), own) == []
    assert findings(with_members(worker(), pod)) == []
    assert "client id billing" in only(with_members(billing))[1]
    assert "client id segment-workers" in only(with_members(Member("segment-workers", "10.0.0.3", None)), own)[1]


def test_an_instance_id_in_use_is_advice() -> None:
    facts = with_members(worker("one"), worker())
    assert only(facts, Settings(worker_instance_id="one"))[0] is Weight.ADVICE
    assert findings(facts, Settings(worker_instance_id="two")) == []
    assert findings(facts) == []


def test_the_transactional_id_needs_a_grant_on_its_prefix() -> None:
    weight, line = only(dataclasses.replace(GOOD, transactional_id_visible=False))
    assert weight is Weight.PROBLEM
    assert "grant WRITE on the transactional ids that begin with segment-worker:" in line


def test_an_unavailable_coordinator_is_an_outage() -> None:
    facts = dataclasses.replace(GOOD, group=None, transactional_id_visible=None)
    assert [each.weight for each in findings(facts)] == [Weight.OUTAGE, Weight.OUTAGE]


@pytest.mark.parametrize(
    ("field", "given", "line"),
    [
        (
            "worker_transaction_timeout_ms",
            900_000,
            (
                "transaction.max.timeout.ms is 60000, but WORKER_TRANSACTION_TIMEOUT_MS is 900000; "
                "lower WORKER_TRANSACTION_TIMEOUT_MS to 60000"
            ),
        ),
        (
            "worker_session_timeout_ms",
            5_000,
            (
                "group.min.session.timeout.ms is 6000, but WORKER_SESSION_TIMEOUT_MS is 5000; "
                "raise WORKER_SESSION_TIMEOUT_MS to 6000"
            ),
        ),
        (
            "worker_session_timeout_ms",
            60_000,
            (
                "group.max.session.timeout.ms is 30000, but WORKER_SESSION_TIMEOUT_MS is 60000; "
                "lower WORKER_SESSION_TIMEOUT_MS to 30000"
            ),
        ),
    ],
)
def test_timeouts_stay_within_what_the_brokers_allow(field: str, given: int, line: str) -> None:
    configs = {
        "transaction.max.timeout.ms": "60000",
        "group.min.session.timeout.ms": "6000",
        "group.max.session.timeout.ms": "30000",
    }
    facts = dataclasses.replace(GOOD, broker_configs=configs)
    settings = Settings.model_validate({field: given})
    assert only(facts, settings) == (Weight.PROBLEM, f"brokers: {line}")


FOUND = (
    Finding(Weight.FINE, "brokers", "3 brokers answer"),
    Finding(Weight.ADVICE, "topic a", "has 1 replica", "add replicas"),
    Finding(Weight.PROBLEM, "topic b", "does not exist", "create it"),
)


def test_text_has_one_line_per_finding_and_a_conclusion() -> None:
    assert as_text(FOUND) == (
        "fine     brokers: 3 brokers answer\n"
        "advice   topic a: has 1 replica; add replicas\n"
        "problem  topic b: does not exist; create it\n"
        "1 problem to fix first\n"
    )
    assert as_text(FOUND[:2]).endswith("\nready to run\n")
    assert as_text(FOUND[2:] * 2).endswith("\n2 problems to fix first\n")


def test_json_has_the_conclusion_and_each_finding() -> None:
    document = json.loads(as_json(FOUND))
    assert document["ok"] is False
    assert document["findings"][2] == {
        "weight": "problem",
        "where": "topic b",
        "what": "does not exist",
        "remedy": "create it",
    }
    assert json.loads(as_json(FOUND[:2]))["ok"] is True


def test_an_outage_counts_as_a_problem_and_advice_does_not() -> None:
    outage = Finding(Weight.OUTAGE, "group", "away")
    assert problems((*FOUND, outage)) == (FOUND[2], outage)
