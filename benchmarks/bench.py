"""The worker beside its peers, on the same topic with the same complete job: `python -m benchmarks.bench`.

In each round all contenders take their turn, each with its own consumer group and output topics on one embedded broker.
The rate is that of committed offsets where the guarantee is exactly once, else of outputs, between 10 % and 95 % of
the backlog; CPU time is measured over the same part. A figure counts only if the outputs are right: none missing, none
doubled, each with the segment, the distance, the id or the reason that the worker's own processing gives it. Then the
latency of each contender is measured, from the time at which an event is due to a read_committed reader.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from benchmarks import contenders, open_loop, report
from benchmarks.contenders import BUILD, ROOT, Contender, Guarantee, Program, Unavailable
from benchmarks.load import PARTITIONS, Topics, compare, expected, fill
from benchmarks.outcomes import Expected
from benchmarks.process import cpu_s, memory_mb
from benchmarks.report import Drain, Figures
from benchmarks.subjects import (
    EVENT_MAX_BYTES,
    Subject,
    fitted,
    schema_registry,
    with_bad,
    with_fields,
    with_format,
    with_segments,
)
from benchmarks.worker_environment import worker_environment
from demo.kafka.broker import running_broker
from demo.kafka.client import Cluster
from demo.kafka.processes import GuardedProcess, last_lines
from worker.stream.processor import Scoring

REJECTED_MAX_BYTES = 1_000_000
SWEEPS = ("backlog", "segments", "fields", "formats", "bad")
BAD_SHARES = (0.001, 0.01, 0.1)
SWEEPS_OF_WORKERS_ONLY = ("fields", "formats")
LOOK_EVERY_S = 0.2
STALLED_S = 60.0
SHORTEST_S = 10.0
FROM, TO = 0.10, 0.95


class Failed(Exception):
    """A contender's run is not a valid measurement; the message says why."""


@dataclass
class Site:
    """One broker with a model, and the backlogs that were made so far."""

    bootstrap_servers: str
    scratch: Path
    cluster: Cluster
    topics: Topics
    subject: Subject
    registry_url: str
    backlogs: dict[tuple[str, int], tuple[str, Expected]] = field(default_factory=dict)
    _runs: int = 0

    @cached_property
    def cluster_id(self) -> str:
        """Part of the ids of results."""
        return self.topics.cluster_id()

    def backlog(self, events: int) -> tuple[str, Expected]:
        """A topic with this many events, and what must come of them."""
        subject = self.subject
        key = subject.name, events
        if key not in self.backlogs:
            print(f"writing a backlog of {events:,} events …", flush=True)
            topic = f"{subject.name}-{events}"
            self.cluster.create_topic(topic, PARTITIONS)
            fill(self.bootstrap_servers, topic, events, subject.events)
            scoring = Scoring(
                subject.model,
                subject.profile_class,
                self.cluster_id,
                "benchmark",
                EVENT_MAX_BYTES,
                REJECTED_MAX_BYTES,
                input_format=subject.input_format,
            )
            self.backlogs[key] = topic, expected(self.topics, topic, scoring)
        return self.backlogs[key]

    @contextmanager
    def running(
        self, contender: Contender, program: Program, input_topic: str, tuning: Mapping[str, str]
    ) -> Iterator[Run]:
        """A contender on its own output topics, which are deleted at the end."""
        self._runs += 1
        group = f"{contender.slug}-{self._runs}"
        run = Run(self, contender, group, input_topic)
        scratch = self.scratch / group
        scratch.mkdir()
        environment = {
            **worker_environment(self.bootstrap_servers, self.scratch),
            "WORKER_GROUP_ID": group,
            "WORKER_INPUT_TOPIC": input_topic,
            "WORKER_OUTPUT_TOPIC": run.output,
            "WORKER_REJECTED_TOPIC": run.rejected,
            "CLUSTER_ID": self.cluster_id,
            "SCRATCH": str(scratch),
            **self.subject.environment,
            **contender.environment,
            **tuning,
            **program.environment,
        }
        # Their disk is needed again at once.
        config = {"file.delete.delay.ms": "1000", "max.message.bytes": "2000000"}
        topics = {run.output: config, run.rejected: config}
        if current := environment.get("WORKER_CURRENT_TOPIC"):
            topics[current] = {**config, "cleanup.policy": "compact"}
        for topic, own in topics.items():
            self.cluster.create_topic(topic, PARTITIONS, own)
        process = GuardedProcess(
            program.command, environment=environment, output=scratch / "output.log", directory=program.directory
        )
        try:
            run.process = process
            yield run
        finally:
            process.stop(10)
            self.topics.delete(*topics)


