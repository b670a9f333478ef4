"""The command `segment-worker`, also `python -m worker`: its arguments, and which function each command runs."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.settings_loading import SettingRow

    # argparse has no public name for it.
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

# The settings that each tool uses besides those of the connection. Flags for other settings would only mislead.
_TOPICS = ("worker_input_topic", "worker_output_topic", "worker_rejected_topic")
_INPUT = (
    *("worker_input_format", "worker_input_user", "worker_input_time", "worker_input_time_format"),
    *("worker_input_id", "worker_input_data", "worker_input_numeric_ids", "worker_input_where"),
    "schema_registry_url",
)
_USED = {
    "try": (
        *("models_dir", "model_alias", "model_public_key", "model_min_sequence", "profile_class"),
        *("worker_group_id", "worker_input_topic", *_INPUT, "worker_event_max_bytes"),
    ),
    "verify": (
        "worker_group_id",
        *_TOPICS,
        "worker_current_topic",
        "worker_start_at",
        "worker_result_time",
        *_INPUT,
        "worker_event_max_bytes",
    ),
    "replay": (
        *("worker_group_id", "worker_input_topic", "worker_rejected_topic"),
        *("worker_transaction_timeout_ms", "worker_event_max_bytes"),
    ),
    "asyncapi": ("profile_class", *_INPUT, *_TOPICS, "worker_current_topic"),
}

# More than a batch of the default size keeps alive.
_OBJECTS_OF_A_BATCH = 100_000

# For an input topic that `run` creates: 2, 3 or 6 workers can share it evenly.
_PARTITIONS = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        status = _main(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output has closed it; what is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(argv: Sequence[str] | None) -> int:
    from worker.settings_loading import setting_rows

    rows = setting_rows()
    parser, commands = build_parser(rows)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        # Here and not by argparse, which would show the usage of `segment-worker` instead of the command's.
        commands[arguments.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    flags = {row.field: value for row in rows if (value := getattr(arguments, row.field, None)) is not None}
    if arguments.command == "run":
        if arguments.partitions is not None and not arguments.create_topics:
            commands["run"].error(f"--partitions {arguments.partitions} needs --create-topics")
        return _run(flags, arguments)
    return _tool(flags, arguments)


def _run(flags: dict[str, str], arguments: argparse.Namespace) -> int:
    from worker.lifecycle import StopSignals

    # Before the larger imports, so that a signal during them counts too.
    stop = StopSignals()
    # Its threads cost more than they save on arrays as small as a batch.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What imports create stays until the end: collecting garbage among it takes a tenth of the start.
    gc.disable()
    from worker.run import run

    gc.freeze()
    gc.enable()
    # A collection in the middle of a batch would look through all of its objects, none of which is garbage.
    gc.set_threshold(_OBJECTS_OF_A_BATCH)
    partitions = _PARTITIONS if arguments.partitions is None else arguments.partitions
    return run(flags, stop, partitions if arguments.create_topics else None)


def _tool(flags: dict[str, str], arguments: argparse.Namespace) -> int:
    from worker.errors import ending
    from worker.operations.logs import configure_logs

    # The tool's output says everything; the client's own warnings would only clutter it.
    configure_logs(sys.stderr, "error")
    try:
        return _run_tool(flags, arguments)
    except Exception as error:  # noqa: BLE001  # the last place where an error can still become one line
        status, lines = ending(error)
        for line in lines:
            _report(line)
        return status


def _run_tool(flags: dict[str, str], arguments: argparse.Namespace) -> int:
    from worker.tools.bounds import bounds_of

    match arguments.command:
        case "check":
            from worker.tools.check.command import run as check

            return check(flags, as_json=arguments.json)
        case "verify":
            from worker.tools.verify.command import run as verify

            return verify(flags, bounds_of(arguments), _report, as_json=arguments.json)
        case "try":
            from worker.tools.trial.command import run as trial

            return trial(flags, arguments.file, arguments.count, _report)
        case "replay":
            from worker.lifecycle import StopSignals

            stop = StopSignals()
            from worker.tools.replay.command import run as replay
            from worker.tools.replay.selection import Selection

            reasons, partitions = frozenset(arguments.reason), frozenset(arguments.partition)
            selection = Selection(reasons, partitions, bounds_of(arguments))
            return replay(flags, selection, arguments.max_hops, stop, _report, dry_run=arguments.dry_run)
        case _:
            from worker.tools.asyncapi import run as asyncapi

            return asyncapi(flags)


def _report(line: str) -> None:
    print(f"segment-worker: {line}", file=sys.stderr)


# --- arguments -------------------------------------------------------------------------------------------------------


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from schemas.release import release

        sys.stdout.write(f"segment-worker {release()}\n")
        parser.exit()


def build_parser(
    rows: Sequence[SettingRow],
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of `segment-worker`, and that of each command."""
    from worker.tools.bounds import add_bounds

    parser = argparse.ArgumentParser(
        prog="segment-worker", description="Assigns users to segments as their events arrive, exactly once."
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = _command(commands, "run", "consume, validate, assign and publish until stopped")
    run.add_argument("--create-topics", action="store_true", help="create missing topics first")
    run.add_argument(
        "--partitions",
        type=_number,
        metavar="N",
        help=f"partitions of the input topic, if --create-topics creates it (default: {_PARTITIONS})",
    )
    check = _command(
        commands, "check", "report every problem that would keep `run` from starting, and what to do about it"
    )
    check.add_argument("--json", action="store_true", help="print JSON for machines")
    trial = _command(commands, "try", "print what would become of some records: their segment, or why they have none")
    trial.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="a file with one record in each line, or - for standard input (default: the newest of the input topic)",
    )
    trial.add_argument(
        "--count", type=_number, default=20, metavar="N", help="how many records to try at most (default: 20)"
    )
    verify = _command(commands, "verify", "prove that each committed input record has exactly one outcome")
    verify.add_argument("--json", action="store_true", help="print JSON for machines")
    add_bounds(verify, "input record")
    _add_replay(commands)
    _command(commands, "asyncapi", "print the AsyncAPI 3 document of the topics")
    for name, command in commands.choices.items():
        _add_settings(command, used_settings(name, rows))
    return parser, dict(commands.choices)


