"""How each kind of fault is done: generators that yield what they wait for, so that faults can overlap."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from demo.errors import ClusterError
from demo.kafka.broker import Broker
from demo.kafka.client import Cluster
from models import promoting
from models.store import ModelStore
from tests.chaos.crew import FENCED, Crew, Member, Post
from tests.chaos.feed import Feed
from tests.chaos.plan import HASTY_MS, LARGE_BATCH, SMALL_BATCH, Fault, Kind, Worker
from tests.chaos.proxy import ApiKey, Proxy, Trap
from tests.support.fitted import NOON, published

Condition = Callable[[], bool]
Steps = Iterator[Condition]

# Generous: what should happen soon does, and a machine may be busy.
PATIENCE_S = 60.0
STOP_S = 20.0
# How long the others have for the partitions of a zombie; where they rightly wait for its transaction, all of it.
_OTHERS_S = 5.0
_NEWCOMER = Worker(None, HASTY_MS, LARGE_BATCH)
_BURST = 900
# Less than a batch for each worker.
_TRICKLE = 48
_SETTLED_S = 0.5
_DELAY_S = (0.02, 0.2)
_ALIAS = "production"


class NotComeAbout(Exception):
    """A fault met no worker or no moment to happen at."""


@dataclass
class Stage:
    """What faults are done to."""

    broker: Broker
    proxy: Proxy
    crew: Crew
    feed: Feed
    store: ModelStore
    group: str
    topic: str
    broker_is_up: bool = True

    def lag(self) -> int | None:
        """How far the group is behind the last stable offsets; None while the broker does not say."""
        try:
            with Cluster(self.broker.bootstrap_servers) as cluster:
                return cluster.lag(self.group, self.topic)
        except ClusterError:
            return None

    def committed(self) -> Mapping[int, int]:
        """The group's committed offsets; empty while the broker does not say."""
        try:
            with Cluster(self.broker.bootstrap_servers) as cluster:
                return cluster.committed_offsets(self.group, self.topic)
        except ClusterError:
            return {}


