"""One run: a broker, a proxy, three workers and a stream of events; faults; then the evidence, judged."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.kafka.broker import Broker, running_broker
from demo.kafka.client import Cluster
from demo.kafka.ports import LOOPBACK, free_ports
from demo.population import Population
from models.store import ModelStore
from tests.chaos.avro_events import settings as input_settings
from tests.chaos.crew import Crew
from tests.chaos.evidence import Watch, answers, commits, current, inputs
from tests.chaos.faults import DO, STOP_S, Condition, NotComeAbout, Stage, Steps
from tests.chaos.feed import Feed
from tests.chaos.judgement import RECOVERY_MOST_S, Evidence, Verdict, judge
from tests.chaos.mutants import IN_FORCE
from tests.chaos.plan import ALONE, SESSION_TIMEOUT_S, Fault, Kind, Plan, Worker
from tests.chaos.proxy import Proxy
from tests.support.brokers import ROOT, Program, Programs
from tests.support.schema_registry import schema_registry
from tests.support.worker_site import WorkerSite

PARTITIONS = 6
USERS = 500
LISTENER = "WORKERS"
_TURN_S = 0.05
_GIVE_UP_S = 2 * RECOVERY_MOST_S
_LOOK_EVERY_S = 0.5
_MODEL_POLL_S = 0.5
# What Kafka 4.3.1 logs then, in a cluster where no topic is deleted.
_MARKERS_SKIPPED = "likely deleted already and hence can be skipped"
_CRASHED = ("Traceback (most recent call last)", '"event":"unexpected_error"')
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "XDG_CACHE_HOME", "SSL_CERT_FILE", "COVERAGE_PROCESS_START")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What happened in one run, and what it came to."""

    verdict: Verdict
    injected: Counter[Kind]
    connections: int
    """How many the proxy forwarded."""
    mutants: int
    """How many processes say that the mutation made a difference."""
    length_s: float


