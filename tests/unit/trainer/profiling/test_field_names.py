import warnings
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from trainer.profiling.field_names import field_names


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Annual Income (k$)", "annual_income_k"),
        ("annualIncome", "annual_income"),
        (" basket_value ", "basket_value"),
        ("Größe", "groesse"),
        ("Prénom", "prenom"),
        ("年龄", "年龄"),
        ("class", "class_"),
        ("None", "none"),
        ("2023 sales", "field_2023_sales"),
        ("number", "number_"),
        ("json", "json_"),
        ("model_config", "model_config_"),
        ("model_dump", "field_model_dump"),
        ("model_validate_x", "field_model_validate_x"),
        ("model_year", "model_year"),
        ("history_id_column", "history_id_column_"),
        ("__x", "x"),
        ("%", "field"),
        ("", "field"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_header_becomes_a_name_that_python_and_pydantic_accept(header: str, name: str) -> None:
    assert field_names([header]) == {header: name}


def test_headers_that_become_equal_get_different_names() -> None:
    assert field_names(["Spend", "spend", "spend ", "spend_2"]) == {
        "Spend": "spend",
        "spend": "spend_2",
        "spend ": "spend_3",
        "spend_2": "spend_2_2",
    }


def test_pydantic_warns_of_no_name() -> None:
    headers = [name for name in dir(BaseModel) if not name.startswith("_")]
    fields: dict[str, Any] = dict.fromkeys(field_names(headers).values(), (float, 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_model("Profile", **fields)