def after(seconds: float) -> Condition:
    """Holds once this time is over."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def within(seconds: float, condition: Condition, what: str) -> Condition:
    """The condition, which has to hold in time. Raises NotComeAbout."""
    until = time.monotonic() + seconds

    def holds() -> bool:
        if condition():
            return True
        if time.monotonic() >= until:
            raise NotComeAbout(f"waited {seconds:g} s in vain for {what}")
        return False

    return holds


def _somebody(stage: Stage, fault: Fault) -> Iterator[Condition]:
    """Waits until there is a worker to do it to."""
    yield within(PATIENCE_S, lambda: bool(stage.crew.awake()), f"a running worker to {fault.kind}")


def _chosen(stage: Stage, fault: Fault) -> tuple[Post, Member]:
    posts = stage.crew.awake()
    post = posts[int(fault.draw * len(posts))]
    assert post.member is not None
    return post, post.member


def _kill(stage: Stage, fault: Fault) -> Steps:
    yield from _somebody(stage, fault)
    post, member = _chosen(stage, fault)
    member.kill()
    stage.crew.vacate(post, fault.length_s)


def _terminate(stage: Stage, fault: Fault) -> Steps:
    yield from _somebody(stage, fault)
    post, member = _chosen(stage, fault)
    stage.crew.vacate(post, STOP_S + fault.length_s)  # two of one identity would be another fault
    member.terminate()
    yield from _until_ended(member)
    post.vacant_until = time.monotonic() + fault.length_s


def _until_ended(member: Member) -> Steps:
    until = time.monotonic() + STOP_S
    yield lambda: not member.program.running() or time.monotonic() > until
    if member.program.running():
        member.program.kill()  # and its status is none of those that are allowed


def _freeze(stage: Stage, fault: Fault) -> Steps:
    yield from _somebody(stage, fault)
    _, member = _chosen(stage, fault)
    member.freeze()
    yield after(fault.length_s)
    member.thaw()


def _join(stage: Stage, fault: Fault) -> Steps:
    post = stage.crew.post(_NEWCOMER)
    yield after(fault.length_s)
    yield from _leave(stage, post)


def _leave(stage: Stage, post: Post) -> Steps:
    member = stage.crew.give_up(post)
    if member is not None:
        member.thaw()
        member.terminate()
        yield from _until_ended(member)


def _twin(stage: Stage, fault: Fault) -> Steps:
    def static() -> list[Post]:
        return [post for post in stage.crew.awake() if post.worker.instance_id is not None]

    yield within(PATIENCE_S, lambda: bool(static()), "a running worker with an instance id")
    post = static()[int(fault.draw * len(static()))]
    first = post.member
    assert first is not None
    second = stage.crew.engage(post.worker)
    stage.crew.replace(post, second)
    for member in (first, second):
        member.allowed |= FENCED
    yield within(
        PATIENCE_S,
        lambda: not (first.program.running() and second.program.running()),
        "one of two processes with the same instance id to end",
    )
    if second.program.running():
        second.allowed -= FENCED
    else:
        stage.crew.replace(post, first)


def _broker_away(stage: Stage, fault: Fault, go: Callable[[], None]) -> Steps:
    # No transaction ends just then, nor times out while the broker starts (see `behind_a_proxy`). The only broker of a
    # cluster (Kafka 4.3.1) was seen to call one complete that ended while it shut down in good order, or before it had
    # registered again after a kill, and to write none of its markers. Results and offsets then stay pending for ever,
    # or an aborted batch becomes visible with the producer's next one, and no client can repair that.
    stage.proxy.stall()
    yield after(_SETTLED_S)
    try:
        yield lambda: stage.broker_is_up
        stage.broker_is_up = False
        go()
        yield after(fault.length_s)
        stage.broker.start()
        stage.broker_is_up = True
    finally:
        stage.proxy.flow()


def _broker_restart(stage: Stage, fault: Fault) -> Steps:
    yield from _broker_away(stage, fault, stage.broker.stop)


def _broker_kill(stage: Stage, fault: Fault) -> Steps:
    yield from _broker_away(stage, fault, stage.broker.kill)


def _cut(stage: Stage, fault: Fault) -> Steps:
    yield within(PATIENCE_S, lambda: stage.proxy.cut(fault.draw, int(fault.draw * 1e6)) > 0, "a connection to cut")


def _refuse(stage: Stage, fault: Fault) -> Steps:
    stage.proxy.refuse()
    yield after(fault.length_s)
    stage.proxy.accept()


def _delay(stage: Stage, fault: Fault) -> Steps:
    least, most = _DELAY_S
    stage.proxy.delay(least + fault.draw * (most - least))
    yield after(fault.length_s)
    stage.proxy.delay(0.0)


def _stall(stage: Stage, fault: Fault) -> Steps:
    stage.proxy.stall()
    yield after(fault.length_s)
    stage.proxy.flow()


def _lose_answer(stage: Stage, _fault: Fault) -> Steps:
    yield lambda: stage.broker_is_up  # or nothing could be sent, and nobody would start it meanwhile
    trap = stage.proxy.lose_next_answer(ApiKey.END_TXN)
    stage.feed.burst(_BURST)
    yield from _sprung(stage, trap)


def _sprung(stage: Stage, trap: Trap) -> Steps:
    try:
        yield within(PATIENCE_S, lambda: trap.sprung, f"a request {trap.api_key.name}")
    except NotComeAbout:
        stage.proxy.forget(trap)
        raise


def _held(stage: Stage, trap: Trap) -> tuple[Post, Member]:
    post = None if trap.client_port is None else stage.crew.owner_of(trap.client_port)
    if post is None or post.member is None:
        trap.release()
        raise NotComeAbout(f"the request {trap.api_key.name} came from a worker that is gone")
    return post, post.member


def _kill_before_commit(stage: Stage, fault: Fault) -> Steps:
    yield from _all_done(stage)
    trap = stage.proxy.hold_next(ApiKey.END_TXN)
    stage.feed.burst(_BURST)
    yield from _sprung(stage, trap)
    post, member = _held(stage, trap)
    member.kill()
    trap.drop()
    stage.crew.vacate(post, fault.length_s)


def _freeze_at(stage: Stage, fault: Fault, api_key: ApiKey) -> Steps:
    with _quiet(stage.feed):
        yield from _all_done(stage)
        trap = stage.proxy.hold_next(api_key)
        stage.feed.burst(_TRICKLE)  # one batch, of all partitions that whoever it is has
        yield from _sprung(stage, trap)
        _, member = _held(stage, trap)
        member.freeze()
        partitions = len(stage.committed())
        yield after(fault.length_s)
        stage.feed.burst(_BURST)
        others_until = time.monotonic() + _OTHERS_S
        # All of it, so that whoever comes back finds nothing of its old partitions that would take the place of what
        # it kept of them.
        yield lambda: time.monotonic() > others_until or stage.lag() == 0
        trap.release()
        member.thaw()
        yield from _all_done(stage)
        # Whoever came back commits again, with whatever it may have kept of its other partitions.
        for partition in range(partitions):
            stage.feed.burst_to(partition, partitions, SMALL_BATCH)
            yield from _all_done(stage)


@contextmanager
def _quiet(feed: Feed) -> Iterator[None]:
    feed.pause()
    try:
        yield
    finally:
        feed.resume()


def _all_done(stage: Stage) -> Steps:
    """All workers are there, and have nothing to do."""
    yield within(
        PATIENCE_S,
        lambda: len(stage.crew.awake()) == len(stage.crew.posts) and stage.lag() == 0 and bool(stage.committed()),
        "the workers to be done with all there is",
    )


def _freeze_before_offsets(stage: Stage, fault: Fault) -> Steps:
    yield from _freeze_at(stage, fault, ApiKey.TXN_OFFSET_COMMIT)


def _freeze_before_commit(stage: Stage, fault: Fault) -> Steps:
    yield from _freeze_at(stage, fault, ApiKey.END_TXN)


def _join_mid_batch(stage: Stage, fault: Fault) -> Steps:
    with _quiet(stage.feed):
        yield from _all_done(stage)
        before = stage.proxy.requests[ApiKey.JOIN_GROUP]
        post = stage.crew.post(_NEWCOMER)
        yield within(
            PATIENCE_S, lambda: stage.proxy.requests[ApiKey.JOIN_GROUP] > before, "another worker to join the group"
        )
        # From here on the others hold these, while the group shares out their partitions anew.
        stage.feed.burst(_TRICKLE)
        yield after(fault.length_s)
        yield from _all_done(stage)
        yield from _leave(stage, post)


def _loaded(member: Member) -> list[str]:
    return re.findall(r'"event":"model_loaded","version":"([^"]+)"', member.program.log)


def _promotion(stage: Stage, _fault: Fault) -> Steps:
    # Continues whatever else happens: a worker that starts meanwhile loads it, one that runs has to take it up.
    version = published(stage.store, seconds=60 * len(stage.store.version_ids())).id
    promoting.promote(stage.store, version, _ALIAS, NOON)

    def taken_up() -> bool:
        # Or one that was promoted after it, for which a worker may have left it out.
        members = [post.member for post in stage.crew.awake() if post.member is not None]
        return bool(members) and all(max(_loaded(member), default="") >= version for member in members)

    yield within(PATIENCE_S, taken_up, f"the running workers to take up version {version}")


DO: Mapping[Kind, Callable[[Stage, Fault], Steps]] = {
    Kind.KILL: _kill,
    Kind.TERMINATE: _terminate,
    Kind.FREEZE: _freeze,
    Kind.JOIN: _join,
    Kind.TWIN: _twin,
    Kind.BROKER_RESTART: _broker_restart,
    Kind.BROKER_KILL: _broker_kill,
    Kind.CUT: _cut,
    Kind.REFUSE: _refuse,
    Kind.DELAY: _delay,
    Kind.STALL: _stall,
    Kind.LOSE_ANSWER: _lose_answer,
    Kind.KILL_BEFORE_COMMIT: _kill_before_commit,
    Kind.FREEZE_BEFORE_OFFSETS: _freeze_before_offsets,
    Kind.FREEZE_BEFORE_COMMIT: _freeze_before_commit,
    Kind.JOIN_MID_BATCH: _join_mid_batch,
    Kind.PROMOTION: _promotion,
}
