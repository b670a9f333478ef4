import json
from pathlib import Path

import pytest

from benchmarks.datasets import TABLES, Table, wrong_roles
from trainer.__main__ import main

GENERATED = [table for table in TABLES if table.name.startswith("generated")]


@pytest.mark.parametrize("table", GENERATED, ids=lambda table: table.name)
def test_init_finds_every_role_however_a_table_is_written(
    table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write(table.made(tmp_path), tmp_path / "table.csv")
    assert main(["init", str(tmp_path / "table.csv"), "-o", str(tmp_path / "profile.py"), "--json"]) == 0
    assert [*wrong_roles(json.loads(capsys.readouterr().out)["columns"], table.roles)] == []


def test_a_column_with_another_role_than_by_hand_is_named() -> None:
    columns = [{"column": name, "role": role} for name, role in (("age", "number"), ("town", "number"), ("id", "id"))]
    assert [*wrong_roles(columns, {"town": "category|ordered", "id": "id"})] == [
        "town: number, by hand category or ordered"
    ]