def clean_environment() -> Mapping[str, str]:
    """Environment variables for a program that takes no setting from whoever runs the suite."""
    return {
        **{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def run(
    plan: Plan,
    seed: int,
    events: int,
    directory: Path,
    tell: Tell,
    mutation: str | None = None,
    client: str = "kafka-python",
    written_as: str = "cloudevents",
) -> Result:
    """Carry out a plan while this many events are sent, and judge what came of it; everything is kept in the directory.

    `mutation` names the precaution that the workers lack, `client` is their Kafka client, `written_as` the format of
    the events; `tell` is given a line for each fault.
    """
    begun = time.monotonic()
    programs = Programs(directory, clean_environment())
    with ExitStack() as closing:
        closing.callback(programs.end_all)
        broker, proxy = closing.enter_context(behind_a_proxy(directory / "broker"))
        site = WorkerSite(programs, proxy.address, f"chaos-{seed}", directory / "model-store", http_port=0)
        site.create_topics(PARTITIONS)
        with Cluster(broker.bootstrap_servers) as cluster:
            cluster.create_topic(site.current, PARTITIONS, {"cleanup.policy": "compact"})
        site.publish_model()
        outcomes = (site.output, site.rejected)
        watch = closing.enter_context(Watch(broker.bootstrap_servers, *outcomes))
        registry = closing.enter_context(schema_registry())
        topics_and_format = {"WORKER_CURRENT_TOPIC": site.current, **input_settings(written_as, registry)}
        settings = {"KAFKA_CLIENT": client, **topics_and_format}
        crew = Crew(
            lambda worker: _start(site, worker, plan.transaction_timeout_ms, mutation, settings),
            proxy.port,
            registry.server_port,
        )
        feed = closing.enter_context(
            Feed(
                broker.bootstrap_servers,
                site.input,
                count=events,
                parts=len(plan.faults),
                population=Population(USERS, seed),
                written_as=written_as,
            )
        )
        stage = Stage(broker, proxy, crew, feed, ModelStore(site.store), site.name, site.input)
        for worker in plan.workers:
            crew.post(worker)
        injected, missed, last_fault_at = _carry_out(plan.faults, stage, tell)
        recovery_s = _recovered(stage, last_fault_at)
        tell(f"no lag after {recovery_s:.1f} s" if recovery_s is not None else f"still a lag: {stage.lag()}")
        if _MARKERS_SKIPPED in broker.log_file.read_text(errors="replace"):
            tell("the broker skipped the markers of a transaction: docs/runbook.md, After a restart of the only broker")
        crew.look_for_bypasses()
        endings = [*crew.end_all(STOP_S), *crew.endings]
        verified = programs.run(
            "worker",
            "verify",
            **site.environment(KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap_servers, **topics_and_format),
        )
        logs = {log.name: log.read_text(errors="replace") for log in sorted(directory.glob("*.log"))}
        evidence = Evidence(
            inputs=inputs(broker.bootstrap_servers, site.input),
            answers=answers(broker.bootstrap_servers, *outcomes),
            answers_meanwhile=watch.finish(),
            current=current(broker.bootstrap_servers, site.current),
            commits=commits(broker.bootstrap_servers, site.name),
            committed=dict(stage.committed()),
            endings=endings,
            recovery_s=recovery_s,
            verify_status=verified.returncode,
            verify_output=verified.stdout + verified.stderr,
            bypasses=sorted(crew.bypasses),
            not_come_about=missed,
            crashes=[name for name, log in logs.items() if any(sign in log for sign in _CRASHED)],
        )
    mutants = sum(IN_FORCE in log for log in logs.values())
    return Result(judge(evidence), injected, proxy.accepted, mutants, time.monotonic() - begun)


@contextmanager
def behind_a_proxy(data_dir: Path) -> Iterator[tuple[Broker, Proxy]]:
    """A broker with one listener for the suite itself, and one that sends whoever comes to it to a proxy."""
    (port,) = free_ports(1)
    with Proxy() as proxy:
        config = {
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port},{LISTENER}://{proxy.address}",
            "group.min.session.timeout.ms": "1000",
            # Kafka's default. More often, and a broker that starts after a kill looks before it has registered again.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000",
        }
        with running_broker(data_dir, port=port, config=config, listeners={LISTENER: "PLAINTEXT"}) as broker:
            proxy.forward_to(int(broker.addresses[LISTENER].rpartition(":")[2]))
            yield broker, proxy


def _start(
    site: WorkerSite,
    worker: Worker,
    transaction_timeout_ms: int,
    mutation: str | None,
    settings: Mapping[str, str],
) -> Program:
    environment = site.environment(
        WORKER_SESSION_TIMEOUT_MS=str(int(SESSION_TIMEOUT_S * 1000)),
        WORKER_TRANSACTION_TIMEOUT_MS=str(transaction_timeout_ms),
        WORKER_COMMIT_INTERVAL_MS=str(worker.commit_interval_ms),
        WORKER_BATCH_MAX_EVENTS=str(worker.batch_max_events),
        MODEL_POLL_S=str(_MODEL_POLL_S),
        **({} if worker.instance_id is None else {"WORKER_INSTANCE_ID": worker.instance_id}),
        **settings,
    )
    if mutation is None:
        return site.programs.start("worker", "run", **environment)
    return site.programs.start("tests.chaos.mutants", mutation, "run", **environment)


def _carry_out(faults: Sequence[Fault], stage: Stage, tell: Tell) -> tuple[Counter[Kind], list[str], float]:
    """How often each kind was injected, which could not be, and when the last one was over."""
    injected: Counter[Kind] = Counter()
    missed: list[str] = []
    waiting = deque(faults)
    active: list[tuple[Fault, Steps, Condition]] = []
    begun = last_began_at = time.monotonic()
    while waiting or active:
        stage.feed.check()
        stage.broker.check()
        stage.crew.hold()
        if waiting and _is_due(waiting[0], [fault for fault, _, _ in active], last_began_at):
            fault = waiting.popleft()
            last_began_at = time.monotonic()
            stage.feed.next_part()
            tell(f"{last_began_at - begun:6.1f} s  {fault.kind}")
            stage.crew.look_for_bypasses()
            active.append((fault, DO[fault.kind](stage, fault), lambda: True))
        still: list[tuple[Fault, Steps, Condition]] = []
        for fault, steps, waited_for in active:
            try:
                condition = waited_for
                while condition():
                    condition = next(steps)
                still.append((fault, steps, condition))
            except StopIteration:
                injected[fault.kind] += 1
            except NotComeAbout as error:
                # What comes after it would be another list of faults than the one that was asked for.
                missed.append(f"{fault.kind}: {error}")
                waiting.clear()
        active = still
        time.sleep(_TURN_S)
    return injected, missed, time.monotonic()


def _is_due(fault: Fault, active: Sequence[Fault], last_began_at: float) -> bool:
    if active and (fault.kind in ALONE or any(one.kind in ALONE for one in active)):
        return False
    return time.monotonic() >= last_began_at + fault.pause_s


def _recovered(stage: Stage, last_fault_at: float) -> float | None:
    """How long after the last fault, and the last event, there was no lag any more."""
    stage.feed.all_parts()
    until: float | None = None
    while True:
        stage.feed.check()
        stage.crew.hold()
        ended_at = stage.feed.ended_at
        if ended_at is not None:
            since = max(last_fault_at, ended_at)
            if stage.lag() == 0:
                return time.monotonic() - since
            until = until or time.monotonic() + _GIVE_UP_S
            if time.monotonic() > until:
                return None
        time.sleep(_LOOK_EVERY_S)
