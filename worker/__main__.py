"""The command `segment-worker`, also `python -m worker`."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.settings import SettingRow
    from worker.tools.bounds import Bounds

# What each of the tools listens to, beside how to connect: a flag that changes nothing would only mislead.
_TOPICS = ("worker_input_topic", "worker_output_topic", "worker_rejected_topic")
_HEARD = {
    "verify": ("worker_group_id", *_TOPICS, "worker_start_at"),
    "replay": (
        *("worker_group_id", "worker_input_topic", "worker_rejected_topic"),
        *("worker_transaction_timeout_ms", "worker_event_max_bytes"),
    ),
    "asyncapi": ("profile_class", *_TOPICS),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        status = _main(argv)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough of it; what is left must not fail again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(argv: Sequence[str] | None) -> int:
    from worker.settings import setting_rows
    from worker.tools.bounds import bounds_of

    rows = setting_rows()
    arguments = _parser(rows).parse_args(argv)
    flags = {row.field: value for row in rows if (value := getattr(arguments, row.field, None)) is not None}
    match arguments.command:
        case "run":
            from worker.lifecycle import StopSignals

            # Before the larger imports, so that a signal during them is followed too.
            stop = StopSignals()
            # What imports make stays for good: looking for garbage in it takes a tenth of the start, and goes on later.
            gc.disable()
            from worker.run import run

            gc.freeze()
            gc.enable()
            return run(flags, stop, create_topics=arguments.create_topics)
        case "check":
            return _check(flags, as_json=arguments.json)
        case "verify":
            return _verify(flags, bounds_of(arguments), as_json=arguments.json)
        case "replay":
            return _replay(flags, arguments)
        case _:
            return _asyncapi(flags)


def _check(flags: dict[str, str], *, as_json: bool) -> int:
    from worker.cluster_rules import problems
    from worker.operations.logs import configure_logs
    from worker.tools.check import output
    from worker.tools.check.command import preflight

    # The findings say all that there is to say; kafka-python's warnings are none.
    configure_logs(sys.stderr, "error")
    findings = preflight(flags)
    sys.stdout.write(output.as_json(findings) if as_json else output.as_text(findings))
    return 2 if problems(findings) else 0


def _verify(flags: dict[str, str], bounds: Bounds, *, as_json: bool) -> int:
    from worker.errors import ending
    from worker.operations.logs import configure_logs
    from worker.settings import load_settings
    from worker.tools.verify import audit as verify
    from worker.tools.verify.command import audit

    configure_logs(sys.stderr, "error")
    _tell(*_misspelt())
    try:
        found = audit(load_settings(flags), bounds, _tell)
    except Exception as error:  # noqa: BLE001  # the last place where an error can still be told in one line
        status, lines = ending(error)
        _tell(*lines)
        return status
    sys.stdout.write(verify.as_json(found) if as_json else verify.as_text(found))
    return 0 if found.clean else 1


def _replay(flags: dict[str, str], arguments: argparse.Namespace) -> int:
    from worker.errors import ending
    from worker.lifecycle import StopSignals
    from worker.operations.logs import configure_logs
    from worker.settings import load_settings
    from worker.tools.bounds import bounds_of
    from worker.tools.replay.command import Replay, count, send
    from worker.tools.replay.selection import Selection, as_text

    stop = StopSignals()
    configure_logs(sys.stderr, "error")
    misspelt = _misspelt()
    _tell(*misspelt)
    if misspelt and not arguments.dry_run:
        # What it sends cannot be taken back, so it has to be where it was meant to be.
        return 2
    reasons, partitions = frozenset(arguments.reason), frozenset(arguments.partition)
    try:
        settings = load_settings(flags)
        replay = Replay(settings, Selection(reasons, partitions, bounds_of(arguments)), arguments.max_hops)
        if arguments.dry_run:
            verb, counts = "would send", count(replay, _tell)
        else:
            verb, counts = "sent", send(replay, stop, _tell)
    except Exception as error:  # noqa: BLE001  # the last place where an error can still be told in one line
        status, lines = ending(error)
        _tell(*lines)
        return status
    sys.stdout.write(as_text(counts, verb, settings.worker_input_topic))
    return 0


def _misspelt() -> tuple[str, ...]:
    from worker.settings import misspelt_settings

    return tuple(
        f"{given} is no setting; did you mean {meant}? Rename or remove it" for given, meant in misspelt_settings()
    )


def _tell(*lines: str) -> None:
    for line in lines:
        print(f"segment-worker: {line}", file=sys.stderr)


def _asyncapi(flags: dict[str, str]) -> int:
    import orjson

    from schemas.asyncapi import asyncapi_document
    from schemas.errors import ProfileClassError
    from schemas.release import release
    from schemas.roles import load_profile_class
    from worker.errors import SettingsError
    from worker.settings import load_settings

    try:
        settings = load_settings(flags)
        document = asyncapi_document(load_profile_class(settings.profile_class), *settings.topics, version=release())
    except (SettingsError, ProfileClassError) as error:
        for line in str(error).splitlines():
            print(f"segment-worker: {line}", file=sys.stderr)
        return 2
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from schemas.release import release

        sys.stdout.write(f"segment-worker {release()}\n")
        parser.exit()


def _parser(rows: Sequence[SettingRow]) -> argparse.ArgumentParser:
    from worker.tools.bounds import add_bounds

    parser = argparse.ArgumentParser(
        prog="segment-worker", description="Assigns users to segments as their events arrive, exactly once."
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = _command(commands, rows, "run", "consume, validate, assign, publish, until stopped")
    run.add_argument("--create-topics", action="store_true", help="first create those of the topics that do not exist")
    check = _command(commands, rows, "check", "name every problem that would keep `run` from running, and what to do")
    check.add_argument("--json", action="store_true", help="print for machines")
    verify = _command(commands, rows, "verify", "prove that each committed input record has exactly one outcome")
    verify.add_argument("--json", action="store_true", help="print for machines")
    add_bounds(verify, "input record")
    _add_replay(commands, rows)
    _command(commands, rows, "asyncapi", "print the AsyncAPI 3 document of the topics")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], rows: Sequence[SettingRow], name: str, summary: str
) -> argparse.ArgumentParser:
    heard = _HEARD.get(name)
    if heard is not None:
        connects = name != "asyncapi"
        rows = [row for row in rows if row.field in heard or (connects and row.field.startswith("kafka_"))]
    command = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=_environment_only([row for row in rows if row.flag is None]),
        formatter_class=_Help,
        allow_abbrev=False,
    )
    group = command.add_argument_group(
        "settings", "A flag, else the environment variable, else the same name in .env, else the default."
    )
    for row in rows:
        if row.flag is not None:
            group.add_argument(row.flag, dest=row.field, metavar="VALUE", help=_help(row))
    return command


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser], rows: Sequence[SettingRow]) -> None:
    from schemas.rejected import RejectReason
    from worker.tools.bounds import add_bounds

    replay = _command(commands, rows, "replay", "send rejected events back to the input, each once")
    replay.description = _REPLAY
    replay.add_argument(
        "--reason",
        action="append",
        default=[],
        choices=[str(reason) for reason in RejectReason],
        help="only events rejected for this reason; may be given several times",
    )
    replay.add_argument(
        "--partition",
        action="append",
        default=[],
        type=_number,
        metavar="N",
        help="only this partition of the rejected topic; may be given several times",
    )
    replay.add_argument(
        "--max-hops",
        type=_number,
        default=3,
        metavar="N",
        help="leave out what was sent back this often already (default: 3)",
    )
    replay.add_argument("--dry-run", action="store_true", help="only count what would be sent")
    add_bounds(replay, "record of the rejected topic")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


_REPLAY = """\
Send rejected events back to the input as they came, each once: what makes one
run's events visible also keeps how far it came, so the same command goes on
after whatever ended it. It sends what is in the rejected topic when it starts.

The order of one user's events is lost: they come after all that are there now.
Progress is kept for each combination of --reason, --partition and bounds, as
long as the brokers keep offsets of a group without members (7 days by default);
another combination sends again what both have. One run at a time: a second one
ends the first. Rights: READ on the rejected topic and on groups that begin with
<group id>-, WRITE on the input topic and on transactional ids that begin so."""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Whole words: a default such as segment-worker is not broken at its hyphen."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


def _described(row: SettingRow) -> str:
    allowed = f" Takes {row.allowed}." if row.allowed not in {"text", "a path"} else ""
    return f"{row.meaning}{allowed} Default: {row.default or 'none'}."


def _help(row: SettingRow) -> str:
    return f"{_described(row)} [{row.variable}]".replace("%", "%%")


def _environment_only(rows: Sequence[SettingRow]) -> str:
    indent = " " * 24
    lines = ["settings without a flag:"] if rows else []
    for row in rows:
        lines.append(f"  {row.variable}")
        lines += [indent + line for line in textwrap.wrap(_described(row), 80 - len(indent), break_on_hyphens=False)]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
