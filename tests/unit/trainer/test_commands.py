import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.store import ModelStore
from tests.support.findings_examples import clear
from tests.support.fitted import published
from tests.support.histories import ADS_DATA, HEADER, noise, planted, write
from trainer.__main__ import main
from trainer.publishing.findings_file import FINDINGS_FILE, FINDINGS_FORMAT, findings_to_json

CHECKOUT = Path(__file__).parents[3]

Captured = pytest.CaptureFixture[str]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no setting from the environment or from somebody's .env."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODELS_DIR", "PROFILE_CLASS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a history with groups, one without, and a store with a version of each, none promoted."""
    folder = tmp_path_factory.mktemp("fitted")
    write(folder / "groups.csv", planted(100))
    write(folder / "noise.csv", noise(100))
    for name in ("groups.csv", "noise.csv"):
        assert main(["fit", str(folder / name), "--models", str(folder / "store"), "--k", "3"]) == 0
    # As if the first had been in production while the second was fitted: both may be promoted.
    store = ModelStore(folder / "store")
    first, second = store.versions()
    manifest = store.folder(second.id) / "manifest.json"
    manifest.write_text(second.model_copy(update={"parent": first.id}).model_dump_json(), encoding="utf-8")
    return folder


@pytest.fixture
def here(fitted: Path, tmp_path: Path) -> Path:
    """The fitted directory, to be changed."""
    return Path(shutil.copytree(fitted, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def ids(here: Path) -> dict[str, str]:
    """Verdict -> id of the version."""
    return {manifest.verdict: manifest.id for manifest in ModelStore(here / "store").versions()}


# --- fit -------------------------------------------------------------------------------------------------------------


def test_fit_says_what_it_found_and_what_to_type_next(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "history.csv", planted(100))
    status, output, errors = run("fit", "history.csv", "--models", "a store")
    assert status == 0
    facts = dict(re.split(r"  +", line, maxsplit=1) for line in output.splitlines())
    version = facts["version"]
    assert re.match(r"clear: \S+\s% of users lie between segments", facts["verdict"])
    assert facts["segments"] == "3"
    assert re.fullmatch(r"0\.\d{3}", facts["silhouette"])
    assert re.match(r"2: 0\.\d{3}, 3: .* elbow at \d+", facts["silhouette by k"])
    assert re.fullmatch(r"\d+ segments, silhouette 0\.\d{3}", facts["runner-up"])
    assert re.fullmatch(r"0 .+: 50 \(50%\); 1 .+: 30 \(30%\); 2 .+: 20 \(20%\)", facts["users by segment"])
    assert "likes_and_reactions" in facts["columns kept"]
    assert facts["columns left out"].endswith("(not related to any other column)")
    assert facts["report"] == f"a store/versions/{version}/report.html"
    assert facts["next"] == f"segment-trainer promote {version} --models 'a store'"
    assert "choosing the number of segments …\n" in errors


def test_the_next_command_is_one_that_works(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "history.csv", planted(100))
    _, output, _ = run("fit", "history.csv")
    program, *words = output.splitlines()[-1].removeprefix("next").split()
    assert program == "segment-trainer"
    assert run(*words)[0] == 0


@pytest.mark.skipif(not ADS_DATA.exists(), reason="the advertising data set is not beside this checkout")
def test_the_advertising_data_set_is_fitted_with_the_verdict_none(run: Run) -> None:
    status, output, _ = run("fit", ADS_DATA)
    assert status == 0
    assert "none: no two columns are related" in output
    assert re.search(
        r"tiers +[A-Z].*: below [\d.,]+ \(\d+%\), .* or more \(\d+%\) \(cut points, not segments\)", output
    )


def test_fit_takes_the_number_of_segments_the_groups_and_the_seed(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "history.csv", planted(100))
    flags = ("--k", 4, "--only", "behaviour, device", "--columns", "all", "--seed", 5, "--min-segment-users", 5)
    status, _, _ = run("fit", "history.csv", *flags)
    assert status == 0
    (manifest,) = ModelStore(Path("model-store")).versions()
    shown = json.loads(run("show", manifest.id, "--json")[1])["findings"]
    assert (manifest.k, shown["origin"]["seed"]) == (4, 5)
    assert shown["origin"]["options"] == {
        "k": "4",
        "only": "behaviour,device",
        "columns": "all",
        "max-k": "10",
        "min-segment-users": "5",
        "not named": "demographic",
    }
    kept = [column["field"] for column in shown["quality"]["columns"] if column["left_out_because"] is None]
    assert "device_usage" in kept
    assert "age" not in kept


@pytest.mark.parametrize("command", ["fit", "assign", "list", "show", "promote", "compare", "rollback"])
def test_an_unknown_flag_shows_the_usage_of_its_command(run: Run, command: str) -> None:
    positional = {"fit": ["a.csv"], "assign": ["a.csv", "-o", "b.csv"], "show": ["V"], "promote": ["V"]}
    words = positional.get(command, ["A", "B", "a.csv"] if command == "compare" else [])
    status, output, errors = run(command, *words, "--unknown", "1")
    assert (status, output) == (2, "")
    assert errors.startswith(f"usage: segment-trainer {command} ")
    assert "unrecognized arguments: --unknown" in errors


@pytest.mark.parametrize("store", ["s3://bucket/models", "gs://bucket", "file:///models", "S3:/bucket"])
def test_a_store_that_is_a_url_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    status, _, errors = run("list", "--models", store)
    assert status == 2
    assert f"{store} is a URL" in errors
    monkeypatch.setenv("MODELS_DIR", store)
    status, _, errors = run("list")
    assert status == 2
    assert "MODELS_DIR" in errors
    assert f"{store} is a URL" in errors
    assert [*tmp_path.iterdir()] == []


def test_version_is_the_distributions(run: Run) -> None:
    assert run("--version") == (0, f"segment-trainer {metadata.version('stream-segmentation')}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["history.csv"], "history.csv does not exist: check the path"),
        (["."], ". is a directory: name the file in it"),
        (["empty.csv"], "empty.csv is empty"),
        (["header.csv"], "header.csv has a header but no rows"),
        (["semicolons.csv"], "semicolons.csv is separated by semicolons: save it separated by commas"),
        (["wide.csv"], "wide.csv is UTF-16: save it as UTF-8"),
        (["latin.csv"], "latin.csv, line 3 is not UTF-8"),
        (["missing.csv"], 'missing.csv lacks "Age", "Gender", which UserProfile needs'),
        (["same.csv"], "no column tells users apart"),
        (["few.csv"], "10 rows, too few to choose a number of segments (40 are needed)"),
        (["few.csv", "--k", "11"], "10 rows, too few for 11 segments"),
        (["few.csv", "--only", "shoes"], "no feature group 'shoes'"),
        (["few.csv", "--profile", "nothing:Here"], "module nothing cannot be imported"),
        (["few.csv", "--k", "1"], "argument --k: expected an integer of at least 2, got '1'"),
        (["few.csv", "--k", "many"], "argument --k: expected an integer of at least 2, got 'many'"),
        (["few.csv", "--only", " ,"], "argument --only: expected the name of a feature group, got ' ,'"),
        (["few.csv", "--seed", "-1"], "argument --seed"),
        ([], "the following arguments are required: DATA.csv"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line_and_nothing_is_written(
    tmp_path: Path, run: Run, words: list[str], message: str
) -> None:
    rows = noise(10)
    few = write(tmp_path / "few.csv", rows).read_bytes()
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "header.csv").write_bytes((",".join(HEADER) + "\n").encode())
    (tmp_path / "semicolons.csv").write_bytes(few.replace(b",", b";"))
    (tmp_path / "wide.csv").write_bytes(few.decode().encode("utf-16"))
    (tmp_path / "latin.csv").write_bytes(few.replace(b"user-1", "usér-1".encode("latin-1"), 1))
    write(tmp_path / "missing.csv", [{h: row[h] for h in HEADER if h not in {"Age", "Gender"}} for row in rows])
    write(tmp_path / "same.csv", [rows[0] | {"User ID": i} for i in range(50)])
    before = sorted(tmp_path.rglob("*"))
    status, output, errors = run("fit", *words)
    assert status == 2
    assert output == ""
    assert message in errors
    assert "Traceback" not in errors
    assert len([line for line in errors.splitlines() if line.startswith("segment-trainer")]) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_rows_are_refused_with_what_to_do_and_left_out_when_asked(tmp_path: Path, run: Run) -> None:
    rows = planted(100)
    for row in rows[:30]:
        row["Conversion Rates"] = "1,5"
    write(tmp_path / "history.csv", rows)
    status, _, errors = run("fit", "history.csv")
    assert status == 2
    assert "history.csv has 30 bad rows, nothing was written: correct them, or leave them out with --skip-bad" in errors
    assert "  line 2, Conversion Rates: '1,5' should be a valid number\n" in errors
    assert errors.count("  line ") == 20
    assert errors.endswith("  and 10 more\n")
    assert not Path("model-store").exists()
    status, output, _ = run("fit", "history.csv", "--skip-bad-rows")
    assert status == 0
    assert "bad rows skipped  30, listed in bad_rows.csv" in output


def test_every_command_that_reads_a_history_leaves_bad_rows_out_when_asked(tmp_path: Path, run: Run) -> None:
    rows = planted(100)
    write(tmp_path / "good.csv", rows)
    for row in rows[:30]:
        row["Conversion Rates"] = "1,5"
    write(tmp_path / "history.csv", rows)
    store = ModelStore(Path("model-store"))
    assert run("fit", "good.csv")[0] == 0
    (first,) = store.versions()
    assert run("promote", first.id, "--accept-no-structure")[0] == 0
    assert run("fit", "good.csv", "--k", "2")[0] == 0
    (second,) = (each for each in store.versions() if each.id != first.id)
    for command in (
        ["assign", "history.csv", "-o", "out.csv"],
        ["compare", first.id, second.id, "history.csv"],
        ["promote", second.id, "--accept-no-structure", "--data", "history.csv"],
    ):
        status, _, errors = run(*command)
        assert (status, "leave them out with --skip-bad-rows" in errors) == (2, True), command
        status, output, _ = run(*command, "--skip-bad-rows")
        assert (status, " ".join(output.split()).count("bad rows skipped 30")) == (0, 1), command
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == len(rows) - 30 + 1
    compared = json.loads(run("compare", first.id, second.id, "history.csv", "--skip-bad-rows", "--json")[1])
    assert compared["rows_skipped"] == 30
    write(tmp_path / "bad.csv", rows[:30])
    status, _, errors = run("assign", "bad.csv", "-o", "none.csv", "--skip-bad-rows")
    assert (status, "bad.csv has no row that can be used" in errors) == (2, True)
    assert not (tmp_path / "none.csv").exists()


def test_fit_says_which_fields_events_must_have_in_vain(tmp_path: Path, run: Run) -> None:
    generator = np.random.default_rng(1)
    group = np.arange(200) % 2
    names = ["a", "b", *(f"noise{i}" for i in range(7)), "maybe"]
    columns = [*(9 * group + generator.normal(size=200) for _ in range(2)), *generator.normal(size=(8, 200))]
    lines = [",".join(f"{value:.4f}" for value in row) for row in zip(*columns, strict=True)]
    (tmp_path / "wide.csv").write_text("\n".join([",".join(names), *lines]) + "\n", encoding="utf-8")
    fields = [f"    {name}: Annotated[float, number('use')]\n" for name in names[:-1]]
    (tmp_path / "wide.py").write_text(
        "from typing import Annotated, ClassVar\n"
        "from pydantic import BaseModel\n"
        "from schemas.roles import number\n"
        "class Wide(BaseModel):\n"
        "    history_id_column: ClassVar[None] = None\n"
        f"{''.join(fields)}    maybe: Annotated[float | None, number('use')] = None\n",
        encoding="utf-8",
    )
    status, output, _ = run("fit", "wide.csv", "--profile", "wide.py:Wide", "--k", "2")
    said = " ".join(output.split())
    assert status == 0
    assert "columns kept a, b " in said
    assert "events must still have 7 fields that the model does not use (noise0, noise1, noise2," in said
    assert "noise4 and 2 more)" in said
    (version,) = ModelStore(Path("model-store")).versions()
    report = (Path("model-store") / "versions" / version.id / "report.html").read_text(encoding="utf-8")
    assert "Events must still have 7 fields" in report


def test_a_class_of_ones_own_is_fitted_and_another_one_is_recognised(tmp_path: Path, run: Run) -> None:
    (tmp_path / "shop.py").write_text(
        "from typing import Annotated, ClassVar\n"
        "from pydantic import BaseModel\n"
        "from schemas.roles import category, number\n"
        "class Shop(BaseModel):\n"
        "    history_id_column: ClassVar[str] = 'customer'\n"
        "    orders: Annotated[int, number('sales')]\n"
        "    country: Annotated[str, category('place')]\n",
        encoding="utf-8",
    )
    lines = [f"c{i},{(i % 2) * 50 + i % 5},{'FR' if i % 2 else 'DE'}" for i in range(60)]
    (tmp_path / "shop.csv").write_text("\n".join(["customer,orders,country", *lines]) + "\n", encoding="utf-8")
    status, output, _ = run("fit", "shop.csv", "--profile", "shop.py:Shop", "--promote", "--accept-no-structure")
    assert status == 0
    assert "columns kept      orders, country" in output
    assert run("assign", "shop.csv", "-o", "out.csv", "--profile", "shop.py:Shop")[0] == 0
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").startswith("customer,segment,")
    status, _, errors = run("assign", "shop.csv", "-o", "other.csv")
    assert status == 2
    assert "was fitted for profile class Shop" in errors
    assert not (tmp_path / "other.csv").exists()


def test_promote_with_the_fit_puts_it_into_production_once(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "history.csv", planted(100))
    status, output, _ = run("fit", "history.csv", "--promote")
    assert status == 0
    (manifest,) = ModelStore(Path("model-store")).versions()
    assert f"{manifest.id} is in production now, before: none" in output
    assert "next " not in output
    status, output, errors = run("fit", "not-even-there.csv", "--promote")
    assert (status, errors) == (0, "")
    assert output == f"{manifest.id} is already in production in model-store: nothing was fitted\n"
    assert len(ModelStore(Path("model-store")).versions()) == 1


def test_promote_with_a_fit_without_structure_is_refused_and_the_version_stays(tmp_path: Path, run: Run) -> None:
    write(tmp_path / "history.csv", noise(100))
    status, output, errors = run("fit", "history.csv", "--promote")
    assert status == 2
    assert len(ModelStore(Path("model-store")).versions()) == 1
    assert "next " not in output
    assert "found no segments in its data (no two columns are related; " in errors
    assert "give --accept-no-structure" in errors
    status, output, _ = run("fit", "history.csv", "--promote", "--accept-no-structure", "--seed", 1)
    assert status == 0
    assert "is in production now" in output


OTHER_CLASS = "from schemas import UserProfile\n\nclass Other(UserProfile):\n    pass\n"


def test_promote_with_the_fit_never_replaces_a_version_of_another_profile_class(
    here: Path, run: Run, ids: dict[str, str]
) -> None:
    (here / "other.py").write_text(OTHER_CLASS, encoding="utf-8")
    run("promote", ids["clear"], "--models", "store")
    words = ("fit", "groups.csv", "--models", "store", "--profile", "other.py:Other")
    status, output, errors = run(*words, "--promote")
    assert (status, output) == (2, "")
    for part in (ids["clear"], "UserProfile", "Other", "PROFILE_CLASS"):
        assert part in errors
    assert {manifest.id for manifest in ModelStore(here / "store").versions()} == {*ids.values()}


def test_promote_with_the_fit_replaces_a_version_of_an_earlier_format_and_uses_none_of_its_numbers(
    here: Path, run: Run, ids: dict[str, str]
) -> None:
    run("promote", ids["clear"], "--models", "store")
    path = here / "store" / "versions" / ids["clear"] / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": 1}), encoding="utf-8")
    status, _, errors = run("show", ids["clear"], "--models", "store")
    assert status == 2
    assert "format 1" in errors
    assert run("fit", "groups.csv", "--k", "3", "--models", "store", "--promote")[0] == 0
    (listed,) = (entry for entry in json.loads(run("list", "--json", "--models", "store")[1]) if entry["aliases"])
    assert listed["id"] not in ids.values()
    assert set(ModelStore(here / "store").load(listed["id"]).segmentation.names) == {3, 4, 5}


# --- assign ----------------------------------------------------------------------------------------------------------


def test_assign_gives_the_users_of_the_fit_what_the_fit_gave_them(here: Path, run: Run, ids: dict[str, str]) -> None:
    words = ("assign", "groups.csv", "-o", "out.csv", "--models", "store")
    assert run(*words, "--version", ids["clear"])[0] == 0
    stored = ModelStore(here / "store").folder(ids["clear"]) / "segmented_users.csv"
    assert (here / "out.csv").read_bytes() == stored.read_bytes()
    run("promote", ids["clear"], "--models", "store")
    (here / "out.csv").unlink()
    status, output, _ = run(*words)
    assert status == 0
    assert (here / "out.csv").read_bytes() == stored.read_bytes()
    assert "0: 50, 1: 30, 2: 20" in output


def test_assign_writes_parquet_with_the_types_that_the_csv_cannot_carry(here: Path, run: Run) -> None:
    (version,) = (each for each in ModelStore(here / "store").versions() if each.verdict == "clear")
    pq.write_table(pa.Table.from_pylist([row | {"User ID": i + 7} for i, row in enumerate(planted(100))]), "in.parquet")
    for output in ("out.csv", "out.parquet"):
        words = ("in.parquet", "-o", output, "--models", "store", "--version", version.id)
        assert run("assign", *words)[0] == 0
    table = pq.read_table("out.parquet")
    assert [str(each) for each in table.schema.types] == ["int64", "int32", "string", "double", "double", "bool"]
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert table.column_names == header
    assert [[str(cell) for cell in row.values()] for row in table.to_pylist()] == rows


def test_assign_counts_values_that_training_did_not_see(here: Path, run: Run, ids: dict[str, str]) -> None:
    rows = noise(10)
    rows[0]["Language"] = rows[1]["Language"] = "Esperanto"
    write(here / "new.csv", rows)
    _, output, _ = run("assign", "new.csv", "-o", "out.csv", "--models", "store", "--version", ids["clear"])
    assert "unknown values    language: 2 users" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["groups.csv", "-o", "out.csv"], "no version in store is named 'production'"),
        (["groups.csv", "-o", "out.csv", "--version", "20200101T000000Z-00000000"], "there is no version 20200101"),
        (["groups.csv", "-o", "."], ". is a directory: name a file in it with -o"),
        (["groups.csv", "-o", "not/there/out.csv"], "directory not/there does not exist"),
        (["groups.csv", "-o", "groups.csv"], "groups.csv is the history itself"),
        (["groups.csv", "-o", "out.xlsx", "--version", "GROUPS"], "out.xlsx ends in neither .csv nor .parquet"),
        (["groups.csv"], "the following arguments are required: -o/--output"),
        (["none.csv", "-o", "out.csv", "--version", "GROUPS"], "none.csv does not exist"),
        (["bad.csv", "-o", "out.csv", "--version", "GROUPS"], "bad.csv has 1 bad row, nothing was written: correct"),
    ],
)
def test_what_cannot_be_assigned_is_refused_and_nothing_is_written(
    here: Path, run: Run, ids: dict[str, str], words: list[str], message: str
) -> None:
    rows = noise(3)
    rows[1]["Age"] = ""
    write(here / "bad.csv", rows)
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    status, output, errors = run("assign", *(ids["clear"] if w == "GROUPS" else w for w in words), "--models", "store")
    assert status == 2
    assert output == ""
    assert message in errors
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