@dataclass
class Run:
    """One contender's turn."""

    site: Site
    contender: Contender
    group: str
    input_topic: str
    process: GuardedProcess = field(init=False)

    @property
    def output(self) -> str:
        """Its topic of results."""
        return f"{self.group}-out"

    @property
    def rejected(self) -> str:
        """Its dead-letter topic."""
        return f"{self.group}-rejected"

    def require_alive(self) -> None:
        """Raise Failed when it has ended."""
        status = self.process.poll()
        if status is not None:
            raise Failed(f"it ended with status {status}; {last_lines(self.process.output)}")

    def done(self) -> int:
        """How many events are dealt with, as far as its guarantee says so."""
        cluster = self.site.cluster
        if self.contender.guarantee is Guarantee.EXACTLY_ONCE:
            return sum(cluster.committed_offsets(self.group, self.input_topic).values())
        return sum(sum(cluster.end_offsets(topic).values()) for topic in (self.output, self.rejected))

    def drained(self, events: int) -> Drain:
        """Wait until the backlog is drained."""
        samples = [self._sample()]
        while samples[-1].done < events:
            time.sleep(LOOK_EVERY_S)
            self.require_alive()
            samples.append(self._sample())
            moved = next(sample for sample in samples if sample.done == samples[-1].done)
            if samples[-1].at_s - moved.at_s > STALLED_S:
                raise Failed(f"no progress for {STALLED_S:.0f} s after {moved.done:,} of {events:,} events")
        first = next(sample for sample in samples if sample.done >= FROM * events)
        last = next(sample for sample in samples if sample.done >= TO * events)
        begun = next(sample for sample in samples if sample.done)
        if last.at_s - first.at_s < 3 * LOOK_EVERY_S:
            raise Failed(f"{events:,} events took only {last.at_s - first.at_s:.1f} s: give more with --events")
        return Drain(
            events=events,
            seconds=samples[-1].at_s - begun.at_s,
            events_per_s=(last.done - first.done) / (last.at_s - first.at_s),
            cpu_s_per_million=(last.cpu_s - first.cpu_s) / (last.done - first.done) * 1e6,
            rss_mb=samples[-1].rss_mb,
            peak_mb=samples[-1].peak_mb,
            peak_grown_mb=samples[-1].peak_mb - first.peak_mb,
        )

    def require_right(self, wanted: Expected) -> None:
        """Stop it, and raise Failed unless its outputs are what must come of its input."""
        self.process.stop(10)
        site = self.site
        if wrong := compare(site.topics, wanted, self.output, self.rejected, self.input_topic, site.cluster_id):
            raise Failed(f"its outputs are wrong: {wrong}")

    def _sample(self) -> Sample:
        memory = memory_mb(self.process.pid)
        # The clock last: what is done was done by then.
        return Sample(self.done(), cpu_s(self.process.pid), memory["VmRSS"], memory["VmHWM"], time.monotonic())


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a contender."""

    done: int
    cpu_s: float
    rss_mb: float
    peak_mb: float
    at_s: float


@contextmanager
def site() -> Iterator[Site]:
    """A broker and a fitted model."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        broker = stack.enter_context(running_broker(java_options=()))
        print("fitting a model …", flush=True)
        subject = fitted(scratch, worker_environment(broker.bootstrap_servers, scratch))
        registry = stack.enter_context(closing(schema_registry()))
        yield Site(
            broker.bootstrap_servers,
            scratch,
            stack.enter_context(Cluster(broker.bootstrap_servers)),
            stack.enter_context(Topics(broker.bootstrap_servers)),
            subject,
            f"http://127.0.0.1:{registry.port}",
        )


