"""One complete run: broker, history, fit, promotion, worker, a stream of events, and a check of the outcomes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from demo.emit import Emitter
from demo.errors import ProgramError
from demo.formats import in_format
from demo.history import labels_path, write_history
from demo.interrupts import Interrupts
from demo.kafka.broker import Broker, running_broker
from demo.kafka.client import Cluster, Reader, Sender
from demo.kafka.processes import GuardedProcess, last_lines
from demo.live import view
from demo.outcomes import Outcomes, adjusted_rand_index
from demo.population import SHARES, Population
from demo.stream import Lag, flow
from models.manifest import Manifest
from models.store import ModelStore
from schemas.counting import counted
from trainer.publishing.findings_file import read_findings

INPUT, OUTPUT, REJECTED = "user-activity", "user-segments", "user-activity-rejected"
PARTITIONS = 4
GROUP_ID = "segment-worker"

LEAST_AGREEMENT = 0.9
_PROGRAM_TIMEOUT_S = 600
_DRAIN_TIMEOUT_S = 15


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run of the demo does."""

    events: int
    users: int
    seed: int
    rate: float
    bad_share: float
    output: Path
    """Directory for history, models and logs, which stay."""

    @property
    def population(self) -> Population:
        """The users of history and events."""
        return Population(users=self.users, seed=self.seed)

    @property
    def history(self) -> Path:
        """The generated history."""
        return self.output / "history.csv"

    @property
    def store(self) -> ModelStore:
        """The model store."""
        return ModelStore(self.output / "models")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold at the end, with its figures."""

    holds: bool
    text: str


def run(plan: Plan, console: Console, interrupts: Interrupts) -> bool:
    """Run everything and show it on the console; returns whether all checks hold.

    Raises DemoError when a step fails, KeyboardInterrupt when interrupted; in either case nothing is left running.
    """
    begun = time.monotonic()
    plan.output.mkdir(parents=True, exist_ok=True)
    (plan.output / ".gitignore").write_text("*\n")  # everything in it is generated
    for name in ("trainer.log", "worker.log"):
        (plan.output / name).unlink(missing_ok=True)
    with _step(console, "starting Apache Kafka") as started, running_broker(announce=console.print) as broker:
        _create_topics(broker)
        started(f"Apache Kafka 4.3.1 at {broker.bootstrap_servers}, data in {broker.data_dir}")
        with _step(console, "writing a history") as written:
            write_history(plan.history, plan.population)
            written(f"{counted(plan.users, 'user')} in {len(SHARES)} planted groups, in {plan.history}")
        with _step(console, "fitting segments") as promoted:
            fitted = _fit_and_promote(plan, broker.data_dir)
            promoted(_fit_summary(fitted, plan.store))
        with _running_worker(plan, broker) as worker:
            checks = _stream(plan, broker, worker, console, interrupts)
    _summarise(plan, fitted, checks, time.monotonic() - begun, console)
    return all(check.holds for check in checks)


@contextmanager
def _step(console: Console, doing: str) -> Iterator[Callable[[str], None]]:
    """Show that a step is running, until the function that this gives is called with its result, or the block ends."""
    begun = time.monotonic()
    status = console.status(f"{doing} …")
    status.start()

    def done(what: str) -> None:
        status.stop()
        console.print(
            f"[green]✓[/] {escape(what)}  [dim]{time.monotonic() - begun:.1f} s[/]", highlight=False, soft_wrap=True
        )

    try:
        yield done
    finally:
        status.stop()


def _create_topics(broker: Broker) -> None:
    with Cluster(broker.bootstrap_servers) as cluster:
        for topic in (INPUT, OUTPUT, REJECTED):
            cluster.create_topic(topic, PARTITIONS)


def _fit_and_promote(plan: Plan, directory: Path) -> Manifest:
    models = str(plan.store.root.absolute())
    _trainer(plan, directory, "fit", str(plan.history.absolute()), "--models", models)
    fitted = plan.store.versions()[-1]
    _trainer(plan, directory, "promote", fitted.id, "--models", models)
    return fitted


def _trainer(plan: Plan, directory: Path, *arguments: str) -> None:
    log = plan.output / "trainer.log"
    trainer = _program("trainer", *arguments, output=log, directory=directory)
    status = trainer.run_to_end(_PROGRAM_TIMEOUT_S)
    if status != 0:
        raise ProgramError(f"segment-trainer {arguments[0]} exited with status {status}; {last_lines(log)}")


def _fit_summary(fitted: Manifest, store: ModelStore) -> str:
    columns = read_findings(store, fitted.id).quality.columns
    left_out = ", ".join(column.field for column in columns if column.left_out_because is not None)
    return (
        f"{counted(fitted.k, 'segment')} fitted and in production, silhouette {fitted.silhouette:.2f}, verdict "
        f"{fitted.verdict}; columns ignored, because they are not associated with any other: {left_out or 'none'}"
    )


@contextmanager
def _running_worker(plan: Plan, broker: Broker) -> Iterator[GuardedProcess]:
    worker = _program(
        *("worker", "run"),
        *("--bootstrap-servers", broker.bootstrap_servers),
        *("--models", str(plan.store.root.absolute())),
        *("--http-port", "0"),
        output=plan.output / "worker.log",
        directory=broker.data_dir,
    )
    try:
        yield worker
    finally:
        worker.kill()


def _program(*arguments: str, output: Path, directory: Path) -> GuardedProcess:
    """One of the project's programs, in a new directory without a .env and without KAFKA_… or WORKER_… settings.

    So the demo never reaches a real cluster.
    """
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return GuardedProcess(
        [sys.executable, "-m", *arguments],
        environment=environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
        output=output,
        directory=directory,
    )


def _stream(
    plan: Plan, broker: Broker, worker: GuardedProcess, console: Console, interrupts: Interrupts
) -> tuple[Check, ...]:
    servers = broker.bootstrap_servers
    outcomes = Outcomes(REJECTED)
    with (
        Cluster(servers) as cluster,
        Reader(servers, (OUTPUT, REJECTED)) as reader,
        Sender(servers, INPUT) as sender,
        interrupts.noted() as stopped,
    ):
        emitter = Emitter(
            sender,
            plan.population,
            count=plan.events,
            bad_share=plan.bad_share,
            rate=plan.rate,
            write=in_format("cloudevents"),
        )
        with view(console) as shown:
            for picture in flow(emitter, outcomes, Lag(cluster, GROUP_ID, INPUT), reader, plan.events, stopped):
                shown.show(picture)
                if worker.poll() is not None:
                    raise ProgramError(f"the worker exited with status {worker.poll()}; {last_lines(worker.output)}")
        status = worker.stop(_DRAIN_TIMEOUT_S)
        # Once more to the end: a duplicate outcome would show up now.
        outcomes.add(reader.read_to_end())
        return _checks(emitter, outcomes, cluster.end_offsets(INPUT), status)


def _checks(emitter: Emitter, outcomes: Outcomes, end_offsets: Mapping[int, int], status: int) -> tuple[Check, ...]:
    lost, duplicates = outcomes.lost_and_duplicates(end_offsets)
    inputs = sum(end_offsets.values())
    agreement = adjusted_rand_index(outcomes.together)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(outcomes.reasons.items()))
    return (
        Check(
            lost == duplicates == 0 and inputs == emitter.sent,
            f"{counted(emitter.sent, 'event')} sent = {outcomes.assigned:,} assigned + {outcomes.rejected:,} rejected; "
            f"{lost:,} lost, {counted(duplicates, 'duplicate')}",
        ),
        Check(
            outcomes.reasons == emitter.bad,
            f"{outcomes.rejected:,} of {counted(emitter.bad.total(), 'invalid event')} rejected, each for the expected "
            f"reason: {reasons or 'none'}",
        ),
        Check(
            agreement >= LEAST_AGREEMENT,
            f"segments agree with the planted groups: adjusted Rand index {agreement:.3f} (expected: at least "
            f"{LEAST_AGREEMENT})",
        ),
        Check(status == 0, f"the worker drained and exited with status {status}"),
    )


def _summarise(plan: Plan, fitted: Manifest, checks: tuple[Check, ...], took_s: float, console: Console) -> None:
    version = plan.store.folder(fitted.id)
    files = {
        version / "report.html": "the report: are the segments real, and what are they",
        version / "segmented_users.csv": "the segment of every user",
        labels_path(plan.history): "the planted group of every user",
        plan.output / "worker.log": "the worker's log",
    }
    lines = [
        *(f"{'[green]✓[/]' if check.holds else '[bold red]✗[/]'} {escape(check.text)}" for check in checks),
        f"took {took_s:.1f} s",
        "",
        "to look at:",
        *(f"  {escape(str(path))}  [dim]{what}[/]" for path, what in files.items()),
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