# --- what is stored --------------------------------------------------------------------------------------------------


def test_list_show_and_history_print_for_people(here: Path, run: Run, ids: dict[str, str]) -> None:
    run("promote", ids["clear"], "--models", "store")
    _, output, _ = run("list", "--models", "store")
    header, *lines = output.splitlines()
    assert header.split() == [
        "version",
        "created",
        "profile",
        "verdict",
        "segments",
        "silhouette",
        "users",
        "signature",
        "alias",
    ]
    assert sorted(line.split()[0] for line in lines) == sorted(ids.values())
    (produced,) = (line for line in lines if line.endswith("production"))
    assert ids["clear"] in produced
    _, output, _ = run("show", ids["none"], "--models", "store")
    assert "verdict           none: no two columns are related" in output
    assert "silhouette by k   3: 0." in output
    assert "(k was given)" in output
    assert "options           k 3, only all, columns related" in output
    assert "scikit-learn" in output
    _, output, _ = run("history", "--models", "store")
    assert re.search(rf"promote  {ids['clear']}  none +clear", output)


def test_a_report_made_again_is_the_one_that_fit_wrote_and_the_version_stays_as_it_was(
    here: Path, run: Run, ids: dict[str, str]
) -> None:
    for verdict, version in ids.items():
        folder = ModelStore(here / "store").folder(version)
        before = {path: path.read_bytes() for path in folder.iterdir()}
        assert run("report", version, "--models", "store", "-o", f"{verdict}.html")[0] == 0
        assert (here / f"{verdict}.html").read_bytes() == before[folder / "report.html"]
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
    status, output, _ = run("report", ids["clear"], "--models", "store")
    assert (status, f"report-{ids['clear']}.html" in output) == (0, True)
    assert Path(f"report-{ids['clear']}.html").read_bytes() == Path("clear.html").read_bytes()


