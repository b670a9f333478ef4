from typing import Annotated, Any, ClassVar

import pytest
from pydantic import BaseModel

from schemas.csv_format import CsvFormat, history_format
from schemas.errors import ProfileClassError
from schemas.roles import number, several_of


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("delimiter", ""),
        ("delimiter", ";;"),
        ("delimiter", '"'),
        ("delimiter", "\n"),
        ("quote", ""),
        ("decimal", ";"),
        ("thousands", "."),
        ("thousands", "x"),
        ("symbols", "$"),
        ("symbols", ("",)),
        ("symbols", ("k2",)),
        ("missing", "NA"),
        ("missing", (None,)),
        ("encoding", "klingon"),
        ("encoding", "utf-16"),
    ],
)
def test_a_format_that_nobody_could_read_is_refused_by_the_name_of_its_setting(setting: str, value: Any) -> None:
    with pytest.raises(ProfileClassError, match=setting):
        CsvFormat(**{setting: value})


def test_a_class_declares_its_format_and_is_comma_separated_without_one() -> None:
    class Plain(BaseModel):
        x: Annotated[float, number("g")]

    class German(Plain):
        history_format: ClassVar[CsvFormat] = CsvFormat(delimiter=";", decimal=",")

    assert history_format(Plain) == CsvFormat()
    assert history_format(German).decimal == ","


def test_what_is_not_a_format_is_refused() -> None:
    class Wrong(BaseModel):
        history_format: ClassVar[str] = ";"

    with pytest.raises(ProfileClassError, match="Wrong"):
        history_format(Wrong)


def test_several_labels_need_something_between_them() -> None:
    with pytest.raises(ProfileClassError, match="separator"):
        several_of("interest", separator="")
