import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from schemas.roles import Kind
from tests.support.findings_examples import BEFORE, SCRIPT, clear, none, odd, weak
from trainer.findings import Findings, Threshold, Tiers
from trainer.report.page import report_files

EXAMPLES = {"clear": clear, "weak": weak, "none": none, "odd": odd}
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, its text, its headings; unbalanced elements are errors."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content.decode())
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in {"td", "th"}:
            self.text += " "

    def handle_data(self, data: str) -> None:
        if {"style", "svg"} & set(self._open):
            return
        self.text += data
        if self.headings and self._open[-1:] == [f"h{self.headings[-1][0]}"]:
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    @property
    def words(self) -> str:
        """The text that is read, with one space between words."""
        return " ".join(self.text.split())

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, bytes]]:
    return {name: dict(report_files(example())) for name, example in EXAMPLES.items()}


@pytest.fixture(scope="module")
def pages(reports: dict[str, dict[str, bytes]]) -> dict[str, Page]:
    return {name: Page(files["report.html"]) for name, files in reports.items()}


def page_of(findings: Findings) -> Page:
    return Page(report_files(findings)["report.html"])


def test_a_report_is_a_page_and_its_pictures_under_plain_names(reports: dict[str, dict[str, bytes]]) -> None:
    for files in reports.values():
        assert "report.html" in files
        pictures = {name.rpartition(".")[0] for name in files if name != "report.html"}
        assert set(files) == {"report.html", *(f"{name}.{form}" for name in pictures for form in ("svg", "png"))}
        assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name) for name in files)


def test_equal_findings_give_the_same_report(reports: dict[str, dict[str, bytes]]) -> None:
    assert report_files(none()) == reports["none"]


def test_the_verdict_comes_first(pages: dict[str, Page]) -> None:
    assert [pages[name].headings[0] for name in ("clear", "weak", "none")] == [
        (1, "Yes: 5 clearly separate segments"),
        (1, "Perhaps: 3 segments, but not clearly separate"),
        (1, "No: there are no segments in these data"),
    ]
    assert "1.2 % of users lie between segments, 11 % would in data without segments." in pages["clear"].words


def test_headings_come_in_order_and_no_level_is_left_out(pages: dict[str, Page]) -> None:
    for page in pages.values():
        levels = [level for level, _ in page.headings]
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [text for level, text in pages["clear"].headings if level == 2] == [
        "The segments",
        "What changed",
        "Map",
        "Profile",
        "How many, and are they real?",
        "Privacy",
        "Data quality",
        "How it was made",
    ]


def test_without_segments_a_page_does_not_describe_any(
    pages: dict[str, Page], reports: dict[str, dict[str, bytes]]
) -> None:
    page = pages["none"]
    assert [text for level, text in page.headings if level == 2] == [
        "What to do",
        "How many, and are they real?",
        "Privacy",
        "Data quality",
        "How it was made",
    ]
    assert "Do not use these segments." in page.words
    assert "Collect other fields." in page.words
    assert "Use a threshold in Likes and Reactions." in page.words
    assert "A limit between two peaks describes users better" in page.words
    for told in ("Weekend-heavy", "elsewhere", "What to do. They", "show them offers"):
        assert told in pages["clear"].words
        assert told not in page.words
    for picture in ("figure-sizes", "figure-map", "figure-profile", "figure-migration"):
        assert f"{picture}.svg" in reports["clear"]
        assert f"{picture}.svg" not in reports["none"]
        assert picture.encode() not in reports["none"]["report.html"]


def test_a_limit_between_two_peaks_is_named_if_it_was_found() -> None:
    limit = Threshold("likes_and_reactions", "Likes and Reactions", Kind.NUMBER, 2_300.0)
    tiers = Tiers(limit.field, limit.header, limit.kind, 0.9, (limit.value,), (0.5, 0.5))
    words = page_of(replace(none(), thresholds=(limit,), tiers=tiers)).words
    assert "A limit between two peaks, such as 2,300, describes" in words
    assert "This cut lies where the fewest users are" in words
    assert "are alike" not in words


def test_a_page_without_segments_gives_the_reason_of_the_verdict_and_no_other() -> None:
    unstable = "in bootstrap resamples one segment overlaps with its match by only 40 % (60 % are needed)"
    judgement = replace(none().judgement, reason=f"{unstable}; 1 % of users lie between segments")
    words = page_of(replace(none(), judgement=judgement)).words
    assert f"{judgement.k} were fitted, but {unstable}. This report" in words
    assert "cut through" not in words
    assert "do not group users" not in words


