"""Synthetic tables with columns of their own: shapes that users of a shop, a survey or an app come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from benchmarks.tables import USERS, Rng, Truth, Users, Values
from models.encoding import Floats
from schemas.roles import Kind, ProfileField

Integers = npt.NDArray[np.int64]
ANSWERS = ("never", "rarely", "sometimes", "often", "always")


def _table(
    rng: Rng,
    numbers: Floats | None = None,
    labels: Integers | None = None,
    answers: Integers | None = None,
    items: Sequence[Sequence[Sequence[int]]] = (),
    truth: Truth | None = None,
) -> Users:
    """These columns (users × columns; of items: per column and user), and a number, a category and answers of noise."""
    noise = rng.normal(size=(USERS, 1))
    columns: list[tuple[Kind, object]] = [
        (Kind.NUMBER, column) for column in (noise if numbers is None else np.hstack([numbers, noise])).T
    ]
    for kind, codes, levels in ((Kind.CATEGORY, labels, "ABCDEFGH"), (Kind.ORDERED, answers, ANSWERS)):
        unrelated = rng.integers(0, 3, (USERS, 1))
        all_codes = unrelated if codes is None else np.hstack([codes, unrelated])
        columns += [(kind, np.array([*levels])[column]) for column in all_codes.T]
    columns += [(Kind.SEVERAL_OF, [tuple(f"item {item}" for item in row) for row in column]) for column in items]
    fields = tuple(
        ProfileField(f"x{i}", f"Column {i}", "behaviour", kind, ANSWERS if kind is Kind.ORDERED else ())
        for i, (kind, _) in enumerate(columns)
    )
    values: Values = {field.name: column for field, (_, column) in zip(fields, columns, strict=True)}
    return Users(values, truth, fields)


def _cloud(rng: Rng, columns: int, factors: int) -> Floats:
    """Normal columns of variance 1, half of it from shared factors."""
    loadings = rng.normal(size=(factors, columns))
    shared = rng.normal(size=(USERS, factors)) @ (loadings / np.linalg.norm(loadings, axis=0))
    cloud: Floats = np.sqrt(0.5) * (shared + rng.normal(size=(USERS, columns)))
    return cloud


def _steps(positions: Floats, levels: int) -> Integers:
    """Standard normal positions as levels of equal shares."""
    steps: Integers = np.minimum((ndtr(positions) * levels).astype(np.int64), levels - 1)
    return steps


def _liked(utilities: Floats, rng: Rng) -> list[list[int]]:
    """Each user's one to four items of the highest utility, with some chance (users × items)."""
    order = np.argsort(-(utilities + rng.gumbel(size=utilities.shape)), axis=1)
    return [row[:count].tolist() for row, count in zip(order, rng.integers(1, 5, USERS), strict=True)]


# --- without groups --------------------------------------------------------------------------------------------------


def purchases(rng: Rng) -> Users:
    """Days since the last purchase, number of purchases, money spent: skewed, and related by one intensity."""
    intensity = rng.gamma(1.2, 1.0, USERS)
    frequency = 1 + rng.poisson(4 * intensity)
    recency = np.rint(rng.exponential(60 / (0.2 + intensity)))
    money = frequency * np.exp(3 + 0.6 * rng.normal(size=USERS))
    return _table(rng, np.column_stack([recency, frequency, money]))


def flat_shares(rng: Rng) -> Users:
    """Three shares that add up to one, any mixture as likely as any other."""
    return _table(rng, rng.dirichlet(np.ones(3), USERS))


def gradient(rng: Rng) -> Users:
    """Six numbers that grow with one uniform trait, each in its own way."""
    trait = rng.uniform(size=(USERS, 1))
    return _table(rng, trait ** np.array([0.5, 0.7, 1, 1.4, 2, 3]) + 0.15 * rng.normal(size=(USERS, 6)))


def heaped(rng: Rng) -> Users:
    """Five related log-normal amounts, of which a third of all answers are rounded to tens."""
    amounts = 20 * np.exp(0.7 * _cloud(rng, 5, 2))
    return _table(rng, np.where(rng.random(amounts.shape) < 1 / 3, 10 * np.rint(amounts / 10), np.rint(amounts)))


def many_numbers(rng: Rng) -> Users:
    """Thirty numbers of five factors."""
    return _table(rng, _cloud(rng, 30, 5))


def two_numbers(rng: Rng) -> Users:
    """Two related numbers."""
    return _table(rng, _cloud(rng, 2, 1))


def mixed_cloud(rng: Rng) -> Users:
    """Numbers, answers and categories of three factors."""
    cloud = _cloud(rng, 10, 3)
    return _table(rng, cloud[:, :4], _steps(cloud[:, 4:7], 4), _steps(cloud[:, 7:], 5))


