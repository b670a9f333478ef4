"""kafka-python's consumer as the transport needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import FencedInstanceIdError, LeaderNotAvailableError
from kafka.future import Future
from kafka.structs import TopicPartition

from worker.kafka import tuning
from worker.kafka.client import CONNECT_MS, authentication_failure, connected
from worker.kafka.ports import NO_GENERATION, NotedOffset, Polled
from worker.settings import Settings
from worker.stream.records import Membership

CLOSE_MS = 2_000


class KafkaPythonConsumer:
    """A ConsumerClient."""

    def __init__(self, settings: Settings, connection: Mapping[str, Any]) -> None:
        self._topic = settings.worker_input_topic
        self._is_static = settings.worker_instance_id is not None
        # Which partitions the topic had when this membership was new.
        self._partitions_under: tuple[Membership | None, frozenset[int]] = (None, frozenset())
        self._consumer = connected(
            KafkaConsumer,
            **connection,
            group_id=settings.worker_group_id,
            group_instance_id=settings.worker_instance_id,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=settings.worker_session_timeout_ms,
            heartbeat_interval_ms=min(tuning.HEARTBEAT_MS, settings.worker_session_timeout_ms // 3),
            max_poll_interval_ms=settings.worker_max_poll_interval_ms,
            fetch_max_bytes=tuning.FETCH_BYTES,
            max_partition_fetch_bytes=tuning.PARTITION_FETCH_BYTES,
            bootstrap_timeout_ms=CONNECT_MS,
            client_rack=settings.client_options.get("client.rack", ""),
            metrics_enabled=False,
        )
        # What shows nowhere else, in these three.
        self._cluster = self._consumer._cluster  # noqa: SLF001  # its answers are cached; the public ones ask again
        self._coordinator = self._consumer._coordinator  # noqa: SLF001  # group_metadata() shows the state, not what it means
        self._subscription = self._consumer._subscription  # noqa: SLF001  # position() asks the broker when one is missing

    def subscribe(self, timeout_ms: int) -> None:
        """Ask to become a member of the group; the next polls join it."""
        consumer = self._consumer
        consumer.subscribe([self._topic])
        # A leader that joins without the topic's metadata assigns nothing, and the group rebalances again once it has
        # them. Asked twice, because the first answer may be to a question from before the subscription.
        for _ in range(2):
            answer = self._cluster.request_update()  # topics() would ask for all of the cluster
            consumer._net.run(consumer._manager.wait_for, answer, timeout_ms)  # noqa: SLF001  # see above

    def require_login(self) -> None:
        """Raise the reason why this client can no longer connect or log in, although it keeps trying."""
        # kafka-python retries such a connection for ever: polls return nothing, and answers time out.
        if (failure := authentication_failure(self._consumer)) is not None:
            raise failure

    def between_polls(self) -> None:
        """Finish a join that outlasted the last poll, and have added partitions shared out."""
        self._finish_join()
        if self._is_static:
            self._rejoin_for_added_partitions()

    def poll(self, wait_ms: float, max_records: int) -> Polled:
        """Records that were read, after this time at the latest."""
        polled = Polled([], [], [], [], [], [], [])
        for (_, number), rows in self._consumer.poll(timeout_ms=wait_ms, max_records=max_records).items():
            polled.partitions.extend([number] * len(rows))
            polled.offsets.extend([r.offset for r in rows])
            polled.timestamps_ms.extend([r.timestamp for r in rows])
            polled.keys.extend([r.key for r in rows])
            polled.values.extend([r.value for r in rows])
            polled.headers.extend([tuple(r.headers) for r in rows])
            polled.sizes.extend(
                [r.serialized_key_size + r.serialized_value_size + r.serialized_header_size for r in rows]
            )
        self._require_instance_id()
        return polled

    def membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member; from any thread."""
        seen = self._consumer.group_metadata()
        # After a lost membership the client shows generation -1 and an empty member id, which no broker checks.
        if seen.generation_id == NO_GENERATION or not seen.member_id:
            return None
        return Membership(seen.group_id, seen.member_id, seen.generation_id, seen.group_instance_id)

    def settled_membership(self) -> Membership | None:
        """Who this process is in the group now, or None when it is not a member or the group rebalances."""
        # During a rebalance the new generation is visible before the positions that belong to it are set.
        return self.membership() if self._coordinator.stable() else None

    def rebalance_due(self) -> bool:
        """Whether the next poll lets the group rebalance, as far as this client knows."""
        return bool(self._coordinator.need_rejoin())

    @property
    def coordinator_known(self) -> bool:
        """Whether the group has a coordinator that this client knows."""
        # Without one, kafka-python's polls return nothing and say nothing.
        return self._coordinator.coordinator_id is not None

    def assignment(self) -> AbstractSet[TopicPartition]:
        """The partitions that this member reads."""
        assigned: AbstractSet[TopicPartition] = self._consumer.assignment()
        return assigned

    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to be read, of each assigned partition that has one."""
        states = dict(self._subscription.assignment)
        return {at: state.position.offset for at, state in states.items() if state.position is not None}

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these assigned partitions on from these offsets."""
        for partition, offset in offsets.items():
            self._consumer.seek(partition, offset)

    def committed(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, NotedOffset]:
        """The group's committed offsets, asked now, once no open transaction can change them."""
        # committed() asks for one partition at a time. An answer that comes after its request timed out is kept for the
        # next request: it may be old.
        self._coordinator._offset_fetch_futures.clear()  # noqa: SLF001  # see above
        found = self._coordinator.fetch_committed_offsets(set(partitions), timeout_ms=timeout_ms)
        return {at: NotedOffset.stored(each.offset, each.metadata) for at, each in found.items()}

    def log_ends(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """The first offset of each log, and its last stable offset."""
        wanted = list(partitions)
        leaderless = [f"{each.topic}/{each.partition}" for each in wanted if each not in self._led(wanted)]
        if leaderless:
            raise LeaderNotAvailableError(", ".join(leaderless))
        first = self._consumer.beginning_offsets(wanted, timeout_ms=timeout_ms)
        # read_committed: the last stable offset.
        return first, self._consumer.end_offsets(wanted, timeout_ms=timeout_ms)

    def last_stable_offsets(
        self, partitions: Collection[TopicPartition], timeout_ms: int
    ) -> Mapping[TopicPartition, int]:
        """The last stable offset of each partition that has a leader; from any thread."""
        # A partition without a leader has no answer, and would take that of all others with it.
        led = self._led(partitions)
        found: Mapping[TopicPartition, int] = self._consumer.end_offsets(led, timeout_ms=timeout_ms) if led else {}
        return found

    def partitions(self) -> Sequence[TopicPartition]:
        """All partitions of the input topic that this client knows."""
        return [TopicPartition(self._topic, number) for number in self._cluster.partitions_for_topic(self._topic) or ()]

    def topic_id(self) -> str:
        """The id of the input topic that has this name now; empty where it is not known, or brokers have none."""
        known = self._cluster.topic_id(self._topic)
        return str(known) if known is not None and known.int else ""

    def close(self) -> None:
        """Leave the group (a static member only goes silent) and release the connections."""
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_MS)

    def _led(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        leaders = ((each, self._cluster.leader_for_partition(each)) for each in partitions)
        return [each for each, leader in leaders if leader is not None and leader >= 0]

    def _finish_join(self) -> None:
        # A join that outlasts one poll is to be finished by the next. kafka-python 3.0.12 forgets it when changed
        # metadata was its reason: the group then counts this member in, while it has no heartbeat, keeps its old
        # partitions, and drops all that it reads because its membership never settles. It also throws away one that
        # came to its end between two polls, and joins once more: when a leader does so, the whole group rebalances
        # again, and may do so for as long as its members are busy between their polls.
        coordinator = self._coordinator
        join = coordinator._join_task  # noqa: SLF001  # a join under way is visible nowhere else
        if join is None:
            return
        coordinator.request_rejoin()
        if join.succeeded() and coordinator.rebalance_in_progress():  # not where the membership was lost since
            coordinator._join_task = _ToBeTaken(join)  # noqa: SLF001  # see above

    def _rejoin_for_added_partitions(self) -> None:
        # A static leader that restarted does not learn that it leads, and nobody would share out added partitions.
        membership, known = self.settled_membership(), frozenset(each.partition for each in self.partitions())
        rejoins = membership == self._partitions_under[0] and known != self._partitions_under[1]
        self._partitions_under = membership, known
        if rejoins:
            self._coordinator.request_rejoin()

    def _require_instance_id(self) -> None:
        # kafka-python polls on with its old assignment after another process took the instance id: its heartbeat
        # switches itself off while the group still counts as stable, and nothing else shows.
        coordinator = self._coordinator
        if (
            self._is_static
            and coordinator.stable()
            and not coordinator.rejoining
            and not coordinator._heartbeat_enabled  # noqa: SLF001  # see above
        ):
            raise FencedInstanceIdError


class _ToBeTaken(Future):  # type: ignore[misc]  # kafka-python ships no types
    """A finished join that counts as one under way: kafka-python takes only the result of one that it waits for."""

    def __init__(self, finished: Any) -> None:
        super().__init__()
        self.add_callback = finished.add_callback
        self.add_errback = finished.add_errback