def test_findings_of_another_format_are_refused_and_no_report_is_written(here: Path, run: Run) -> None:
    store = ModelStore(here / "other")
    for shift, advice in ((-1, "fit again"), (1, "upgrade")):
        content = findings_to_json(clear()).replace(
            b'"format":%d' % FINDINGS_FORMAT, b'"format":%d' % (FINDINGS_FORMAT + shift)
        )
        version = published(store, shift + 1, {FINDINGS_FILE: content}).id
        status, output, errors = run("report", version, "--models", "other", "-o", "out.html")
        assert (status, output) == (2, "")
        assert {FINDINGS_FILE, version} <= set(errors.split())
        assert advice in errors
    assert not (here / "out.html").exists()


def test_list_show_and_history_print_json_for_machines(here: Path, run: Run, ids: dict[str, str]) -> None:
    run("promote", ids["none"], "--models", "store", "--accept-no-structure")
    listed = json.loads(run("list", "--json", "--models", "store")[1])
    assert {entry["id"]: entry["aliases"] for entry in listed} == {ids["none"]: ["production"], ids["clear"]: []}
    shown = json.loads(run("show", ids["none"], "--json", "--models", "store")[1])
    assert "map" not in shown.pop("findings")
    assert shown in listed
    assert shown["verdict"] == "none"
    (entry,) = json.loads(run("history", "--json", "--models", "store")[1])
    assert (entry["action"], entry["version"], entry["accepted_no_structure"]) == ("promote", ids["none"], True)