def many_zeros(rng: Rng) -> Users:
    """Six counts, mostly zero, higher for active users."""
    activity = rng.gamma(0.7, 1.0, (USERS, 1))
    return _table(rng, rng.poisson(activity * np.array([0.5, 0.8, 1, 2, 3, 5])).astype(np.float64))


def rough_rates(rng: Rng) -> Users:
    """Four rates of few trials each, related by one rate behind them."""
    chance = rng.beta(2, 5, (USERS, 1))
    trials = rng.integers(5, 30, (USERS, 4))
    return _table(rng, rng.binomial(trials, chance) / trials)


def tastes(rng: Rng) -> Users:
    """Items and channels along two continuous tastes."""
    tastes = rng.normal(size=(USERS, 2))
    return _table(rng, items=[_liked(tastes @ rng.normal(size=(2, 16)), rng) for _ in range(2)])


def survey(rng: Rng) -> Users:
    """Eight answers of two factors, by users of whom some always choose the ends of the scale."""
    extremes = np.exp(0.4 * rng.normal(size=(USERS, 1)))
    return _table(rng, answers=_steps(extremes * _cloud(rng, 8, 2), 5))


def funnel(rng: Rng) -> Users:
    """Five numbers that vary the more, the higher they are."""
    size = rng.normal(size=(USERS, 1))
    return _table(rng, size + np.exp(0.5 * size) * rng.normal(size=(USERS, 5)))


def repeated_column(rng: Rng) -> Users:
    """A skewed amount, the same in another currency and with some rounding, and two numbers of noise."""
    amount = np.exp(3 + 0.8 * rng.normal(size=USERS))
    return _table(rng, np.column_stack([amount, np.round(1.1 * amount, 1), rng.normal(size=(USERS, 2))]))


def very_heavy_tails(rng: Rng) -> Users:
    """Four numbers of one cloud with the tails of Student's t with 2 degrees of freedom, all at once."""
    stretch = np.sqrt(2 / rng.chisquare(2, (USERS, 1)))
    return _table(rng, stretch * _cloud(rng, 4, 1))


def ring(rng: Rng) -> Users:
    """Two numbers on a circle, with some noise: no groups, and not a cloud either."""
    angles = rng.uniform(0, 2 * np.pi, USERS)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    return _table(rng, np.hstack([circle, circle]) + 0.15 * rng.normal(size=(USERS, 4)))


def horseshoe(rng: Rng) -> Users:
    """Six numbers along three quarters of a circle, each seen from its own side, with some noise around it."""
    angles = 1.5 * np.pi * rng.uniform(size=(USERS, 1)) + rng.uniform(0, 2 * np.pi, 6)
    return _table(rng, np.cos(angles) + 0.2 * rng.normal(size=(USERS, 6)))


def bend(rng: Rng) -> Users:
    """A number that first falls and then rises along another, each measured twice."""
    along = rng.uniform(-1, 1, size=(USERS, 1))
    curve = np.hstack([along, along, 1.5 * along**2, 1.5 * along**2])
    return _table(rng, curve + 0.15 * rng.normal(size=(USERS, 4)))


# --- with groups, at least 2.7 standard deviations apart -------------------------------------------------------------


def _groups(rng: Rng, *shares: float) -> Truth:
    return rng.choice(len(shares), USERS, p=shares)


def _apart(rng: Rng, groups: int, columns: int, distance: float) -> Floats:
    """Centres (groups × columns), each pair this far apart, in any direction."""
    axes = np.linalg.svd(np.eye(groups) - 1 / groups)[0][:, :-1]
    directions = np.linalg.qr(rng.normal(size=(columns, groups - 1)))[0]
    centres: Floats = distance / np.sqrt(2) * axes @ directions.T
    return centres


def two_columns_apart(rng: Rng) -> Users:
    """Three groups in two numbers."""
    truth = _groups(rng, 1 / 3, 1 / 3, 1 / 3)
    return _table(rng, _apart(rng, 3, 2, 4.5)[truth] + rng.normal(size=(USERS, 2)), truth=truth)


def many_columns_apart(rng: Rng) -> Users:
    """Four groups in thirty numbers, a little apart in each."""
    truth = _groups(rng, 0.25, 0.25, 0.25, 0.25)
    return _table(rng, _apart(rng, 4, 30, 5)[truth] + rng.normal(size=(USERS, 30)), truth=truth)


def unequal_sizes(rng: Rng) -> Users:
    """Groups of 75, 18 and 7 % in five numbers."""
    truth = _groups(rng, 0.75, 0.18, 0.07)
    return _table(rng, _apart(rng, 3, 5, 5)[truth] + rng.normal(size=(USERS, 5)), truth=truth)