def drain_by_all(
    site: Site, programs: Mapping[Contender, Program], events: int, what: str, figures: Figures
) -> Iterator[tuple[str, Drain]]:
    """Each contender's way through a backlog of its share of the events; one that fails is out for good."""
    for contender, program in programs.items():
        if contender.name in figures.failed:
            continue
        backlog = max(1, int(events * contender.share))
        topic, wanted = site.backlog(backlog)
        try:
            with site.running(contender, program, topic, {}) as run:
                drain = run.drained(backlog)
                run.require_right(wanted)
        except Failed as failure:
            figures.failed[contender.name] = f"failed: {failure}".partition("\n")[0]
            print(f"{what}  {contender.name:20}  failed: {failure}", flush=True)
            continue
        short = f"  in only {drain.seconds:.1f} s: give more --events" if drain.seconds < SHORTEST_S else ""
        print(
            f"{what}  {contender.name:20}  {drain.events_per_s:9,.0f} events/s  "
            f"{drain.cpu_s_per_million:6.1f} CPU s per 1e6  RSS {drain.rss_mb:4.0f} MB{short}",
            flush=True,
        )
        yield contender.name, drain


def throughput(site: Site, programs: Mapping[Contender, Program], events: int, rounds: int, figures: Figures) -> None:
    """Let all contenders drain the backlog in each round."""
    for number in range(rounds):
        for name, drain in drain_by_all(site, programs, events, f"round {number + 1}", figures):
            figures.drains.setdefault(name, []).append(drain)


def _steps(site: Site, what: str, events: int) -> Mapping[int | str, tuple[Subject, int]]:
    """Value that is swept over -> the subject, and the size of the backlog."""
    base, scratch = site.subject, site.scratch
    match what:
        case "backlog":
            return {size: (base, size) for size in (100_000, 1_000_000, 10_000_000)}
        case "segments":
            return {k: (with_segments(base, k, scratch / f"segments-{k}"), events) for k in (2, 10, 50, 200)}
        case "fields":
            return {count: (with_fields(count, scratch / f"fields-{count}"), events) for count in (7, 15, 50, 100)}
        case "bad":
            return {f"{share:.1%}": (with_bad(base, share), events) for share in BAD_SHARES}
        case _:
            formats = ("cloudevents", "json", "avro")
            return {name: (with_format(base, name, site.registry_url), events) for name in formats}


def sweep(
    site: Site, programs: Mapping[Contender, Program], what: str, events: int, rounds: int, figures: Figures
) -> None:
    """Let all contenders drain a backlog for each step of the sweep, in each round."""
    steps = _steps(site, what, events)
    for number in range(rounds):
        for value, (site.subject, size) in steps.items():
            title = f"round {number + 1}  {report.label(value):>11} {what}"
            for name, drain in drain_by_all(site, programs, size, title, figures):
                figures.swept.setdefault(name, {}).setdefault(value, []).append(drain)


def latency(
    site: Site, programs: Mapping[Contender, Program], rates: Sequence[float], seconds: float, figures: Figures
) -> None:
    """The latency of all contenders at all rates that they can follow."""
    disturbed = True
    for rate in rates:
        for contender, program in programs.items():
            drains = figures.drains.get(contender.name)
            if contender.name in figures.failed or (
                drains and statistics.median(drain.events_per_s for drain in drains) < 1.2 * rate
            ):
                continue
            if disturbed:
                print("a first turn that does not count: the broker just started, or deletes backlogs …", flush=True)
                _latency(site, contender, program, rate, seconds)
                disturbed = False
            found = _latency(site, contender, program, rate, seconds)
            figures.latencies.setdefault(contender.name, {})[rate] = found
            print(f"at {rate:6,.0f}/s  {contender.name:20}  {report.latency_text(found)}", flush=True)


def _latency(
    site: Site, contender: Contender, program: Program, rate: float, seconds: float
) -> open_loop.Latency | str:
    topic = f"latency-{contender.slug}-{rate:g}"
    site.cluster.create_topic(topic, PARTITIONS)
    try:
        with site.running(contender, program, topic, contender.environment_for_latency) as run:
            return open_loop.measured(site.bootstrap_servers, topic, run.output, rate, seconds, run.require_alive)
    except Failed as failure:
        return str(failure).partition("\n")[0]
    finally:
        site.topics.delete(topic)