def used_settings(command: str, rows: Iterable[SettingRow]) -> tuple[SettingRow, ...]:
    """The settings that a command uses."""
    used = _USED.get(command)
    connects = command != "asyncapi"
    return tuple(row for row in rows if used is None or row.field in used or (connects and row.field[:6] == "kafka_"))


def _command(commands: _Commands, name: str, summary: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        usage=f"segment-worker {name} [OPTION ...] [SETTING ...]",
        epilog="A setting comes from its flag, else its environment variable, else .env, else\n"
        "the default, in parentheses. docs/reference.md describes every setting in full.",
        formatter_class=_Help,
        allow_abbrev=False,
    )


def _add_settings(command: argparse.ArgumentParser, rows: Iterable[SettingRow]) -> None:
    for title, group in groupby(rows, lambda row: row.group):
        settings = list(group)
        variables = textwrap.fill(", ".join(row.variable for row in settings), 76)
        added = command.add_argument_group(f"settings: {title}", variables)
        for row in settings:
            if row.flag is not None:
                added.add_argument(row.flag, dest=row.field, metavar="VALUE", help=_help(row))


def _add_replay(commands: _Commands) -> None:
    from schemas.rejected import RejectReason
    from worker.tools.bounds import add_bounds

    replay = _command(commands, "replay", "send rejected events back to the input, each once")
    replay.description = _REPLAY
    replay.add_argument(
        "--reason",
        action="append",
        default=[],
        choices=[str(reason) for reason in RejectReason],
        help="only events rejected for this reason; may be repeated",
    )
    replay.add_argument(
        "--partition",
        action="append",
        default=[],
        type=_number,
        metavar="N",
        help="only this partition of the dead-letter topic; may be repeated",
    )
    replay.add_argument(
        "--max-hops",
        type=_number,
        default=3,
        metavar="N",
        help="leave out events that were already sent back this many times (default: 3)",
    )
    replay.add_argument("--dry-run", action="store_true", help="only count what would be sent")
    add_bounds(replay, "record of the dead-letter topic")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}")
    return int(text)


_REPLAY = """\
Send rejected events back to the input as they came, each once. The progress is
committed together with the events, so the same command continues where an
interrupted one ended. It sends what is in the dead-letter topic when it starts.

Replayed events come after all events that are in the input topic now, so the
order of a user's events is lost. Each combination of --reason, --partition and
bounds has its own progress, which the brokers keep as long as the offsets of an
empty group (7 days by default); an event that matches two combinations is sent
by both. Run one at a time: a second run ends the first. docs/kafka.md lists the
ACLs that it needs."""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Whole words: a default such as segment-worker is not broken at its hyphen."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


def _help(row: SettingRow) -> str:
    return (row.summary + (f" ({row.default})" if row.default else "")).replace("%", "%%")


if __name__ == "__main__":
    raise SystemExit(main())
