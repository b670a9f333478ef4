import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import pytest

from tests.support.findings_examples import CHINESE, EMOJI, HEBREW, SCRIPT, clear, none, odd, weak
from trainer.report.drawing import WIDTH, Picture
from trainer.report.figures import migration, pictures

SVG = "{http://www.w3.org/2000/svg}"
PNG_START = b"\x89PNG\r\n\x1a\n"

EVIDENCE = ["figure-silhouette", "figure-elbow", "figure-gap", "figure-stability", "figure-proxies"]
SEGMENTS = ["figure-sizes", "figure-map", "figure-profile"]


@pytest.fixture(scope="module")
def drawn() -> dict[str, Picture]:
    return {picture.name: picture for picture in pictures(clear())}


@pytest.fixture(scope="module")
def drawn_odd() -> dict[str, Picture]:
    return {picture.name: picture for picture in pictures(odd())}


def root_of(picture: Picture) -> ET.Element:
    return ET.fromstring(picture.svg)  # noqa: S314  # nobody else's


def texts(picture: Picture) -> list[str]:
    return ["".join(text.itertext()) for text in root_of(picture).iter(f"{SVG}text")]


def test_segments_are_drawn_where_there_are_some(drawn: dict[str, Picture]) -> None:
    assert [*drawn] == [*EVIDENCE, *SEGMENTS, "figure-migration"]
    assert [picture.name for picture in pictures(weak())] == [*EVIDENCE, *SEGMENTS]
    assert [picture.name for picture in pictures(none())] == EVIDENCE


def test_every_picture_is_an_svg_and_a_png(drawn: dict[str, Picture]) -> None:
    for picture in drawn.values():
        assert root_of(picture).tag == f"{SVG}svg"
        assert picture.png.startswith(PNG_START)


def test_equal_findings_give_the_same_bytes_whatever_the_settings_of_matplotlib(
    drawn: dict[str, Picture],
) -> None:
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert pictures(clear()) == tuple(drawn.values())
        assert mpl.rcParams["font.size"] == 30


def test_no_picture_says_when_or_by_what_it_was_drawn(drawn: dict[str, Picture]) -> None:
    for picture in drawn.values():
        assert b"<metadata" not in picture.svg
        assert b"Matplotlib" not in picture.svg + picture.png


def test_every_picture_is_described_in_words(drawn: dict[str, Picture]) -> None:
    for picture in drawn.values():
        root = root_of(picture)
        described = root.find(f"{SVG}desc")
        assert described is not None
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == described.get("id")
        assert described.text == picture.description
    assert "Chosen: 5. Runner-up: 4. Excluded because a segment would be too small: 9, 10." in (
        drawn["figure-silhouette"].description
    )
    assert "Segment 5, 900 users, 7" in drawn["figure-sizes"].description
    assert "Income Level 0.37 (0.31 to 0.44), clearly" in drawn["figure-proxies"].description
    assert "3 kept, 2 split off, 1 gone" in drawn["figure-migration"].description


def test_no_id_stands_in_two_pictures(drawn: dict[str, Picture]) -> None:
    ids = [name for picture in drawn.values() for name in re.findall(r'\bid="([^"]*)"', picture.inline())]
    assert len(ids) == len(set(ids))
    referred = {
        name for picture in drawn.values() for name in re.findall(r'(?:url\(#|href="#)([^")]*)', picture.inline())
    }
    assert referred
    assert referred <= set(ids)


def test_text_is_text_and_names_the_choice(drawn: dict[str, Picture]) -> None:
    assert {"chosen", "runner-up", "data without segments"} <= set(texts(drawn["figure-silhouette"]))
    assert "elbow" in texts(drawn["figure-elbow"])
    assert {"0.60", "0.75", "1.00"} <= set(texts(drawn["figure-stability"]))


def test_a_given_number_is_marked_as_given(drawn_odd: dict[str, Picture]) -> None:
    assert "given" in texts(drawn_odd["figure-gap"])
    assert "chosen" not in texts(drawn_odd["figure-gap"])


def test_each_segment_stands_with_its_users_and_share(drawn: dict[str, Picture]) -> None:
    found = [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts(drawn["figure-sizes"])]
    assert "4,310 · 35 %" in found
    assert "Weekend-heavy, high click-through" in found


def test_a_cell_far_from_the_mean_has_an_arrow_and_a_suppressed_one_neither_figure_nor_arrow(
    drawn: dict[str, Picture],
) -> None:
    found = texts(drawn["figure-profile"])
    assert "▼ 0.06" in found
    assert "▲ 0.17" in found
    assert "<20" in found


def test_who_moves_is_drawn_for_a_comparison_as_in_the_report(drawn: dict[str, Picture]) -> None:
    lineage = clear().lineage
    assert lineage is not None
    assert migration(lineage) == drawn["figure-migration"]
    assert {"4,180", "<20", "·"} <= set(texts(drawn["figure-migration"]))


def test_pictures_are_as_wide_as_a_phone_unless_they_need_more(
    drawn: dict[str, Picture], drawn_odd: dict[str, Picture]
) -> None:
    assert {picture.width for picture in drawn.values()} == {WIDTH}
    assert {name for name, picture in drawn_odd.items() if picture.width > WIDTH} == {
        "figure-profile",
        "figure-migration",
    }


def test_labels_of_any_script_are_text_and_no_formula_or_element(drawn_odd: dict[str, Picture]) -> None:
    found = texts(drawn_odd["figure-sizes"])
    for label in (SCRIPT, HEBREW, CHINESE, EMOJI, "$x_1$ and $\\frac{$", "a\"b'c&amp;", "line break end"):
        assert label in found
    assert b"<script" not in drawn_odd["figure-sizes"].svg


def test_one_number_of_segments_makes_no_curve() -> None:
    judgement = clear().judgement
    only = tuple(trial for trial in judgement.trials if trial.k == judgement.k)
    names = [picture.name for picture in pictures(replace(none(), judgement=replace(judgement, trials=only)))]
    assert not {"figure-silhouette", "figure-elbow", "figure-gap", "figure-stability"} & set(names)


def test_a_curve_that_was_not_measured_is_not_drawn() -> None:
    findings = none()
    bare = tuple(
        replace(trial, null_silhouette=None, gap=None, gap_error=None, stability=None)
        for trial in findings.judgement.trials
    )
    found = pictures(replace(findings, judgement=replace(findings.judgement, trials=bare, elbow_k=None)))
    assert [picture.name for picture in found] == ["figure-silhouette", "figure-elbow", "figure-proxies"]
    assert "data without segments" not in texts(found[0])


def test_flat_curves_are_drawn_too() -> None:
    findings = none()
    flat = tuple(
        replace(trial, silhouette=0.0, null_silhouette=(0.0, 0.0, 0.0), inertia=0.0, gap=0.0, gap_error=0.0)
        for trial in findings.judgement.trials
    )
    assert len(pictures(replace(findings, judgement=replace(findings.judgement, trials=flat)))) == len(EVIDENCE)
