from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from demo.history import ID_COLUMN, LABEL_COLUMN, labels_path, write_history
from demo.population import SEED, SHARES, USERS, Block, Population, Structure, planted_group, user_id
from schemas import UserProfile

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "demo" / "sample_history.csv"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "users.csv"
    write_history(path, Population())
    return path


def test_a_history_has_the_headers_of_the_profile_class(history: Path) -> None:
    header = history.read_text().splitlines()[0].split(",")

    assert header == [ID_COLUMN, *(str(field.alias) for field in UserProfile.model_fields.values())]


def test_every_row_is_a_valid_profile(history: Path) -> None:
    for row in read(history):
        numbers = {name: float(value) for name, value in row.items() if value.replace(".", "", 1).isdigit()}
        items = tuple(item.strip() for item in row["Top Interests"].split(",") if item)
        UserProfile.model_validate({**row, **numbers, "Top Interests": items}, by_alias=True, by_name=False)


def test_the_true_labels_are_beside_it_and_follow_from_the_user_ids(history: Path) -> None:
    labels = read(labels_path(history))

    assert labels_path(history).name == "users.labels.csv"
    assert [label[ID_COLUMN] for label in labels] == [row[ID_COLUMN] for row in read(history)]
    assert all(planted_group(label[ID_COLUMN]) == int(label[LABEL_COLUMN]) for label in labels)


def test_groups_are_as_uneven_as_planned() -> None:
    sizes = Counter(planted_group(user_id(number)) for number in range(1, 20_001))

    assert [sizes[group] / 20_000 for group in range(len(SHARES))] == pytest.approx(SHARES, abs=0.01)


def test_the_sample_is_what_the_command_writes(tmp_path: Path) -> None:
    from demo.__main__ import main

    written = tmp_path / "sample_history.csv"
    assert main(["history", str(written), "--users", str(USERS), "--seed", str(SEED)]) == 0

    assert written.read_bytes() == SAMPLE.read_bytes()
    assert labels_path(written).read_bytes() == labels_path(SAMPLE).read_bytes()


def test_an_interrupted_history_leaves_no_file(tmp_path: Path) -> None:
    class Interrupted(Population):
        def blocks(self) -> Iterator[Block]:
            yield from Population(users=100).blocks()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_history(tmp_path / "users.csv", Interrupted())

    assert [*tmp_path.iterdir()] == []


def test_another_seed_gives_other_users() -> None:
    (one,), (other,) = Population(users=100, seed=1).blocks(), Population(users=100, seed=2).blocks()

    assert one.groups == other.groups
    assert one.profiles["likes_and_reactions"] != other.profiles["likes_and_reactions"]


def test_a_user_is_the_same_in_a_larger_population() -> None:
    few, many = Population(users=20).blocks(), Population(users=10_001).blocks()
    (first,), (second, rest) = few, many

    assert first.users == second.users[:20]
    assert all(second.profiles[name][:20] == values for name, values in first.profiles.items())
    assert rest.users == ["user-10001"]


def test_noise_has_the_values_of_planted_groups_without_their_relations() -> None:
    planted, noise = (
        next(Population(users=10_000, structure=structure).blocks())
        for structure in (Structure.PLANTED, Structure.NOISE)
    )
    numbers = [name for name, values in planted.profiles.items() if isinstance(values[0], int | float)]

    for name in numbers:
        quantiles = [np.quantile(block.profiles[name], (0.1, 0.5, 0.9)) for block in (planted, noise)]
        assert quantiles[1] == pytest.approx(quantiles[0], rel=0.12)
    assert max(abs(_correlation(planted.profiles[a], planted.profiles[b])) for a, b in combinations(numbers, 2)) > 0.5
    assert max(abs(_correlation(noise.profiles[a], noise.profiles[b])) for a, b in combinations(numbers, 2)) < 0.05
    assert set(noise.groups) == {0}


def _correlation(first: object, second: object) -> float:
    return float(np.corrcoef(np.array(first), np.array(second))[0, 1])
