"""The command line of the demo: segment-demo, or python -m demo."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demo.errors import DemoError
from demo.interrupts import Interrupts

if TYPE_CHECKING:
    from demo.formats import Write

DONE, FAILED, ACT_FIRST, INTERRUPTED = 0, 1, 2, 130

OUR_PACKAGES = frozenset({"demo", "worker", "trainer", "models", "schemas"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong setup or input, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    # The client's problems reach the user as errors; its own log lines would break up the live view.
    logging.getLogger("kafka").addHandler(logging.NullHandler())
    try:
        status: int = arguments.run(arguments)
    except DemoError as error:
        return _failed(str(error), error.exit_status)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OUR_PACKAGES:
            raise
        reason = (
            f'{package} is not installed; it comes with the extra "demo" '
            "(from a checkout: pip install --require-hashes -r requirements/demo.txt)"
        )
        return _failed(reason, ACT_FIRST)
    except OSError as error:
        return _failed(f"{error.filename or 'a file'}: {error.strerror or error}", ACT_FIRST)
    except KeyboardInterrupt:
        return _failed("interrupted; nothing was left running", INTERRUPTED)
    return status


def _failed(reason: str, status: int) -> int:
    print(f"segment-demo: {reason}", file=sys.stderr)
    return status


# --- commands --------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    interrupts = Interrupts()
    from rich.console import Console

    from demo.run import Plan, run

    plan = Plan(
        events=arguments.events,
        users=arguments.users,
        seed=arguments.seed,
        rate=arguments.rate,
        bad_share=arguments.bad_share,
        output=arguments.output,
    )
    return DONE if run(plan, Console(), interrupts) else FAILED


def _broker(arguments: argparse.Namespace) -> int:
    interrupts = Interrupts()
    from demo.kafka.broker import running_broker

    with running_broker(port=arguments.port, announce=_print) as broker, interrupts.noted() as stopped:
        servers = broker.bootstrap_servers
        _print(
            f"Apache Kafka 4.3.1 is ready at {servers}. Ctrl-C stops it and deletes its data ({broker.data_dir}).\n"
            "In other terminals, once a model is in production:\n"
            f"  segment-worker run --create-topics --bootstrap-servers {servers}\n"
            f"  segment-demo emit --bootstrap-servers {servers}"
        )
        print(servers, flush=True)
        while not stopped():
            broker.check()
            time.sleep(0.2)
    return DONE


def _emit(arguments: argparse.Namespace) -> int:
    interrupts = Interrupts()
    from demo.emit import TURN_S, Emitter
    from demo.kafka.client import Sender
    from demo.population import Population
    from schemas.counting import counted

    population = Population(users=arguments.users, seed=arguments.seed)
    with Sender(arguments.bootstrap_servers, arguments.topic) as sender, interrupts.noted() as stopped:
        write, settings = _written_as(arguments.format, arguments.topic)
        emitter = Emitter(
            sender,
            population,
            count=arguments.count,
            bad_share=arguments.bad_share,
            rate=arguments.rate,
            write=write,
        )
        _print(f"sending {arguments.rate:,g} events per second to topic {arguments.topic}; Ctrl-C stops")
        if settings:
            _print("a worker reads them with:\n" + "\n".join(f"  {name}={value}" for name, value in settings.items()))
        report_at = time.monotonic() + _REPORT_EVERY_S
        while not emitter.done and not stopped():
            emitter.send_due()
            if time.monotonic() >= report_at:
                _print(f"{counted(emitter.sent, 'event')} sent")
                report_at += _REPORT_EVERY_S
            time.sleep(TURN_S)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(emitter.bad.items()))
    _print(
        f"{counted(emitter.sent, 'event')} sent to {arguments.topic}: {emitter.good:,} valid, "
        f"{emitter.bad.total():,} invalid on purpose{f' ({reasons})' if reasons else ''}"
        + (f", {emitter.ignored:,} other events" if emitter.ignored else "")
    )
    return DONE


def _written_as(name: str, topic: str) -> tuple[Write, Mapping[str, str]]:
    """What writes the events, and the settings of a worker that reads them."""
    from demo.formats import SETTINGS, in_avro, in_format

    if name != "avro":
        return in_format(name), SETTINGS[name]
    from demo.registry import registered

    schema_id, url = registered(topic)
    return in_avro(schema_id), {**SETTINGS[name], "SCHEMA_REGISTRY_URL": url}


def _history(arguments: argparse.Namespace) -> int:
    from demo.history import labels_path, write_history
    from demo.population import Population, Structure
    from schemas.counting import counted

    structure = Structure.NOISE if arguments.noise else Structure.PLANTED
    write_history(arguments.file, Population(arguments.users, arguments.seed, structure))
    users = counted(arguments.users, "user")
    _print(f"{users} in {arguments.file}, with their true groups in {labels_path(arguments.file)}")
    return DONE


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_REPORT_EVERY_S = 5


# --- arguments -------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segment-demo",
        description="Runs a real Apache Kafka on this machine, with generated users, the trainer and the worker.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="everything once: broker, history, fit, worker, a stream of events",
        description="Starts a broker, writes a history, fits and promotes segments, starts a worker, sends events, "
        "shows the results live, and checks at the end that each event has exactly one outcome. Ctrl-C while events "
        "flow waits for those already sent; a second Ctrl-C, or one before that, stops everything at once (exit "
        "status 130).",
    )
    run.add_argument("--events", type=_count, default=20_000, metavar="N", help="events to send (default: 20000)")
    run.add_argument("--rate", type=_rate, default=2000.0, metavar="R", help="events per second (default: 2000)")
    run.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="where to keep history, models and logs (default: demo-output)",
    )
    _add_population(run)
    _add_bad_share(run)
    run.set_defaults(run=_run)

    broker = commands.add_parser(
        "broker",
        help="only the broker, until Ctrl-C",
        description="Starts a real Apache Kafka on this machine and prints its address. It creates no topics. When it "
        "stops, its data is deleted.",
    )
    broker.add_argument("--port", type=_port, default=9092, metavar="P", help="port for clients (default: 9092)")
    broker.set_defaults(run=_broker)

    emit = commands.add_parser(
        "emit",
        help="only the events, to any cluster without authentication",
        description="Sends events of generated users, some of them invalid on purpose, to a topic of a cluster that "
        "needs no authentication, until all are sent or Ctrl-C.",
    )
    emit.add_argument("--bootstrap-servers", required=True, metavar="HOST:PORT", help="address of the cluster")
    emit.add_argument("--topic", default="user-activity", help="topic to send to (default: user-activity)")
    emit.add_argument("--rate", type=_rate, default=200.0, metavar="R", help="events per second (default: 200)")
    emit.add_argument("--count", type=_count, metavar="N", help="events to send (default: no limit)")
    emit.add_argument(
        "--format",
        choices=("cloudevents", "binary", "json", "avro"),
        default="cloudevents",
        help="CloudEvents in structured or binary mode, or a topic of an application's own in JSON, or in Avro with "
        "the schema registry of SCHEMA_REGISTRY_URL (default: cloudevents)",
    )
    _add_population(emit)
    _add_bad_share(emit)
    emit.set_defaults(run=_emit)

    history = commands.add_parser(
        "history",
        help="only the history, as a CSV file",
        description="Writes generated users in the form that the trainer reads, and their true groups to a second file "
        "(users.labels.csv beside users.csv).",
    )
    history.add_argument("file", type=Path, metavar="FILE", help="the CSV file to write")
    history.add_argument("--noise", action="store_true", help="no groups: every column is drawn independently")
    _add_population(history)
    history.set_defaults(run=_history)
    return parser


def _add_population(command: argparse.ArgumentParser) -> None:
    command.add_argument("--users", type=_count, default=2000, metavar="N", help="number of users (default: 2000)")
    command.add_argument("--seed", type=_seed, default=7, metavar="S", help="seed of the generated users (default: 7)")


def _add_bad_share(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--bad-share", type=_share, default=0.01, metavar="F", help="share of invalid events (default: 0.01)"
    )


def _checked(convert: Callable[[str], float], least: float, most: float, what: str) -> Callable[[str], float]:
    def checked(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
        return value

    return checked


_count = _checked(int, 1, 100_000_000, "an integer from 1 to 100,000,000")
_seed = _checked(int, 0, 2**32 - 1, "an integer from 0 to 4,294,967,295")
_port = _checked(int, 1024, 65535, "a port from 1024 to 65535")
_rate = _checked(float, 0.1, 100_000, "a number from 0.1 to 100,000")
_share = _checked(float, 0, 1, "a share from 0 to 1")


if __name__ == "__main__":
    raise SystemExit(main())