def test_long_subjects_on_cards_and_in_the_heat_map_are_told_apart() -> None:
    findings = clear()
    question = f"How {'very ' * 30}satisfied are you with our team in"
    seasons = ("spring", "autumn")
    effects = tuple(
        replace(effect, header=f"{question} {season}", level=None)
        for season, effect in zip(seasons, findings.cards[0].effects, strict=False)
    )
    heat = tuple(
        replace(row, label=f"{question} {season}") for season, row in zip(seasons, findings.heat, strict=False)
    )
    cards = (replace(findings.cards[0], effects=effects), *findings.cards[1:])
    page = report_files(replace(findings, cards=cards, heat=heat))["report.html"].decode()
    subjects = re.findall(r'<p class="subject"><bdi>(.*?)</bdi>', page)[:2]
    assert [subject.endswith(f"in {season}") for subject, season in zip(subjects, seasons, strict=True)] == [True] * 2
    drawn = report_files(replace(findings, cards=cards, heat=heat))["figure-profile.svg"].decode()
    assert all(season in drawn for season in seasons)


def test_the_option_that_names_by_demographic_fields_is_said_above_the_cards() -> None:
    findings = clear()
    card = findings.cards[0]
    effects = tuple(replace(effect, group="demographic") for effect in card.effects)
    unnamed = replace(card, name=f"Segment {card.segment}", effects=effects)
    origin = replace(findings.origin, options={"not named": "demographic"})
    words = page_of(replace(findings, cards=(unnamed, *findings.cards[1:]), origin=origin)).words
    assert "give no names or suggestions unless you fit with --name-demographics." in words


def test_the_kinds_of_all_columns_are_explained(pages: dict[str, Page]) -> None:
    kinds = pages["clear"].words.partition("Kinds: ")[2].partition(". ")[0]
    assert [each.partition(" ")[0] for each in kinds.split(", ")] == [kind.value for kind in Kind]


def test_a_version_accepted_without_structure_is_marked_with_every_verdict(pages: dict[str, Page]) -> None:
    warning = f"The previous version, {BEFORE}, was put into production although no segments were found in its data"
    assert warning in pages["none"].words
    assert warning in pages["odd"].words
    assert "although no segments were found" not in pages["clear"].words


def test_a_card_shows_size_effects_and_use(pages: dict[str, Page]) -> None:
    words = pages["clear"].words.replace("\N{NO-BREAK SPACE}", " ")
    assert "4,310 users, 35 % of all; 20 outliers" in words
    assert "1,405 users, 11 % of all; <20 outliers" in words
    assert "Click-Through Rates (CTR) ▲ 0.17 against 0.06 elsewhere" in words
    assert "+1.90 sd (+1.76 to +2.06)" in words
    assert "What to do. They click far more often" in words
    assert "No single characteristic reliably sets this segment apart." in words


def test_a_card_says_where_it_goes_by_the_centre_only() -> None:
    found = clear()
    first, *others = found.cards
    by_centre = replace(first, effects=tuple(replace(effect, low=-2.0, high=2.0) for effect in first.effects))
    said = "No single characteristic reliably sets this segment apart. By its centre, it differs from the others in:"
    assert said not in page_of(found).words
    assert page_of(replace(found, cards=(by_centre, *others))).words.count(said) == 1
    untested = replace(found, tests=tuple(replace(test, survives=False) for test in found.tests))
    assert page_of(untested).words.count(said) == sum(bool(card.effects) for card in found.cards)


def test_what_changed_is_described_in_words_and_as_a_table(pages: dict[str, Page]) -> None:
    words = pages["clear"].words.replace("\N{NO-BREAK SPACE}", " ")
    assert "19 % of users (2,371 of 12,300) change their segment." in words
    assert "Split off from 3. Overlap 48 %." in words
    assert "4,180 31 0 <20 <20" in words
    assert "This is the first version" in pages["weak"].words


def test_a_map_that_shows_little_says_so(pages: dict[str, Page]) -> None:
    warning = "These two axes explain only 31 % of the variance."
    assert warning in pages["weak"].words.replace("\N{NO-BREAK SPACE}", " ")
    assert "These two axes explain only" not in pages["clear"].words


def test_how_fields_were_tested_is_explained_beside_their_p_values(pages: dict[str, Page]) -> None:
    words = pages["clear"].words
    assert "Each field was therefore tested against segments that were fitted without it" in words
    assert "Income Level ✓ yes p = 0.011" in words
    assert "Gender – not proven p = 0.62" in words


def test_where_no_field_passes_alone_the_cards_are_not_called_proof() -> None:
    findings = clear()
    tests = tuple(replace(test, survives=False) for test in findings.tests)
    assert "which is not proof" in page_of(replace(findings, tests=tests)).words
    assert "which is not proof" not in page_of(findings).words


