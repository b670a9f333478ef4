import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.encoding import Columns
from models.manifest import Manifest, Verdict
from models.segmentation import Segmentation
from models.store import ModelStore
from schemas import UserProfile
from tests.support.fitted import fit, publish, segmentation
from tests.support.histories import noise, write
from trainer.history.history import read_history
from trainer.lineage.lineage import named, renumbered

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MANY = 6_000  # more than a chunk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a history, and a longer one."""
    folder = tmp_path_factory.mktemp("compare")
    write(folder / "users.csv", noise(500))
    write(folder / "many.csv", noise(MANY))
    return folder


@pytest.fixture(scope="module")
def columns(here: Path) -> list[Columns]:
    """The longer history as a model reads it."""
    with read_history(here / "many.csv", UserProfile, lambda _done, _total: None) as history:
        return [chunk.columns for chunk in history.chunks()]


@pytest.fixture
def run(run: Run, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line beside an empty store and return its exit status, its output and its errors."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODELS_DIR", "PROFILE_CLASS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("users.csv", "many.csv"):
        (tmp_path / name).symlink_to(here / name)

    return run


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "model-store")


BEFORE = named(segmentation(4, seed=1), {0: "Owls", 1: "Larks"})
AFTER = renumbered(segmentation(3, seed=2), {0: 1, 1: 6, 2: 5})


def version(store: ModelStore, model: Segmentation, minutes: int, verdict: Verdict = Verdict.CLEAR) -> Manifest:
    return publish(store, model, fit(verdict, NOON + timedelta(minutes=minutes)))


def counted(columns: list[Columns]) -> list[list[int]]:
    users = np.zeros((10, 10), dtype=int)
    for chunk in columns:
        np.add.at(users, (BEFORE.assign(chunk).segment, AFTER.assign(chunk).segment), 1)
    counts: list[list[int]] = users[np.ix_([0, 1, 2, 3], [1, 5, 6])].tolist()
    return counts


def test_who_moves_where_is_counted_over_all_users(store: ModelStore, run: Run, columns: list[Columns]) -> None:
    before, after = version(store, BEFORE, 0), version(store, AFTER, 1)
    users = counted(columns)
    status, output, errors = run("compare", before.id, after.id, "many.csv", "--json")
    assert status == 0
    assert errors == "reading many.csv …\ncomparing …\n"
    found = json.loads(output)
    assert found["users"] == [[None if count < 20 else count for count in row] for row in users]
    moved = MANY - users[1][0]  # 1 is the one number that both have
    assert found["reassigned"] == {"share": moved / MANY, "users": moved, "compared": MANY}
    assert [segment["segment"] for segment in found["before_segments"]] == [0, 1, 2, 3]
    assert found["before_segments"][1] == {"segment": 1, "name": "Larks"}
    assert [segment["segment"] for segment in found["after_segments"]] == [1, 5, 6]
    assert [fate["segment"] for fate in found["fates_after"]] == [1, 5, 6]
    assert (found["before"], found["after"]) == (before.id, after.id)


def test_for_people_it_is_a_table_and_a_line_for_each_segment(
    store: ModelStore, run: Run, columns: list[Columns]
) -> None:
    before, after = version(store, BEFORE, 0), version(store, AFTER, 1)
    status, output, _ = run("compare", before.id, after.id, "many.csv")
    assert status == 0
    table, _, told = output.partition("\n\n")
    header, *rows = table.splitlines()
    assert header.split() == ["before", "\\", "after", "1", "5", "6"]
    assert rows[0].startswith("Segment 0: Owls  ")
    for row, users in zip(rows, counted(columns), strict=True):
        assert row.split()[-3:] == [f"{count:,}" if count >= 20 else "<20" for count in users]
    lines = told.splitlines()
    assert [line for line in lines if line.startswith("after  Segment 5")]
    assert lines[-3].split() == ["before", before.id]
    assert "of 6,000) change their segment" in lines[-1]


def test_a_version_beside_itself_moves_nobody(store: ModelStore, run: Run) -> None:
    model = version(store, BEFORE, 0)
    found = json.loads(run("compare", model.id, model.id, "users.csv", "--json")[1])
    assert (found["reassigned"]["share"], found["reassigned"]["users"], found["fates_before"]) == (0.0, 0, [])
    assert {fate["fate"] for fate in found["fates_after"]} == {"kept"}


