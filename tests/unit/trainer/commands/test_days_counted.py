"""Each command says to which day it counted days, and a part of a history is counted to the day of the whole."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from models.store import ModelStore
from trainer.__main__ import main

Run = Callable[..., tuple[int, str, str]]

CLASS = """
from datetime import date
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from schemas.roles import days_since, number


class Member(BaseModel):
    history_id_column: ClassVar[str] = "id"
    fee: Annotated[float, Field(strict=True), number("behaviour")]
    joined: Annotated[date, days_since("behaviour")]
"""
NEWEST = date(2025, 11, 1)
# Two groups: the members of the last weeks, who pay little, and those of two years before.
MEMBERS = [f"m{i},{(10, 50)[i % 2] + i % 7},{NEWEST - timedelta(days=(0, 700)[i % 2] + i % 25)}" for i in range(100)]


def as_csv(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["id,fee,joined", *rows, ""]))
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a profile class, a history, and a store with a version of it."""
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "member.py").write_text(CLASS)
    history = as_csv(folder / "members.csv", *MEMBERS)
    flags = ["--profile", f"{folder}/member.py:Member", "--models", str(folder / "store"), "--k", "2"]
    assert main(["fit", str(history), *flags]) == 0
    return folder


@pytest.fixture
def version(fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the version; a copy of the directory is the working directory, its class and store are set."""
    shutil.copytree(fitted, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROFILE_CLASS", "member.py:Member")
    monkeypatch.setenv("MODELS_DIR", "store")
    (manifest,) = ModelStore(tmp_path / "store").versions()
    return manifest.id


def segments(path: Path) -> Mapping[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["segment"] for row in csv.DictReader(file)}


def day_of(output: str) -> str:
    return next(line for line in output.splitlines() if "counted to" in line).partition("counted to")[2].strip()


def test_a_part_of_the_history_gets_the_segments_of_the_fit(version: str, run: Run) -> None:
    old = [member for member in MEMBERS if member[-10:] < "2024-01-01"]
    as_csv(Path("old.csv"), *old)
    status, output, _ = run("assign", "old.csv", "-o", "seg.csv", "--version", version)
    assert status == 0
    assert day_of(output).startswith(f"{NEWEST} (the day of version {version}")
    found, of_fit = segments(Path("seg.csv")), segments(Path(f"store/versions/{version}/segmented_users.csv"))
    assert found == {user: of_fit[user] for user in found}
    assert len(found) == len(old) > 0


def test_a_newer_history_is_counted_to_its_newest_date_and_any_to_the_day_given(version: str, run: Run) -> None:
    later = as_csv(Path("later.csv"), *MEMBERS[1:], "m0,10,2026-02-01")
    for flags, day in (((), "2026-02-01 (the newest date, in column"), (("--as-of", "2026-03-01"), "2026-03-01 (as")):
        _, output, _ = run("assign", later, "-o", "seg.csv", "--version", version, *flags)
        assert day_of(output).startswith(day)
        _, output, _ = run("compare", version, version, later, *flags)
        assert day_of(output).startswith(day)
        _, output, _ = run("compare", version, version, later, "--json", *flags)
        assert json.loads(output)["as_of"] == day[:10]


def test_fit_says_which_column_has_the_newest_date_or_that_as_of_was_given(version: str, run: Run) -> None:
    as_csv(Path("most.csv"), *MEMBERS[:90])
    _, output, _ = run("fit", "most.csv", "--k", 2)
    assert day_of(output) == f'{NEWEST} (the newest date, in column "joined"; --as-of sets another day)'
    _, output, _ = run("fit", "most.csv", "--k", 2, "--as-of", "2025-12-01")
    assert day_of(output) == "2025-12-01 (as --as-of says)"


def test_a_newest_date_in_the_future_is_refused_with_its_place(version: str, run: Run) -> None:
    ahead = datetime.now(UTC).date() + timedelta(days=3)
    as_csv(Path("typo.csv"), *MEMBERS, f"m100,10,{ahead}")
    for command in (("fit",), ("assign", "-o", "seg.csv", "--version", version), ("compare", version, version)):
        status, _, errors = run(*command, "typo.csv")
        assert status == 2
        assert f'typo.csv, line 102: column "joined" has the date {ahead}' in errors
        assert "--as-of" in errors
    status, _, errors = run("fit", "typo.csv", "--as-of", NEWEST)
    assert f"line 102, joined: '{ahead}': must not be after {NEWEST}" in errors
