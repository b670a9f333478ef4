from pathlib import Path
from typing import Annotated, Any, Self

import pytest
from pydantic import AfterValidator, AliasChoices, AliasPath, Field, model_validator

from schemas import UserProfile
from tests.support.histories import columns, noise, read, table, users, write
from tests.support.nasty_classes import CANARY, GOOD, NASTY, Nasty, profile_class
from trainer.history.validation import ERROR_SHOWN_CHARS, Check


def history(folder: Path, *numbers: object, label: object = "a") -> Path:
    path = folder / "history.csv"
    rows = [f'u{row},{number},{label},"a, b"' for row, number in enumerate(numbers)]
    path.write_text("\n".join(["id,x,label,tags", *rows]) + "\n", encoding="utf-8")
    return path


# In a file every value is a text, and a missing column is refused before any row.
IN_FILES = {name: nasty for name, nasty in NASTY.items() if nasty.data.keys() == GOOD.keys()}


@pytest.mark.parametrize("nasty", IN_FILES.values(), ids=IN_FILES)
def test_a_row_that_no_event_could_be_is_a_bad_row_whatever_the_class_does_with_it(
    nasty: Nasty, tmp_path: Path
) -> None:
    found = read(history(tmp_path, 1 if nasty.data["x"] is True else nasty.data["x"]), nasty.of)
    assert (found.bad_rows.count, len(users(found))) == ((0, 1) if nasty.field is None else (1, 0))


def test_a_row_on_which_the_class_raises_leaves_the_others(tmp_path: Path) -> None:
    def not_13(value: float) -> float:
        if value == 13:
            raise RuntimeError(CANARY)
        return value

    found = read(history(tmp_path, 1, 13, "x", 2, "nan"), profile_class(x=Annotated[float, AfterValidator(not_13)]))
    assert users(found) == ("u0", "u3")
    assert found.bad_rows.count == 3
    # The owner of the file may read a text that quotes its values.
    assert found.bad_rows.first[0].problem == f"the row: the profile class failed (RuntimeError): {CANARY}"


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("error", [Speechless(), RuntimeError("x " * 500), ValueError("x " * 500)])
def test_an_error_of_the_class_without_words_or_with_too_many_is_a_bad_row(tmp_path: Path, error: Exception) -> None:
    def refused(value: float) -> float:
        if value == 13:
            raise error
        return value

    found = read(history(tmp_path, 1, 13), profile_class(x=Annotated[float, AfterValidator(refused)]))
    assert users(found) == ("u0",)
    (bad,) = found.bad_rows.first
    assert len(bad.problem) < ERROR_SHOWN_CHARS + 100
    if isinstance(error, Speechless):
        assert bad.problem == "the row: the profile class failed (Speechless)"


@pytest.mark.parametrize("alias", [AliasPath("stats", "x"), AliasPath("stats", 0), AliasChoices("y", "x"), "y"])
@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("validated", [True, False])
def test_a_history_has_a_field_under_its_name_wherever_events_have_it(
    alias: str | AliasPath | AliasChoices, optional: bool, validated: bool, tmp_path: Path
) -> None:
    of: Any = Annotated[float | None if optional else float, Field(ge=0, validation_alias=alias)]
    same = Annotated[str, AfterValidator(str)] if validated else str
    found = read(history(tmp_path, 1, -1, 2), profile_class(x=of, label=same))
    assert columns(found)["x"] == [1, 2]
    assert [(row.number, row.problem.partition(":")[0]) for row in found.bad_rows] == [(3, "x")]


class CheckedByClass(UserProfile):
    @model_validator(mode="after")
    def _as_it_is(self) -> Self:
        return self


CELLS = (
    "",
    " ",
    "5",
    " 5 ",
    "5.0",
    "0.5",
    "-0",
    "-1",
    "1e3",
    "1e400",
    "1_000",
    "nan",
    "inf",
    "٣",
    "25",
    "x",
    ",a,,b ,a,",
)


@pytest.mark.parametrize(
    "header", ["Likes and Reactions", "Conversion Rates", "Gender", "Age", "Top Interests", "User ID"]
)
def test_columns_accept_what_the_class_accepts_with_the_same_values(header: str, tmp_path: Path) -> None:
    for cell in (*CELLS, "9" * 400, "a" * 201):
        path = write(tmp_path / "history.csv", [*noise(2), noise(3)[2] | {header: cell}])
        by_column, by_class = read(path), read(path, CheckedByClass)
        assert table(by_column).equals(table(by_class))
        assert [*by_column.bad_rows] == [*by_class.bad_rows]


def test_good_rows_of_a_class_without_validators_are_checked_as_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Check, "_by_class")
    assert read(write(tmp_path / "history.csv", noise(3))).rows == 3
