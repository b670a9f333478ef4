import json
import shlex
from pathlib import Path

import pytest

from tests.support.histories import noise, write
from trainer.__main__ import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two groups of users, as a spreadsheet in Germany exports them."""
    lines = [
        f"K{i};{'1.' if i % 2 else ''}{200 + i % 9},{i % 10};{(i % 2) * 30 + i % 7};{('Köln', 'Bonn')[i % 2]};;x"
        for i in range(60)
    ]
    path = tmp_path / "kunden.csv"
    path.write_bytes("\r\n".join(["Kunden-ID;Umsatz (€);Besuche;Stadt;Fax;class", *lines, ""]).encode("windows-1252"))
    return path


def test_fit_then_works_on_the_very_same_file(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", str(data), "-o", "profile.py", "--models", "store", "--json"]) == 0
    drafted = json.loads(capsys.readouterr().out)
    assert drafted["profile"] == "profile.py:Customer"
    assert (drafted["id"], drafted["users"]) == ("Kunden-ID", 60)
    assert [(column["column"], column["role"]) for column in drafted["columns"]] == [
        ("Kunden-ID", "id"),
        ("Umsatz (€)", "number"),
        ("Besuche", "number"),
        ("Stadt", "category"),
        ("Fax", "left out"),
        ("class", "left out"),
    ]
    assert drafted["event"]["data"]["stadt"] in {"Köln", "Bonn"}
    program, *arguments = shlex.split(drafted["next"])
    assert program == "segment-trainer"
    assert main([*arguments, "--k", "2"]) == 0
    assert "60" in capsys.readouterr().out


def test_people_see_a_table_with_a_line_for_each_column(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(data), "-o", str(tmp_path / "profile.py")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[:7]] == [
        "column",
        "Kunden-ID",
        "Umsatz",
        "Besuche",
        "Stadt",
        "Fax",
        "class",
    ]
    assert shown[-1].split(maxsplit=1)[1].startswith("segment-trainer fit ")


def test_the_table_is_no_wider_than_a_screen_and_each_column_has_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = [f"two\nlines, {i}" for i in range(8)]
    rows = "".join(f'{i},"{labels[i % 8]}",{i % 7},2025-01-{i % 28 + 1:02} 1 PM\n' for i in range(60))
    path = tmp_path / "table.csv"
    path.write_text(f"id,note,visits,signup date\n{rows}")
    assert main(["init", str(path), "-o", str(tmp_path / "profile.py")]) == 0
    shown = capsys.readouterr().out.splitlines()
    table, facts = shown[: shown.index("")], shown[shown.index("") + 1 :]
    assert [line.split()[0] for line in table] == ["column", "id", "note", "visits", "signup"]
    assert max(map(len, table)) < 240
    (question,) = (line for line in facts if line.startswith("question"))
    assert all(text in question for text in ("note", "two lines, 0", "…"))
    assert "two lines, 7" not in question


def test_machines_get_the_question_the_format_and_what_a_column_that_is_left_out_would_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i},{i % 2},{i % 28 + 1:02}.01.2025,{'' if i % 3 else i % 5}\n" for i in range(60))
    path = tmp_path / "table.csv"
    path.write_text(f"id,churn,joined,visits\n{rows}")
    assert main(["init", str(path), "-o", str(tmp_path / "profile.py"), "--json"]) == 0
    _, churn, joined, visits = json.loads(capsys.readouterr().out)["columns"]
    assert "outcome" in churn["question"]
    assert "outcome" not in churn["reason"]
    assert (joined["date_format"], joined["optional"], "question" in joined) == ("%d.%m.%Y", False, False)
    assert visits["role"] == "left out"
    assert (visits["if_uncommented"]["role"], visits["if_uncommented"]["optional"]) == ("number", True)


def test_a_file_is_never_overwritten_and_the_same_draft_changes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "profile.py"
    assert main(["init", str(data), "-o", str(profile)]) == 0
    written = profile.read_bytes()
    assert main(["init", str(data), "-o", str(profile)]) == 0
    profile.write_bytes(written + b"# mine\n")
    capsys.readouterr()
    assert main(["init", str(data), "-o", str(profile)]) == 2
    assert str(profile) in capsys.readouterr().err
    assert profile.read_bytes() == written + b"# mine\n"


@pytest.mark.parametrize("output", ["profile.txt", "none/profile.py", "."])
def test_a_path_that_cannot_be_a_profile_class_is_refused(
    data: Path, tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [*tmp_path.iterdir()]
    assert main(["init", str(data), "-o", str(tmp_path / output)]) == 2
    assert str(tmp_path / output) in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == before


def test_fit_names_init_where_no_class_was_given_for_another_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("who,spent\na,1\n")
    assert main(["fit", str(path), "--models", str(tmp_path / "store")]) == 2
    assert f"segment-trainer init {path} -o profile.py" in capsys.readouterr().err


def test_fit_names_the_columns_that_nearly_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = {"Age": "age", "Time Spent Online (hrs/weekday)": "Time Spent Online (hrs/weekday) "}
    rows = [{renamed.get(name, name): value for name, value in row.items()} for row in noise(3)]
    path = write(tmp_path / "users.csv", rows)
    assert main(["fit", str(path), "--models", str(tmp_path / "store")]) == 2
    shown = capsys.readouterr().err
    assert all(f'{other!r} meant to be "{name}"' in shown for name, other in renamed.items())


def test_a_column_is_offered_for_one_name_and_first_for_the_one_that_differs_only_in_spaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weekday, weekend = "Time Spent Online (hrs/weekday)", "Time Spent Online (hrs/weekend)"
    for given in ((f"{weekend} ",), (f"{weekday} ", f"{weekend} ")):
        rows = [{name: value for name, value in row.items() if name not in (weekday, weekend)} for row in noise(3)]
        path = write(tmp_path / "users.csv", [row | dict.fromkeys(given, 1) for row in rows])
        assert main(["fit", str(path), "--models", str(tmp_path / "store")]) == 2
        shown = capsys.readouterr().err
        assert f'{weekend + " "!r} meant to be "{weekend}"' in shown
        assert shown.count("meant to be") == len(given)
