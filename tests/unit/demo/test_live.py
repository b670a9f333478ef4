from __future__ import annotations

import html
import re
from io import StringIO
from pathlib import Path

from rich.console import Console

from demo.live import Picture, line, rendered, view
from schemas.rejected import RejectReason
from tests.support.outcomes import assigned, outcomes


def picture(elapsed_s: float = 12.0, sent: int = 9_000, done: int = 8_000, lag: int = 1_000) -> Picture:
    found = outcomes(*(assigned(f"user-{number}", number % 5, 0, number) for number in range(1, 20)))
    return Picture(
        elapsed_s=elapsed_s,
        sent=sent,
        to_send=20_000,
        sent_per_s=1500,
        done_per_s=1487.4,
        lag=lag,
        assigned=done - 60,
        rejected=60,
        segments={0: (done - 60) * 3 // 4, 1: (done - 60) // 4, 2: 1, 3: 1, 4: 1},
        names={number: f"Long hours online, many follows, group {number}" for number in range(5)},
        reasons={str(reason): 10 for reason in RejectReason},
        last=tuple(found.last),
    )


def terminal(text: StringIO) -> Console:
    return Console(file=text, force_terminal=True, width=80, height=24, color_system=None)


def test_the_picture_fits_a_terminal_of_80_columns_and_24_lines() -> None:
    text = StringIO()
    terminal(text).print(rendered(picture()))

    lines = text.getvalue().splitlines()
    assert len(lines) <= 23, "and the cursor stands below"
    assert max(map(len, lines)) == 80


def test_the_picture_shows_throughput_lag_shares_rejects_and_the_last_assignments() -> None:
    text = StringIO()
    terminal(text).print(rendered(picture()))

    for shown in ("8,000 of 20,000", "1,487/s", "1,000 events", "75.0%", "invalid_profile", "user-19", "█"):
        assert shown in text.getvalue()


def test_a_long_name_is_shortened_and_the_figures_beside_it_are_not() -> None:
    text = StringIO()
    terminal(text).print(rendered(picture()))

    *_, last = (line for line in text.getvalue().splitlines() if "user-" in line)
    assert re.search(r"user-\d+ +Long hours online, many f\w*… +\d+\.\d\d +\d\.\d\d", last)


def test_a_segment_has_one_colour_in_the_bars_and_among_the_last_assigned() -> None:
    text = StringIO()
    console = Console(file=text, force_terminal=True, width=80, height=24, color_system="standard")
    console.print(rendered(picture()))

    bars = dict(re.findall(r"group (\d) +\x1b\[(\d+)m█", text.getvalue()))
    named = re.findall(r"user-(\d+) +\x1b\[(\d+)mLong", text.getvalue())
    assert len(set(bars.values())) == 5
    assert named
    assert [(user, colour) for user, colour in named if bars[str(int(user) % 5)] != colour] == []


def test_the_drawing_in_the_documents_shows_this_view_and_loads_nothing() -> None:
    drawing = Path(__file__).parents[3].joinpath("docs/demo.svg").read_text()

    text = StringIO()
    terminal(text).print(rendered(picture()))
    rows = [line.strip("│ ") for line in text.getvalue().splitlines() if "assigned at" in line or "share" in line]
    headings = {heading for row in rows for heading in re.split(" {2,}", row)}
    assert {"segment", "share", "assigned at", "margin"} <= headings
    words = html.unescape(drawing).replace("\N{NO-BREAK SPACE}", " ")
    assert {heading for heading in headings if heading not in words} == set(), "run docs/draw_demo.py"
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg\")|url\((?!#)|href=|<script|<image", drawing) == []


def test_the_picture_before_the_first_outcome_is_complete_too() -> None:
    text = StringIO()
    nothing = Picture(0.1, 0, 20_000, 0, 0, 0, 0, 0, {}, {}, {}, ())
    terminal(text).print(rendered(nothing))

    assert "0 of 20,000" in text.getvalue()
    assert line(nothing).startswith("  0.1 s  sent 0")


def test_without_a_terminal_there_is_a_line_every_two_seconds_and_one_at_the_end() -> None:
    text = StringIO()

    with view(Console(file=text, width=20)) as shown:
        for tenth in range(50):
            shown.show(picture(elapsed_s=tenth / 10))
        shown.show(picture(elapsed_s=5.0, sent=20_000, done=20_000, lag=0))

    lines = text.getvalue().splitlines()
    assert [one.split()[0] for one in lines] == ["0.0", "2.0", "4.0", "5.0"]
    assert "assigned 19,940  rejected 60  1,487/s  lag 0  segments 0: 75%, 1: 25%" in lines[-1]


def test_on_a_terminal_a_picture_replaces_the_one_before() -> None:
    text = StringIO()

    with view(terminal(text)) as shown:
        shown.show(picture(done=1_000))
        shown.show(picture(done=2_000))

    assert "\x1b[1A" in text.getvalue(), "the cursor goes up"
    assert "2,000 of 20,000" in text.getvalue()
