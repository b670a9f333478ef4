"""The examples that the documentation prints are what the programs give, and its links lead somewhere."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from models.store import ModelStore, StoredModel
from schemas import UserProfile
from schemas.formats.avro import RegisteredSchema, WriterSchemas
from schemas.roles import load_profile_class
from tests.support.avro import wire
from trainer.__main__ import main
from worker.input_settings import input_format
from worker.settings_loading import load_settings
from worker.stream.processor import Scoring
from worker.stream.records import Record, Records

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
)
COMPOSE_CLUSTER_ID = "c3RyZWFtLXNlZ21lbnQtMQ"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def sample_model(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    store = tmp_path_factory.mktemp("store")
    # Without --k the search finds 5, too, and takes twice as long.
    assert main(["fit", str(ROOT / "demo/sample_history.csv"), "--k", "5", "--models", str(store), "--promote"]) == 0
    return ModelStore(store).load_alias("production")


@pytest.mark.parametrize(
    "page", ["README.md", "docs/events.md", "docs/input-json.md", "docs/input-segment.md", "docs/input-debezium.md"]
)
def test_the_event_in_the_example_gets_the_result_beside_it(page: str, sample_model: StoredModel) -> None:
    event, result, *_ = blocks(page, "json")
    require_result(page, event.encode(), result, sample_model)


def test_the_value_in_avro_in_the_example_gets_the_result_beside_it(sample_model: StoredModel) -> None:
    schema, value, result = blocks("docs/input-avro.md", "json")
    schemas = WriterSchemas()
    schemas.add(7, RegisteredSchema("AVRO", schema))
    require_result("docs/input-avro.md", wire(7, json.loads(schema), json.loads(value)), result, sample_model, schemas)


def require_result(
    page: str, value: bytes, result: str, sample_model: StoredModel, schemas: WriterSchemas | None = None
) -> None:
    expected: dict[str, Any] = json.loads(result)
    read_from = expected["data"]["input"]
    record = Record(read_from["topic"], read_from["partition"], read_from["offset"], 0, None, value)
    given = (line.split("=", 1) for line in "".join(blocks(page, "ini")).splitlines())
    settings = load_settings({variable.lower(): value for variable, value in given})
    scoring = Scoring(
        sample_model,
        UserProfile,
        COMPOSE_CLUSTER_ID,
        expected["source"],
        900_000,
        1_000_000,
        input_format=input_format(settings, schemas),
    )
    outcome = scoring.process(Records.of([record]), datetime.fromisoformat(expected["time"]))
    got: dict[str, Any] = json.loads(outcome.results[0].value or b"")

    # The version is named after the moment of the fit and the last bits of its centres.
    version, digest = expected["data"].pop("model").values()
    assert re.fullmatch(rf"\d{{8}}T\d{{6}}Z-{digest[:8]}", version)
    assert got["data"].pop("model").keys() == {"version", "digest"}
    assert {name: got["data"].pop(name) for name in ("distance", "margin")} == pytest.approx(
        {name: expected["data"].pop(name) for name in ("distance", "margin")}, abs=2e-6
    )
    assert got == expected


def test_the_erasure_in_the_example_has_the_result_beside_it(sample_model: StoredModel) -> None:
    *_, event, result = blocks("docs/events.md", "json")
    expected: dict[str, Any] = json.loads(result)
    read_from = expected["data"]["input"]
    record = Record(read_from["topic"], read_from["partition"], read_from["offset"], 0, None, event.encode())
    scoring = Scoring(sample_model, UserProfile, COMPOSE_CLUSTER_ID, expected["source"], 900_000, 1_000_000)
    (message,) = scoring.process(Records.of([record]), datetime.fromisoformat(expected["time"])).results
    assert json.loads(message.value or b"") == expected


def test_the_profile_classes_in_the_documentation_load(tmp_path: Path) -> None:
    classes = [block for block in blocks("docs/your-data.md", "python") if "class Shopper" in block]
    assert len(classes) == 2
    for at, source in enumerate(classes):
        (tmp_path / f"profile_{at}.py").write_text(source)
        assert load_profile_class(f"{tmp_path}/profile_{at}.py:Shopper").__name__ == "Shopper"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_section_that_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    broken = [link for link in links if not leads_somewhere((ROOT / page), link)]
    # The site holds docs/ only.
    outside = [link for link in links if page.startswith("docs/") and link.startswith("..")]
    assert (broken, outside) == ([], [])


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_leads_to_a_module_or_a_target_that_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    modules = {module.replace(".", "/") for module in re.findall(r"python -m ((?:benchmarks|demo|tests)[\w.]*)", text)}
    assert [
        name for name in modules if not any((ROOT / f"{name}{end}").exists() for end in (".py", "/__main__.py"))
    ] == []
    targets = set(re.findall(r"`make ([a-z-]+)", text)) | set(re.findall(r"^make ([a-z-]+)$", text, re.MULTILINE))
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    named = set(re.findall(r'"([\w-]+\.md)"', (ROOT / "zensical.toml").read_text()))
    assert named == {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}


@pytest.mark.parametrize("folder", ["schemas", "models", "trainer", "worker", "demo"])
def test_every_module_is_in_the_map_of_the_architecture(folder: str) -> None:
    text = (ROOT / "docs/architecture.md").read_text().partition("## Where to find what")[2]
    part = re.search(rf"^{folder}/.*?(?=^\w)", text, re.MULTILINE | re.DOTALL)
    assert part
    modules = {path.stem for path in (ROOT / folder).rglob("*.py")} - {"__init__"}
    assert modules - set(re.findall(r"\w+", part[0])) == set()


def test_the_readme_is_read_in_three_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 900