def test_a_misspelt_setting_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_DIR", "elsewhere")
    _, output, errors = run("list", "--json")
    assert output == "[]\n"
    assert {"MODEL_DIR", "MODELS_DIR?"} <= set(errors.split())


def test_an_empty_store_is_no_error_to_look_at(run: Run) -> None:
    for command in ("list", "history"):
        status, reason, _ = run(command)
        assert (status, "model-store" in reason) == (0, True)
        assert run(command, "--json") == (0, "[]\n", reason)


def test_promote_refuses_what_has_no_structure_unless_it_is_accepted(here: Path, run: Run, ids: dict[str, str]) -> None:
    status, output, errors = run("promote", ids["none"], "--models", "store")
    assert (status, output) == (2, "")
    assert "found no segments in its data (no two columns are related; " in errors
    assert "give --accept-no-structure" in errors
    assert run("promote", ids["none"], "--models", "store", "--accept-no-structure")[0] == 0
    status, output, _ = run("promote", ids["none"], "--models", "store", "--accept-no-structure")
    assert (status, output) == (0, f"{ids['none']} is already in production\n")


def test_rollback_puts_back_what_was_before(here: Path, run: Run, ids: dict[str, str]) -> None:
    run("promote", ids["clear"], "--models", "store")
    run("promote", ids["none"], "--models", "store", "--accept-no-structure")
    status, output, _ = run("rollback", "--models", "store")
    assert status == 0
    assert output.startswith(f"{ids['clear']} is in production again, before: {ids['none']}")
    status, _, errors = run("rollback", "--models", "store")
    assert status == 2
    assert "no earlier version to roll back to" in errors
    assert [entry["action"] for entry in json.loads(run("history", "--json", "--models", "store")[1])] == [
        "promote",
        "promote",
        "rollback",
    ]


