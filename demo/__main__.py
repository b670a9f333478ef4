"""The command line of the demo: segment-demo, or python -m demo."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from demo.errors import DemoError
from demo.interrupts import Interrupts

DONE, FAILED, ACT_FIRST, INTERRUPTED = 0, 1, 2, 130

OUR_PACKAGES = frozenset({"demo", "worker", "trainer", "models", "schemas"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 a person must act first, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    # What a client has to say to a person comes as an error; its own log would tear the picture apart.
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
            f'{package} is missing; it comes with the extra "demo" '
            "(from a checkout: pip install --require-hashes -r requirements/demo.txt)"
        )
        return _failed(reason, ACT_FIRST)
    except OSError as error:
        return _failed(f"{error.filename or 'a file'}: {error.strerror or error}", ACT_FIRST)
    except KeyboardInterrupt:
        return _failed("interrupted; nothing is left running", INTERRUPTED)
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

    with running_broker(port=arguments.port, announce=_say) as broker, interrupts.noted() as stopped:
        _say(f"Apache Kafka 4.3.1 is ready; its data are in {broker.data_dir} and go when it stops. Ctrl-C stops it.")
        print(broker.bootstrap_servers, flush=True)
        while not stopped():
            broker.check()
            time.sleep(0.2)
    return DONE


def _emit(arguments: argparse.Namespace) -> int:
    interrupts = Interrupts()
    from demo.emit import TURN_S, Emitter
    from demo.kafka.client import Sender
    from demo.population import Population

    population = Population(users=arguments.users, seed=arguments.seed)
    with Sender(arguments.bootstrap_servers, arguments.topic) as sender, interrupts.noted() as stopped:
        emitter = Emitter(sender, population, count=arguments.count, bad_share=arguments.bad_share, rate=arguments.rate)
        tell_at = time.monotonic()
        while not emitter.done and not stopped():
            emitter.send_due()
            if time.monotonic() >= tell_at:
                _say(f"{emitter.sent:,} sent")
                tell_at += _TELL_EVERY_S
            time.sleep(TURN_S)
    bad = ", ".join(f"{reason} {count}" for reason, count in sorted(emitter.bad.items()))
    _say(f"{emitter.sent:,} events sent to {arguments.topic}: {emitter.good:,} good; bad on purpose: {bad or 'none'}")
    return DONE


def _history(arguments: argparse.Namespace) -> int:
    from demo.history import labels_path, write_history
    from demo.population import Population, Structure

    structure = Structure.NOISE if arguments.noise else Structure.PLANTED
    write_history(arguments.file, Population(arguments.users, arguments.seed, structure))
    _say(f"{arguments.users:,} users in {arguments.file}, their true groups in {labels_path(arguments.file)}")
    return DONE


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_TELL_EVERY_S = 5


# --- arguments -------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segment-demo",
        description="A real Apache Kafka in a box, made-up users, and the programs at work on them.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="broker, history, fit, worker, a stream of events and what comes of it",
        description="Starts a broker, writes a history, fits and promotes segments, starts a worker, sends events, "
        "shows what comes out, and checks at the end that each event has exactly one outcome. Ctrl-C while events flow "
        "finishes those already sent; pressed again, or earlier, it ends everything at once (exit status 130).",
    )
    run.add_argument("--events", type=_count, default=20_000, metavar="N", help="events to send (default: 20000)")
    run.add_argument("--rate", type=_rate, default=2000.0, metavar="R", help="events a second (default: 2000)")
    run.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="where history, models and logs stay (default: demo-output)",
    )
    _add_population(run)
    _add_bad_share(run)
    run.set_defaults(run=_run)

    broker = commands.add_parser(
        "broker",
        help="just the broker, until Ctrl-C",
        description="Starts a real Apache Kafka on this machine and prints where it is. Its data go when it stops.",
    )
    broker.add_argument("--port", type=_port, default=9092, metavar="P", help="port for clients (default: 9092)")
    broker.set_defaults(run=_broker)

    emit = commands.add_parser(
        "emit",
        help="just the events, towards any broker",
        description="Sends events of made-up users, and some that are wrong on purpose, to a topic of a cluster that "
        "asks for no login, until Ctrl-C or all are sent.",
    )
    emit.add_argument("--bootstrap-servers", required=True, metavar="HOST:PORT", help="the cluster")
    emit.add_argument("--topic", default="user-activity", help="where to send (default: user-activity)")
    emit.add_argument("--rate", type=_rate, default=200.0, metavar="R", help="events a second (default: 200)")
    emit.add_argument("--count", type=_count, metavar="N", help="events to send (default: without end)")
    _add_population(emit)
    _add_bad_share(emit)
    emit.set_defaults(run=_emit)

    history = commands.add_parser(
        "history",
        help="just the history, as a CSV",
        description="Writes made-up users as the trainer reads them, and beside it their true groups "
        "(users.labels.csv beside users.csv).",
    )
    history.add_argument("file", type=Path, metavar="FILE", help="the CSV to write")
    history.add_argument("--noise", action="store_true", help="no groups: each column drawn by itself")
    _add_population(history)
    history.set_defaults(run=_history)
    return parser


def _add_population(command: argparse.ArgumentParser) -> None:
    command.add_argument("--users", type=_count, default=2000, metavar="N", help="users there are (default: 2000)")
    command.add_argument("--seed", type=_seed, default=7, metavar="S", help="which users these are (default: 7)")


def _add_bad_share(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--bad-share", type=_share, default=0.01, metavar="F", help="share of events that are wrong (default: 0.01)"
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


_count = _checked(int, 1, 100_000_000, "a whole number from 1 to 100,000,000")
_seed = _checked(int, 0, 2**32 - 1, "a whole number from 0 to 4294967295")
_port = _checked(int, 1024, 65535, "a port from 1024 to 65535")
_rate = _checked(float, 0.1, 100_000, "a number from 0.1 to 100,000")
_share = _checked(float, 0, 1, "a share from 0 to 1")


if __name__ == "__main__":
    raise SystemExit(main())
