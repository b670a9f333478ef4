import io
import sys

import pytest

from trainer.text.console import print_facts, print_table
from trainer.text.progress import watched

HEADERS = ("version", "note")
ROWS = [("20261124T155026Z-75de2afb", "a [bold]bracket[/bold]"), ("20261124T155049Z-0078051e", "")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")  # no colours between the words
    return terminal


def test_a_pipe_gets_aligned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADERS, ROWS)
    print_facts([("a", "1")], [("long", "2")])
    assert capsys.readouterr().out.splitlines() == [
        "version                    note",
        "20261124T155026Z-75de2afb  a [bold]bracket[/bold]",
        "20261124T155049Z-0078051e",
        "a     1",
        "long  2",
    ]


def test_a_wide_terminal_gets_a_drawn_table_with_its_values_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch, columns=100)
    print_table(HEADERS, ROWS)
    assert "───" in terminal.getvalue()
    assert "a [bold]bracket[/bold]" in terminal.getvalue()


@pytest.mark.parametrize("columns", range(20, 70, 5))
def test_a_narrow_terminal_never_breaks_what_is_to_be_copied(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = on_terminal(monkeypatch, columns)
    print_table(HEADERS, ROWS)
    command = "segment-trainer promote 20261124T155026Z-75de2afb --models a-long-name-of-a-directory"
    print_facts([("columns", "some, many, words " * 10)], [("next", command)])
    assert all(row[0] in terminal.getvalue() for row in ROWS)
    assert terminal.getvalue().endswith(f"next     {command}\n")


def test_progress_is_a_line_a_step_in_a_pipe() -> None:
    stream = io.StringIO()
    with watched(stream) as watcher:
        for done in range(3):
            watcher.at("reading", done, 3)
        watcher.at("writing")
    assert stream.getvalue() == "reading …\nwriting …\n"


def test_progress_is_a_bar_on_a_terminal_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with watched(terminal) as watcher:
        watcher.at("reading", 1, 2)
        watcher.at("writing")
    assert "reading" in terminal.getvalue() or "writing" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")  # the line of the bar is erased