def test_prune_keeps_the_newest_what_is_in_production_and_what_was_before(here: Path, run: Run) -> None:
    oldest, newest = sorted(manifest.id for manifest in ModelStore(here / "store").versions())
    assert run("prune", "--keep", 2, "--models", "store")[1] == "0 removed, 2 kept\n"
    run("promote", oldest, "--models", "store", "--accept-no-structure")
    assert run("prune", "--keep", 1, "--models", "store")[1] == "0 removed, 2 kept\n"
    run("promote", newest, "--models", "store", "--accept-no-structure")
    assert run("prune", "--keep", 1, "--models", "store")[1] == "0 removed, 2 kept\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "20200101T000000Z-00000000"], "there is no version 20200101T000000Z-00000000 in model-store"),
        (["promote", "20200101T000000Z-00000000"], "there is no version 20200101T000000Z-00000000 in model-store"),
        (["rollback"], "there is no model store at model-store"),
        (["prune", "--keep", "3"], "there is no model store at model-store"),
        (["prune", "--keep", "0"], "expected an integer of at least 1, got '0'"),
        (["prune"], "the following arguments are required: --keep"),
        (["compute"], "invalid choice: 'compute'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(run: Run, words: list[str], message: str) -> None:
    status, output, errors = run(*words)
    assert (status, output) == (2, "")
    assert message in errors
    assert "Traceback" not in errors


def test_a_damaged_version_is_named(here: Path, run: Run, ids: dict[str, str]) -> None:
    (ModelStore(here / "store").folder(ids["clear"]) / "kmeans.joblib").write_bytes(b"")
    status, _, errors = run("promote", ids["clear"], "--models", "store")
    assert status == 2
    assert "kmeans.joblib is not what was published" in errors


def test_the_store_and_the_class_come_from_the_environment_or_from_dot_env(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / ".env").write_text("MODELS_DIR=store\nPROFILE_CLASS=nothing:Here\n", encoding="utf-8")
    assert len(json.loads(run("list", "--json")[1])) == 2
    assert "module nothing cannot be imported" in run("fit", "groups.csv")[2]
    monkeypatch.setenv("MODELS_DIR", "elsewhere")
    assert json.loads(run("list", "--json")[1]) == []


# --- as a process ----------------------------------------------------------------------------------------------------

WITHOUT_EXTRAS = """
import json, sys
for name in ("pandas", "sklearn", "scipy", "joblib", "threadpoolctl", "rich"):
    sys.modules[name] = None
from trainer.__main__ import main
for words in json.loads(sys.argv[1]):
    print(words[0], main([*words, "--models", "store"]), flush=True)
"""


def process(here: Path, *words: str, program: tuple[str, ...] = ("-m", "trainer")) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"MODELS_DIR", "PROFILE_CLASS"}}
    return subprocess.Popen(
        [sys.executable, *program, *words],
        cwd=here, env=environment | {"PYTHONPATH": str(CHECKOUT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def without_extras(here: Path, *commands: list[str]) -> tuple[list[str], str]:
    """The commands run one after the other where no extra is installed: "name status" of each, and all errors."""
    with process(here, json.dumps(commands), program=("-c", WITHOUT_EXTRAS)) as running:
        output, errors = running.communicate()
    statuses = [line for line in output.splitlines() if re.fullmatch(r"\w+ \d+", line)]
    return statuses, errors


def test_what_is_stored_needs_the_base_install_only(here: Path, ids: dict[str, str]) -> None:
    commands = (
        ["list"],
        ["show", ids["none"]],
        ["promote", ids["clear"]],
        ["promote", ids["none"], "--accept-no-structure"],
        ["rollback"],
        ["history"],
        ["prune", "--keep", "1"],
    )
    statuses, errors = without_extras(here, *commands)
    assert statuses == [f"{name} 0" for name, *_ in commands]
    assert errors == ""


def test_a_command_whose_extra_is_missing_says_which(here: Path) -> None:
    first, second = ModelStore(here / "store").versions()
    statuses, errors = without_extras(
        here,
        ["fit", "groups.csv"],
        ["assign", "groups.csv", "-o", "out.csv"],
        ["compare", first.id, second.id, "groups.csv"],
        ["name", first.id, "0", "Owls"],
        ["report", first.id],
        ["promote", first.id, "--accept-no-structure"],
        ["promote", second.id, "--accept-no-structure", "--data", "groups.csv"],
    )
    assert statuses == ["fit 2", "assign 2", "compare 2", "name 2", "report 2", "promote 0", "promote 2"]
    for line in errors.splitlines():
        assert re.fullmatch(
            r'segment-trainer: this command needs \w+, .*: install it with the extra "trainer" \(.*\)', line
        )
    assert len(errors.splitlines()) == 6


def test_a_fit_that_is_interrupted_says_so_and_leaves_no_version(here: Path) -> None:
    with process(here, "fit", "groups.csv", "--models", "new-store") as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        while "choosing" not in line:
            line = running.stderr.readline()
        running.send_signal(signal.SIGINT)
        errors = running.stderr.read()
    assert running.returncode == 130
    assert errors.splitlines()[-1].startswith("segment-trainer: interrupted")
    assert "Traceback" not in errors
    assert ModelStore(here / "new-store").versions() == ()


def test_a_reader_that_has_seen_enough_is_no_error(here: Path, ids: dict[str, str]) -> None:
    with process(here, "show", ids["none"], "--models", "store") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        errors = running.stderr.read()
    assert (running.returncode, errors) == (0, "")


def test_help_is_quick_and_names_every_command(here: Path) -> None:
    with process(here, "--help", program=("-X", "importtime", "-m", "trainer")) as running:
        output, errors = running.communicate()
    assert running.returncode == 0
    for command in (
        "fit",
        "assign",
        "list",
        "show",
        "report",
        "history",
        "promote",
        "compare",
        "name",
        "rollback",
        "prune",
    ):
        assert re.search(rf"^ +{command} +\w", output, re.MULTILINE), command
    assert "sklearn" not in errors
    assert "pandas" not in errors