def chosen(
    names: Sequence[str], commit: str | None, setting: str | None, folder: Path, figures: Figures
) -> dict[Contender, Program]:
    """The contenders that can run, ready to be started; beside each worker its partner, if one is wanted."""
    programs = {}
    for contender in contenders.ALL:
        if names and contender.name not in names:
            continue
        try:
            programs[contender] = program = contender.prepare()
        except Unavailable as reason:
            figures.failed[contender.name] = f"skipped: {reason}"
            print(f"{contender.name}: skipped: {reason}", flush=True)
            continue
        if (commit or setting) and contender.name.startswith("worker"):
            other = replace(contender, name=f"{contender.name} {f'at {commit}' if commit else f'with {setting}'}")
            figures.pairs[contender.name] = other.name
            programs[other] = _at(commit, folder / "checkout", program) if commit else _with(setting or "", program)
    return programs


def _is_commit(name: str) -> bool:
    verify = ["git", "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}"]
    return subprocess.run(verify, cwd=ROOT, check=False, capture_output=True).returncode == 0


def _at(commit: str, checkout: Path, program: Program) -> Program:
    if not checkout.exists():
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(checkout), commit], cwd=ROOT, check=True)
    return replace(program, directory=checkout)


def _with(setting: str, program: Program) -> Program:
    name, _, value = setting.partition("=")
    return replace(program, environment={**program.environment, name: value})


def main() -> None:
    """Measure, print the table, and write JSON, Markdown and plots into build/bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--events", type=int, default=1_000_000, help="size of the backlog (default 1000000)")
    add("--rounds", type=int, default=5, help="how often each contender drains it (default 5); 0: latency alone")
    add("--only", nargs="+", default=[], choices=[each.name for each in contenders.ALL], metavar="NAME",
        help=f"these contenders, of {', '.join(each.name for each in contenders.ALL)}")  # fmt: skip
    pair = parser.add_mutually_exclusive_group()
    pair.add_argument("--against", metavar="COMMIT", help="run the worker of this commit, too, and print the ratio")
    pair.add_argument("--setting", metavar="NAME=VALUE", help="run the worker with this setting, too, likewise")
    add("--rates", type=float, nargs="*", default=[500, 5000], help="events/s for latency (default 500 5000; none: "
        "give no number)")  # fmt: skip
    add("--sweep", choices=SWEEPS, help="instead: cost per event against the size of the backlog, the number of "
        "segments, the number of fields, the format of the events (these two: workers only), or the share of bad "
        "events; without --only, of the workers")  # fmt: skip
    add("--latency-s", type=float, default=30, help="how long latency is measured at each rate (default 30)")
    asked = parser.parse_args()
    workers = [each.name for each in contenders.ALL if each.name.startswith("worker")]
    if asked.sweep:
        asked.only = asked.only or workers
    if asked.sweep in SWEEPS_OF_WORKERS_ONLY and not {*asked.only} <= {*workers}:
        parser.error(f"--sweep {asked.sweep}: only workers take other {asked.sweep}; name only them with --only")
    if asked.against and not _is_commit(asked.against):
        parser.error(f"--against {asked.against}: no such commit here; git log lists them")
    if asked.setting and "=" not in asked.setting:
        parser.error(f"--setting {asked.setting}: give NAME=VALUE, as in WORKER_BATCH_MAX_EVENTS=500")
    figures = Figures(asked.rounds, swept_over=asked.sweep)
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-commit-") as folder:
        try:
            programs = chosen(asked.only, asked.against, asked.setting, Path(folder), figures)
            with site() as here:
                if asked.sweep:
                    sweep(here, programs, asked.sweep, asked.events, asked.rounds, figures)
                else:
                    throughput(here, programs, asked.events, asked.rounds, figures)
                    latency(here, programs, asked.rates, asked.latency_s, figures)
        except KeyboardInterrupt:
            print("\ninterrupted: these are the figures until now", flush=True)
        finally:
            if asked.against:
                subprocess.run(["git", "worktree", "remove", "--force", f"{folder}/checkout"], cwd=ROOT, check=False)
    report.write(figures, BUILD)


if __name__ == "__main__":
    main()
