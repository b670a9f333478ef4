"""Names of 200 generated tables, compared with the means that they speak of."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.manifest import Verdict
from schemas.roles import Kind, ProfileField
from tests.support.samples import as_given, sample_of
from trainer.explaining.cards import cards
from trainer.explaining.division import Division
from trainer.explaining.effects import effects, strength, way_of
from trainer.explaining.naming import LONGEST_NAME
from trainer.explaining.phrases import phrase
from trainer.explaining.titles import Titles

LEVELS = ("lowest", "low", "middle", "high", "highest")
LONG = "of all that were counted by us in the year of"
# Also headers that say how much by themselves, and long ones that differ only at the end.
FIELDS = (
    *(
        ProfileField(header.split()[-1], header, "behaviour", kind, levels)
        for kind, levels, headers in (
            (Kind.NUMBER, (), ("n0", "High n1", f"low number {LONG} n2", f"low number {LONG} n3")),
            (Kind.ORDERED, LEVELS, ("o0", "few o1", f"Grade {LONG} o2", f"Grade {LONG} o3")),
            (Kind.BOOLEAN, (), ("many b",)),
            (Kind.CATEGORY, (), ("c", "less d")),
            (Kind.SEVERAL_OF, (), ("s",)),
        )
        for header in headers
    ),
)
ITEMS = ("x", "less y", "z")
DEGREES = ("high", "low", "medium", "less")


def table(seed: int) -> tuple[Mapping[str, list[Any]], Division]:
    """Two to six groups that differ in some fields: by location, by scale and tail, by the shape of shares."""
    generator = np.random.default_rng(seed)
    k = int(generator.integers(2, 7))
    labels = generator.permutation(np.repeat(np.arange(k), generator.integers(25, 80, k)))
    columns: dict[str, list[Any]] = {}
    fields = [FIELDS[place] for place in generator.permutation(len(FIELDS))[: generator.integers(1, 6)]]
    for field in fields:
        group = labels if generator.random() < 0.7 else np.zeros_like(labels)
        if field.kind is Kind.NUMBER:
            values = generator.normal(generator.normal(0, 1.5, k)[group], generator.gamma(2, 0.5, k)[group])
            tail = generator.integers(3)
            columns[field.name] = [values, np.exp(values), np.maximum(values, 0.0)][tail].tolist()
        elif field.kind is Kind.BOOLEAN:
            columns[field.name] = (generator.random(len(labels)) < generator.random(k)[group]).tolist()
        elif field.kind is Kind.SEVERAL_OF:
            shares = generator.random((k, 3))[group]
            columns[field.name] = [tuple(np.array(ITEMS)[row]) for row in generator.random((len(labels), 3)) < shares]
        else:
            # Shares of levels without any order: one group is often higher, another higher on average.
            shares = generator.dirichlet([0.4] * len(LEVELS), k)
            columns[field.name] = [LEVELS[generator.choice(len(LEVELS), p=shares[each])] for each in group]
    return columns, as_given(sample_of(columns, fields), labels, seed)


def parsed(part: str) -> tuple[str, str, str]:
    """A part of a name as the title of a field, or "" for an item alone; its label; and how much, or ""."""
    title, _, after = part.partition(": ")
    if after and title.split()[-1] in {"b", "c", "d", "s"}:
        if title == "less d":
            return title, after.removeprefix("less "), "less" if after.startswith("less ") else ""
        return title, after, "less" if title.startswith("less ") else ""
    if after:
        return title, "", after
    word = next((word for word in DEGREES if part.startswith(f"{word} ")), "")
    rest = part.removeprefix(word).strip()
    return ("", rest, word) if rest in ITEMS else (rest, "", word)


def values_of(title: str, label: str, columns: Mapping[str, list[Any]]) -> npt.NDArray[np.float64]:
    """The values that a part of a name speaks of: a number, a rank, or 1 for those who have a label."""
    name = re.split("[ …]", title)[-1] if title else "s"
    if name == "b":
        return np.array([value == (label == "yes") for value in columns[name]], dtype=np.float64)
    if name == "s":
        return np.array([label in items for items in columns["s"]], dtype=np.float64)
    if label:
        return np.array([value == label for value in columns[name]], dtype=np.float64)
    ranks = {level: float(rank) for rank, level in enumerate(LEVELS)}
    return np.array([ranks.get(value, value) for value in columns[name]], dtype=np.float64)


def test_no_name_contradicts_the_means_of_its_segment_and_of_the_others() -> None:
    words: dict[str, int] = {}
    for seed in range(200):
        columns, division = table(seed)
        found = effects(division, frozenset(columns))
        called = cards(division, found, (0,) * division.k, Verdict.CLEAR, {}, frozenset())
        assert len({card.name for card in called}) == division.k
        for card in called:
            if card.name == f"Segment {card.segment}":
                continue
            members = division.labels == card.segment
            for part in card.name.casefold().split(", "):
                title, label, word = parsed(part)
                values = values_of(title, label, columns)
                inside, outside = values[members].mean(), values[~members].mean()
                means = [values[division.labels == each].mean() for each in range(division.k)]
                holds = {
                    "medium": min(means) < inside < max(means),
                    "low": inside < outside,
                    "less": inside < outside,
                }.get(word, inside > outside)
                assert holds, (seed, card.name, part, inside, outside)
                for seen in (word, "degree" if ": " in part and word else "", "long" if "…" in part else ""):
                    words[seen] = words.get(seen, 0) + 1
    assert min(words.get(word, 0) for word in (*DEGREES, "", "degree", "long")) >= 3, words


def test_what_a_name_says_is_in_the_name_of_every_segment_of_which_it_is_as_true_if_there_is_room() -> None:
    shared = 0
    for seed in range(200):
        columns, division = table(seed)
        found = effects(division, frozenset(columns))
        called = cards(division, found, (0,) * division.k, Verdict.CLEAR, {}, frozenset())
        parts = {card.segment: frozenset(card.name.casefold().split(", ")) for card in called}
        titles = Titles.in_sample(division.sample)
        for segment, effect in ((segment, effect) for segment, each in found.items() for effect in each):
            part = phrase(effect, titles).casefold()
            is_fewer = effect.level is not None and effect.kind is not Kind.BOOLEAN and effect.size < 0
            if part not in parts[segment] or is_fewer:
                continue
            for other in {card.segment for card in called} - {segment}:
                same = [each for each in found[other] if way_of(each) == way_of(effect)]
                if same and strength(same[0]) >= 2 / 3 * strength(effect):
                    shared += 1
                    with_it = (parts[other] - {f"segment {other}"}) | {part}
                    room = len(", ".join(with_it)) <= LONGEST_NAME and with_it not in parts.values()
                    # "x, less y" of one field would say one thing twice.
                    room &= not all("less " in each for each in parts[other])
                    assert part in parts[other] or not room, (seed, segment, other, parts)
    assert shared >= 100