def unequal_spreads(rng: Rng) -> Users:
    """Three groups in five numbers, one twice as wide as another."""
    truth = _groups(rng, 0.4, 0.3, 0.3)
    widths = np.array([0.6, 0.9, 1.2])[truth, None]
    return _table(rng, _apart(rng, 3, 5, 5)[truth] + widths * rng.normal(size=(USERS, 5)), truth=truth)


def groups_in_a_row(rng: Rng) -> Users:
    """Three groups in six numbers: low, middle and high in all of them."""
    truth = _groups(rng, 0.3, 0.4, 0.3)
    return _table(rng, 4 / np.sqrt(6) * truth[:, None] + rng.normal(size=(USERS, 6)), truth=truth)


def four_in_a_row(rng: Rng) -> Users:
    """Four groups of unequal sizes in six numbers, each 4 standard deviations from the one before."""
    truth = _groups(rng, 0.2, 0.35, 0.25, 0.2)
    return _table(rng, 4 / np.sqrt(6) * truth[:, None] + rng.normal(size=(USERS, 6)), truth=truth)


def opposite_rows(rng: Rng) -> Users:
    """Three groups in a row in four numbers, of which two fall where the others rise, unevenly far apart."""
    truth = _groups(rng, 0.3, 0.4, 0.3)
    row = np.array([0, 4.0, 9.0])[truth, None] / 2 * np.array([1, 1, -1, -1])
    return _table(rng, row + rng.normal(size=(USERS, 4)), truth=truth)


def skewed_groups(rng: Rng) -> Users:
    """Two groups in four log-normal amounts."""
    truth = _groups(rng, 0.6, 0.4)
    return _table(rng, np.exp(2 + 0.5 * (2 * truth[:, None] + rng.normal(size=(USERS, 4)))), truth=truth)


def tailed_groups(rng: Rng) -> Users:
    """Three groups in six numbers with the tails of Student's t with 5 degrees of freedom."""
    truth = _groups(rng, 1 / 3, 1 / 3, 1 / 3)
    stretch = np.sqrt(5 / rng.chisquare(5, (USERS, 1)))
    return _table(rng, _apart(rng, 3, 6, 5)[truth] + stretch * rng.normal(size=(USERS, 6)), truth=truth)


def related_groups(rng: Rng) -> Users:
    """Two groups in six numbers that are related within the groups, too."""
    truth = _groups(rng, 0.5, 0.5)
    return _table(rng, _apart(rng, 2, 6, 6)[truth] + _cloud(rng, 6, 3), truth=truth)


def heaped_groups(rng: Rng) -> Users:
    """Three groups in four amounts, which half of the users round to tens."""
    truth = _groups(rng, 0.4, 0.3, 0.3)
    amounts = 50 + 8 * (_apart(rng, 3, 4, 5)[truth] + rng.normal(size=(USERS, 4)))
    return _table(
        rng, np.where(rng.random((USERS, 1)) < 0.5, 10 * np.rint(amounts / 10), np.rint(amounts)), truth=truth
    )


