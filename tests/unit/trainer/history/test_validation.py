from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator

from tests.support.histories import read, users
from tests.support.nasty_classes import CANARY, GOOD, NASTY, Nasty, profile_class


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
    assert CANARY not in str(found.bad_rows)


def test_a_row_on_which_the_class_raises_leaves_the_others(tmp_path: Path) -> None:
    def not_13(value: float) -> float:
        if value == 13:
            raise RuntimeError(CANARY)
        return value

    found = read(history(tmp_path, 1, 13, "x", 2, "nan"), profile_class(x=Annotated[float, AfterValidator(not_13)]))
    assert users(found) == ("u0", "u3")
    assert found.bad_rows.count == 3