def test_the_curves_are_also_a_table_with_small_counts_suppressed(pages: dict[str, Page]) -> None:
    words = pages["clear"].words
    assert "5 (chosen) 0.462 0.193 (0.187 to 0.199)" in words
    assert "4 (runner-up) 0.430" in words
    assert "<20 no, too small" in words
    assert "10 (given)" in pages["odd"].words


def test_a_field_that_segments_give_away_is_pointed_out(pages: dict[str, Page]) -> None:
    assert "The segments are a proxy for Income Level." in pages["clear"].words
    assert "The segments predict no demographic field more than weakly." in pages["none"].words
    strong = replace(none(), proxies=clear().proxies)
    assert "If you use this version anyway, its segments are a proxy for Income Level." in page_of(strong).words
    assert "The profile class has no field in the group demographic, so" in page_of(replace(none(), proxies=())).words


def test_the_quality_of_the_data_is_shown_column_by_column(pages: dict[str, Page]) -> None:
    words = pages["clear"].words.replace("\N{NO-BREAK SPACE}", " ")
    assert "12,345 users were read. 17 bad rows skipped" in words
    assert "Language has one value only and was dropped." in words
    assert "Followed Accounts ✓ yes 0.4 % – – behaviour number" in words
    assert "Age – no: unrelated to every other column – – – demographic ordered" in words


def test_without_segments_tiers_are_offered_and_never_called_segments(pages: dict[str, Page]) -> None:
    words = pages["none"].words.replace("\N{NO-BREAK SPACE}", " ")
    assert "Tiers are not segments." in words
    assert (
        "Likes and Reactions Users 1 (lowest) below 2,300 33 % 2 2,300 to below 6,100 34 % 3 (highest) 6,100 or"
        in words
    )
    assert "No tiers are offered: no cut of a number" in page_of(replace(none(), tiers=None)).words
    assert "Tiers" not in pages["weak"].words


def test_the_origin_is_shown_with_every_digest(pages: dict[str, Page]) -> None:
    words = pages["clear"].words
    for told in ("8f" * 32, "3c" * 32, "d1" * 32, BEFORE, "k chosen, only all", "numpy 2.4.0", "2026-11-24 12:00:00"):
        assert told in words


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_label_that_is_code_is_text(reports: dict[str, dict[str, bytes]], example: str) -> None:
    page = Page(reports[example]["report.html"])
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert (SCRIPT in page.text) == (example == "odd")
    assert "\x0b" not in page.text
    assert "\u202e" not in page.text


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_page_asks_for_nothing_from_elsewhere(reports: dict[str, dict[str, bytes]], example: str) -> None:
    content = reports[example]["report.html"].decode()
    page = Page(content.encode())
    policies = [attributes for tag, attributes in page.elements if tag == "meta" and "http-equiv" in attributes]
    assert [policy["http-equiv"] for policy in policies] == ["Content-Security-Policy"]
    assert (policies[0]["content"] or "").startswith("default-src 'none';")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "@import" not in content
    assert not re.search(r"url\((?!#)", content)
    # Names of XML namespaces, which nobody opens.
    assert set(re.findall(r"https?://[^\"'<\s)]*", content)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_page_can_be_read_by_screen_readers(pages: dict[str, Page], example: str) -> None:
    page = pages[example]
    tags = [tag for tag, _ in page.elements]
    assert ("html", {"lang": "en"}) in page.elements
    assert all(tags.count(landmark) == 1 for landmark in ("main", "nav", "footer"))
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            if name in attributes:
                assert attributes[name] in ids
        if tag == "svg":
            assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes.get("scope") in {"col", "row"}
        if tag == "a":
            assert (attributes.get("href") or "")[1:] in ids


def test_what_is_not_known_is_never_printed_as_none(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert not re.search(r"\bNone\b|\bnan\b|Undefined", page.text)


def test_findings_with_the_least_in_them_still_make_a_report() -> None:
    findings = weak()
    bare = replace(
        findings,
        judgement=replace(
            findings.judgement,
            borders=(),
            runner_up=None,
            trials=(replace(findings.judgement.trials[1], null_silhouette=None, gap=None, gap_error=None),),
            k_was_given=True,
        ),
        tests=(),
        cards=tuple(replace(card, effects=(), suggestion="") for card in findings.cards),
        proxies=(),
        quality=replace(findings.quality, columns=(), notes=()),
        origin=replace(findings.origin, options={}, libraries={}),
    )
    files = report_files(bare)
    assert sorted(files) == [
        *(f"figure-{name}.{form}" for name in ("map", "profile", "sizes") for form in ("png", "svg")),
        "report.html",
    ]
    assert "was given on the command line" in Page(files["report.html"]).words