def test_a_segment_that_is_the_same_under_another_number_is_reported(store: ModelStore, run: Run) -> None:
    before = version(store, BEFORE, 0)
    after = version(store, renumbered(BEFORE, {0: 0, 1: 2, 2: 1, 3: 7}), 1)
    _, output, _ = run("compare", before.id, after.id, "users.csv")
    assert "kept: mostly the same users, numbered 1 before; overlap 100" in output
    assert output.count("numbered") == 3
    found = json.loads(run("compare", before.id, after.id, "users.csv", "--json")[1])
    assert found["reassigned"]["users"] > 0


def test_a_number_that_means_another_segment_in_each_version_is_described_from_both_sides(
    store: ModelStore, run: Run
) -> None:
    before, after = version(store, BEFORE, 0), version(store, segmentation(4, seed=5), 1)
    _, output, _ = run("compare", before.id, after.id, "users.csv")
    for line in output.splitlines():
        if line.startswith("after ") and "Segment" in line:
            assert not any(words in line for words in ("split up", "merged into", "retired"))
        if line.startswith("before Segment"):
            assert not any(words in line for words in ("split off", "merged from", "new:"))
            assert "; its number belongs to another segment now" in line
            assert "never used again" not in line


def test_a_version_without_structure_is_marked(store: ModelStore, run: Run) -> None:
    before, after = version(store, BEFORE, 0, Verdict.NONE), version(store, AFTER, 1)
    run("promote", before.id, "--accept-no-structure")
    _, output, _ = run("compare", before.id, after.id, "users.csv")
    assert f"{before.id} (accepted without structure)" in output
    assert output.count("accepted") == 1
    found = json.loads(run("compare", after.id, before.id, "users.csv", "--json")[1])
    assert (found["before_accepted_no_structure"], found["after_accepted_no_structure"]) == (False, True)


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_it_is_drawn(store: ModelStore, run: Run, tmp_path: Path, suffix: str, start: bytes) -> None:
    before, after = version(store, BEFORE, 0), version(store, AFTER, 1)
    path = tmp_path / f"moves{suffix}"
    assert run("compare", before.id, after.id, "users.csv", "--plot", path)[0] == 0
    content = path.read_bytes()
    assert content.startswith(start)
    if suffix == ".svg":
        assert b"change their segment" in content  # for whoever does not see it


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["20200101T000000Z-00000000", "AFTER", "users.csv"], "there is no version 20200101T000000Z-00000000"),
        (["BEFORE", "AFTER", "nothing.csv"], "nothing.csv does not exist"),
        (["BEFORE", "AFTER", "bad.csv"], "bad.csv has 1 bad row, nothing was written: correct"),
        (
            ["BEFORE", "AFTER", "users.csv", "--plot", "x.pdf"],
            "file name that ends in .svg or .png, got 'x.pdf'",
        ),
        (
            ["BEFORE", "AFTER", "users.csv", "--plot", "no/x.svg"],
            "no/x.svg cannot be written: name a file in an existing dir",
        ),
        (["BEFORE", "AFTER", "users.csv", "--profile", "shop.py:Shop"], "was fitted for profile class UserProfile"),
        (["BEFORE", "AFTER"], "the following arguments are required: DATA.csv"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    store: ModelStore, run: Run, tmp_path: Path, words: list[str], message: str
) -> None:
    ids = {"BEFORE": version(store, BEFORE, 0).id, "AFTER": version(store, AFTER, 1).id}
    write(tmp_path / "bad.csv", [noise(1)[0] | {"Age": ""}])
    (tmp_path / "shop.py").write_text(
        "from schemas import UserProfile\nclass Shop(UserProfile):\n    pass\n", encoding="utf-8"
    )
    before = sorted(tmp_path.iterdir())
    status, output, errors = run("compare", *(ids.get(word, word) for word in words))
    assert (status, output) == (2, "")
    assert message in errors
    assert "Traceback" not in errors
    assert sorted(path for path in tmp_path.iterdir() if path.name != "__pycache__") == before
