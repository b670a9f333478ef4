"""`python docs/make_reference.py > docs/reference.md` writes the commands and settings as the code defines them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from demo.__main__ import _parser as demo_parser
from trainer.__main__ import _parser as trainer_parser
from trainer.settings import TrainerSettings
from worker.__main__ import build_parser, used_settings
from worker.settings_loading import SettingRow, setting_rows

HEAD = """\
# Commands and settings

Printed from the code by `python docs/make_reference.py`; do not edit by hand.
"""
WORKER_SETTINGS = """\
A setting comes from its flag, else its environment variable, else the same name in `.env`, else the default. An empty
variable counts as not set. Secrets have no flag: other users of a machine can read its processes' arguments.
"""


def main() -> None:
    """Print the page."""
    sys.stdout.write("\n".join(_page()) + "\n")


def _page() -> Iterator[str]:
    rows = setting_rows()
    worker, _ = build_parser(rows)
    yield HEAD
    for parser in (worker, trainer_parser(TrainerSettings.model_construct()), demo_parser()):
        yield f"## {parser.prog}\n\n{parser.description}\n"
        for name, command in _commands(parser).items():
            yield f"### {parser.prog} {name}\n"
            yield f"{command.description}\n"
            yield from _table(("argument", "meaning"), [_argument(command, each) for each in _arguments(command)])
            if parser is worker:
                yield f"Settings: {_used(name, rows)}.\n"
    yield f"## Settings of the worker\n\n{WORKER_SETTINGS}"
    for title, group in groupby(rows, lambda row: row.group):
        yield f"### Settings: {title}\n"
        yield from _table(
            ("variable", "flag", "default", "takes", "meaning"),
            [
                (_code(each.variable), _code(each.flag), _code(each.default), each.allowed, each.meaning)
                for each in group
            ],
        )


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001  # argparse shows them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # see above
            return dict(action.choices)
    return {}


def _arguments(command: argparse.ArgumentParser) -> list[argparse.Action]:
    settings = {row.flag for row in setting_rows()} if command.prog.startswith("segment-worker") else set()
    actions = command._actions  # noqa: SLF001  # see above
    shown = [each for each in actions if each.dest != "help" and each.help != argparse.SUPPRESS]
    return [each for each in shown if settings.isdisjoint(each.option_strings)]


def _argument(command: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    takes = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    names = ", ".join(action.option_strings)
    given = (names + takes).strip()
    if action.option_strings and action.required:
        given += " (required)"
    meaning = (action.help or "") % {**vars(action), "prog": command.prog}
    choices = "" if action.choices is None else f"; one of {', '.join(map(_code, action.choices))}"
    return _code(given), meaning + choices


def _used(command: str, rows: Sequence[SettingRow]) -> str:
    used = used_settings(command, rows)
    if len(used) == len(rows):
        return "all of [Settings of the worker](#settings-of-the-worker)"
    connection = ["those of Kafka and Kafka security"] if any(row.field.startswith("kafka_") for row in used) else []
    return ", ".join([*connection, *(_code(row.variable) for row in used if not row.field.startswith("kafka_"))])


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    if not lines:
        return
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for cells in lines:
        yield "| " + " | ".join(cells) + " |"
    yield ""


if __name__ == "__main__":
    main()