def counted_groups(rng: Rng) -> Users:
    """Three groups, each with two of six counts at 9 instead of 3."""
    truth = _groups(rng, 1 / 3, 1 / 3, 1 / 3)
    rates = np.where(np.arange(6) // 2 == truth[:, None], 9.0, 3.0)
    return _table(rng, rng.poisson(rates).astype(np.float64), truth=truth)


def groups_in_categories(rng: Rng) -> Users:
    """Two groups that prefer different labels in each of six categories."""
    truth = _groups(rng, 0.55, 0.45)
    preferred = np.array([rng.permutation(3)[:2] for _ in range(6)]).T
    chosen = np.where(rng.random((USERS, 6)) < 0.85, preferred[truth], rng.integers(0, 3, (USERS, 6)))
    return _table(rng, labels=chosen, truth=truth)


def groups_in_answers(rng: Rng) -> Users:
    """Three groups in eight answers of a survey."""
    truth = _groups(rng, 0.4, 0.35, 0.25)
    means = np.array([[1, 1, 1, 1, -1, -1, -1, -1], [-1, -1, 1, 1, 1, 1, -1, -1], [1, -1, -1, 1, -1, 1, 1, -1]])
    return _table(rng, answers=_steps(0.9 * means[truth] + 0.7 * rng.normal(size=(USERS, 8)), 5), truth=truth)


def groups_in_items(rng: Rng) -> Users:
    """Three groups, each of which likes five of fifteen items and five of fifteen channels."""
    truth = _groups(rng, 0.4, 0.3, 0.3)
    own = 4.0 * (np.arange(15) // 5 == truth[:, None])
    return _table(rng, items=[_liked(own, rng) for _ in range(2)], truth=truth)


def mixed_groups(rng: Rng) -> Users:
    """Three groups in numbers, answers and categories, a little in each."""
    truth = _groups(rng, 0.4, 0.3, 0.3)
    numbers = _apart(rng, 3, 4, 3.5)[truth] + rng.normal(size=(USERS, 4))
    answers = _steps(np.array([[1, 0, -1], [-1, 1, 0]]).T[truth] + 0.7 * rng.normal(size=(USERS, 2)), 5)
    preferred = np.array([rng.permutation(4)[:3] for _ in range(2)]).T[truth]
    labels = np.where(rng.random((USERS, 2)) < 0.8, preferred, rng.integers(0, 4, (USERS, 2)))
    return _table(rng, numbers, labels, answers, truth=truth)


def groups_beside_labels(rng: Rng) -> Users:
    """Three groups in four numbers, each in places of its own; the numbers differ between two sexes, too."""
    truth = _groups(rng, 0.44, 0.36, 0.2)
    sex = rng.integers(0, 2, USERS)
    numbers = _apart(rng, 3, 4, 4)[truth] + 0.6 * sex[:, None] * np.array([1, 1, 1, -1])
    place = np.where(truth > 0, truth - 1, rng.choice(3, USERS, p=[0.3, 0.3, 0.4]))
    labels = np.column_stack([sex, place])
    return _table(rng, numbers + rng.normal(size=(USERS, 4)), labels, truth=truth)


def groups_beside_items(rng: Rng) -> Users:
    """Three groups in a number and an answer, each of which likes two of three items."""
    truth = _groups(rng, 0.34, 0.33, 0.33)
    number = np.array([5.0, 14.0, 29.0])[truth] + 2.5 * rng.normal(size=USERS)
    answer = np.where(rng.random(USERS) < 0.85, np.array([1, 2, 0])[truth], rng.integers(0, 3, USERS))
    own = np.array([[0, 1], [1, 2], [0, 2]])[truth]
    liked = [
        rng.choice(items if loyal else 3, rng.integers(1, 3), replace=False).tolist()
        for items, loyal in zip(own, rng.random(USERS) < 0.9, strict=True)
    ]
    return _table(rng, number[:, None], answers=answer[:, None], items=[liked], truth=truth)


def groups_beside_yes_and_no(rng: Rng) -> Users:
    """Three groups very far apart in three numbers, of which two have a label of their own, in 70 to 90 %."""
    truth = _groups(rng, 0.34, 0.33, 0.33)
    labels = (truth[:, None] == np.array([0, 1])) ^ (rng.random((USERS, 2)) < rng.uniform(0.1, 0.3))
    numbers = _apart(rng, 3, 3, 15)[truth] + rng.normal(size=(USERS, 3))
    return _table(rng, numbers, labels.astype(np.int64), truth=truth)


PLANTED: Mapping[str, Callable[[Rng], Users]] = {
    "groups in two numbers": two_columns_apart,
    "… thirty numbers": many_columns_apart,
    "… 75, 18 and 7 %": unequal_sizes,
    "… of unequal spread": unequal_spreads,
    "… in a row": groups_in_a_row,
    "… four in a row": four_in_a_row,
    "… in opposite rows": opposite_rows,
    "… skewed": skewed_groups,
    "… with heavy tails": tailed_groups,
    "… related within": related_groups,
    "… in heaped amounts": heaped_groups,
    "… in counts": counted_groups,
    "… in categories": groups_in_categories,
    "… in answers": groups_in_answers,
    "… in items": groups_in_items,
    "… in mixed columns": mixed_groups,
    "… beside labels": groups_beside_labels,
    "… beside items": groups_beside_items,
    "… beside yes and no": groups_beside_yes_and_no,
}
NOTHING: Mapping[str, Callable[[Rng], Users]] = {
    "purchases": purchases,
    "flat shares": flat_shares,
    "gradient": gradient,
    "heaped amounts": heaped,
    "thirty numbers": many_numbers,
    "two numbers": two_numbers,
    "mixed cloud": mixed_cloud,
    "many zeros": many_zeros,
    "rough rates": rough_rates,
    "tastes": tastes,
    "survey": survey,
    "funnel": funnel,
    "a repeated column": repeated_column,
    "very heavy tails": very_heavy_tails,
    "ring (not a cloud)": ring,
    "horseshoe (not a cloud)": horseshoe,
    "bend (not a cloud)": bend,
}
