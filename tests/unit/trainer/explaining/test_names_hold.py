"""Names of 200 generated tables, compared with the means that they speak of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.manifest import Verdict
from schemas.roles import Kind, ProfileField
from tests.support.samples import as_given, sample_of
from trainer.explaining.cards import cards
from trainer.explaining.division import Division
from trainer.explaining.effects import effects

LEVELS = ("lowest", "low", "middle", "high", "highest")
FIELDS = (
    *(ProfileField(f"n{place}", f"n{place}", "behaviour", Kind.NUMBER, ()) for place in range(3)),
    *(ProfileField(f"o{place}", f"o{place}", "behaviour", Kind.ORDERED, LEVELS) for place in range(3)),
    ProfileField("b", "b", "behaviour", Kind.BOOLEAN, ()),
    ProfileField("c", "c", "behaviour", Kind.CATEGORY, ()),
    ProfileField("s", "s", "behaviour", Kind.SEVERAL_OF, ()),
)


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
            columns[field.name] = [
                tuple(np.array(["x", "y", "z"])[row]) for row in generator.random((len(labels), 3)) < shares
            ]
        else:
            # Shares of levels without any order: one group is often higher, another higher on average.
            shares = generator.dirichlet([0.4] * len(LEVELS), k)
            columns[field.name] = [LEVELS[generator.choice(len(LEVELS), p=shares[each])] for each in group]
    return columns, as_given(sample_of(columns, fields), labels, seed)


def values_of(subject: str, columns: Mapping[str, list[Any]]) -> npt.NDArray[np.float64]:
    """The values that a part of a name speaks of: a number, a rank, or 1 for those who have a label."""
    name, _, label = subject.partition(": ")
    if name == "b":
        return np.array([value == (label == "yes") for value in columns[name]], dtype=np.float64)
    if label:
        return np.array([value == label for value in columns[name]], dtype=np.float64)
    if subject in columns:
        ranks = {level: float(rank) for rank, level in enumerate(LEVELS)}
        return np.array([ranks.get(value, value) for value in columns[subject]], dtype=np.float64)
    return np.array([subject in items for items in columns["s"]], dtype=np.float64)


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
                word = next((word for word in ("high", "low", "medium", "less") if part.startswith(f"{word} ")), "")
                values = values_of(part.removeprefix(word).strip(), columns)
                inside, outside = values[members].mean(), values[~members].mean()
                means = [values[division.labels == each].mean() for each in range(division.k)]
                holds = {
                    "medium": min(means) < inside < max(means),
                    "low": inside < outside,
                    "less": inside < outside,
                }.get(word, inside > outside)
                assert holds, (seed, card.name, part, inside, outside)
                words[word] = words.get(word, 0) + 1
    assert min(words.get(word, 0) for word in ("high", "low", "medium", "less", "")) >= 3, words
