import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models import promoting, publishing
from models.errors import PublishFailed, VersionDamaged
from models.manifest import Fit, Manifest, Verdict
from models.segmentation import Segmentation
from models.store import ModelStore
from tests.support.findings_examples import clear
from tests.support.fitted import files_of, fit, segmentation
from tests.support.signed import new_key, signing, trusting
from trainer.commands.name import give_name, print_named
from trainer.errors import NameRefused
from trainer.findings import Findings
from trainer.lineage.lineage import named, renumbered
from trainer.publishing.findings_file import findings_from_json, findings_to_json
from trainer.report.page import report_files

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
NEW_NAME = 'Großkunden, "huge", 日本'
FINDINGS = clear()
NAMES = {card.segment: card.name for card in FINDINGS.cards}
# The id column has the header of another column, and ids that a CSV file must quote.
USERS = [
    ["segment_name", "segment", "segment_name", "distance", "margin", "outlier"],
    ["user, 1", "4", NAMES[4], "0.5", "0.25", "False"],
    ['user "2"', "5", NAMES[5], "1.25", "1.0", "True"],
    ["line\nbreak", "4", NAMES[4], "0.5", "0.25", "False"],
]


def model() -> Segmentation:
    numbers = dict(enumerate(NAMES))
    return named(renumbered(segmentation(5), numbers), NAMES)


def made() -> Fit:
    return fit(Verdict.CLEAR, NOON).model_copy(update={"given_names": {5: NAMES[5]}, "k": 5})


@dataclass(frozen=True)
class Renamed:
    store: ModelStore
    before: Manifest
    after: Manifest

    def folders(self) -> tuple[Path, Path]:
        return self.store.folder(self.before.id), self.store.folder(self.after.id)


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Renamed:
    """A version with its report, and the one that names segment 4 of it, with its own."""
    store = ModelStore(tmp_path_factory.mktemp("renamed") / "store")
    before = publish(store, {**report_files(FINDINGS)})
    return Renamed(store, before, give_name(store, before.id, 4, f"  {NEW_NAME} ", LATER))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """An empty store; drawing reports takes seconds, and is left out."""
    monkeypatch.setattr("trainer.commands.name.report_files", lambda _: {"report.html": b"a page"})
    return ModelStore(tmp_path / "store")


@pytest.fixture
def version(store: ModelStore) -> Manifest:
    return publish(store, {"report.html": b"a page"})


def publish(store: ModelStore, report: dict[str, bytes]) -> Manifest:
    def write(folder: Path) -> None:
        files = {
            **files_of(model()),
            **report,
            "findings.json": findings_to_json(FINDINGS),
            "kmeans.joblib": b"kmeans",
            "bad_rows.csv": b"line,problem\n",
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)
        _write(folder / "segmented_users.csv", USERS)
        _write(folder / "segment_profiles.csv", [["segment", "segment_name"], *map(list, _numbered()), ["all", "All"]])

    return publishing.publish(store, made(), write)


def _numbered() -> list[tuple[str, str]]:
    return [(str(number), name) for number, name in NAMES.items()]


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.reader(file)]


def _findings(folder: Path) -> Findings:
    return findings_from_json((folder / "findings.json").read_bytes(), folder.name)


def test_a_new_version_differs_in_the_name_of_that_segment_only(renamed: Renamed) -> None:
    old, new = renamed.store.load(renamed.before.id), renamed.store.load(renamed.after.id)
    assert new.segmentation == named(old.segmentation, {4: NEW_NAME})
    assert new.segmentation.digest != old.segmentation.digest
    before, after = renamed.folders()
    assert before != after
    for name in ("golden.json", "kmeans.joblib", "bad_rows.csv"):
        assert (before / name).read_bytes() == (after / name).read_bytes()
    assert sorted(renamed.before.files) == sorted(renamed.after.files)


def test_the_manifest_says_who_named_what_and_is_else_the_same(renamed: Renamed) -> None:
    before, after = renamed.before, renamed.after
    assert (after.created_at, after.parent) == (LATER, before.id)
    assert after.given_names == {5: NAMES[5], 4: NEW_NAME}
    changed = {"created_at", "parent", "given_names", "id", "files"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert renamed.store.manifest(before.id) == before


def test_the_tables_have_the_new_name_and_every_other_cell_as_it_was(renamed: Renamed) -> None:
    _, folder = renamed.folders()
    assert _read(folder / "segmented_users.csv") == [
        [*row[:2], NEW_NAME if row[1] == "4" else row[2], *row[3:]] for row in USERS
    ]
    assert _read(folder / "segment_profiles.csv") == [
        ["segment", "segment_name"],
        *([number, NEW_NAME if number == "4" else name] for number, name in _numbered()),
        ["all", "All"],
    ]


def test_findings_and_report_are_made_anew_with_the_name(renamed: Renamed) -> None:
    before, after = renamed.folders()
    findings = _findings(after)
    assert {card.segment: card.name for card in findings.cards} == {**NAMES, 4: NEW_NAME}
    assert findings.lineage is not None
    assert [fate.name for fate in findings.lineage.fates if fate.segment == 4] == [NEW_NAME]
    assert (findings.origin.created_at, findings.origin.parent) == (LATER, renamed.before.id)
    assert findings.origin.model_digest == renamed.store.load(renamed.after.id).segmentation.digest
    page = (after / "report.html").read_text(encoding="utf-8")
    assert "Großkunden" in page
    assert NAMES[4] in (before / "report.html").read_text(encoding="utf-8")
    assert NAMES[4] not in page
    assert renamed.before.id in page


def test_what_the_version_before_called_its_segments_stays(renamed: Renamed) -> None:
    assert FINDINGS.lineage is not None
    gone = FINDINGS.lineage.fates[len(FINDINGS.lineage.after_segments) :]
    lineage = _findings(renamed.folders()[1]).lineage
    assert lineage is not None
    assert lineage.fates[len(lineage.after_segments) :] == gone
    assert gone


def test_a_second_name_goes_on_from_the_first(store: ModelStore, version: Manifest) -> None:
    first = give_name(store, version.id, 4, "Big spenders", LATER)
    second = give_name(store, first.id, 0, "Night owls", LATER)
    assert second.parent == first.id
    assert store.load(second.id).segmentation.names == {**NAMES, 0: "Night owls", 4: "Big spenders"}
    # Back to what it was is a name too.
    third = give_name(store, second.id, 4, NAMES[4], LATER)
    assert third.given_names[4] == NAMES[4]


@pytest.mark.parametrize(
    ("segment", "name", "message"),
    [
        (3, "Anybody", r"has no segment 3: give one of 0 \(.*\), 1 \(.*5 \("),
        (4, "  ", "'' is not a valid name: give 1 to 60"),
        (4, "x" * 61, "is not a valid name: give 1 to 60 printable"),
        (4, "two\nlines", "is not a valid name: give 1 to 60 printable"),
        (4, "turned\u202eround", "printable"),
        (4, NAMES[4], "segment 4 of version .* is already named"),
        (4, NAMES[2].upper(), "segment 2 is already named"),
        (4, "segment 7", "'segment 7' looks like the default name of another segment"),
    ],
)
def test_a_name_that_would_mislead_is_refused_and_nothing_is_written(
    store: ModelStore, version: Manifest, segment: int, name: str, message: str
) -> None:
    with pytest.raises(NameRefused, match=message):
        give_name(store, version.id, segment, name, LATER)
    assert store.versions() == (version,)


def test_a_name_of_sixty_characters_and_ones_own_number_are_names(store: ModelStore, version: Manifest) -> None:
    assert give_name(store, version.id, 4, "x" * 60, LATER).given_names[4] == "x" * 60
    assert give_name(store, version.id, 4, "Segment 4", LATER).given_names[4] == "Segment 4"


def test_a_damaged_file_is_not_carried_on(store: ModelStore, version: Manifest) -> None:
    (store.folder(version.id) / "kmeans.joblib").write_bytes(b"other")
    with pytest.raises(VersionDamaged, match=r"kmeans\.joblib is not what was published"):
        give_name(store, version.id, 4, "Big spenders", LATER)


@pytest.mark.parametrize("name", ["kmeans.joblib", "segmented_users.csv"])
def test_a_file_that_somebody_changes_meanwhile_is_not_carried_on(
    store: ModelStore, version: Manifest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def check_and_change(self: ModelStore, of: str) -> None:
        (self.folder(of) / name).write_bytes(b"other")

    monkeypatch.setattr(ModelStore, "check_files", check_and_change)
    with pytest.raises(VersionDamaged, match=f"{name} is not what was published"):
        give_name(store, version.id, 4, "Big spenders", LATER)
    assert store.version_ids() == (version.id,)


def test_a_named_version_is_signed_as_its_parent_was(store: ModelStore) -> None:
    key = new_key()
    signed = ModelStore(store.root, signing(key))
    parent = publish(signed, {"report.html": b"a page"})
    named_by_hand = give_name(signed, parent.id, 4, "Big spenders", LATER)
    assert ModelStore(store.root, trusting(key)).load(named_by_hand.id).segmentation.names[4] == "Big spenders"


def test_a_version_without_findings_is_refused(store: ModelStore) -> None:
    def write(folder: Path) -> None:
        for name, content in files_of(model()).items():
            (folder / name).write_bytes(content)

    bare = publishing.publish(store, made(), write)
    with pytest.raises(VersionDamaged, match=r"findings\.json"):
        give_name(store, bare.id, 4, "Big spenders", LATER)


def test_a_disk_that_fills_up_leaves_no_new_version(
    store: ModelStore, version: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.version_folder.shutil.copyfileobj", full)
    with pytest.raises(PublishFailed, match="No space left on device"):
        give_name(store, version.id, 4, "Big spenders", LATER)
    assert store.versions() == (version,)


def test_the_next_command_is_printed(store: ModelStore, version: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    changed = give_name(store, version.id, 4, "Big spenders", LATER)
    print_named(changed, store, " --models elsewhere")
    output = capsys.readouterr().out
    assert output.endswith(f"segment-trainer promote {changed.id} --models elsewhere\n")
    assert f"4: Big spenders, 5: {NAMES[5]}" in output


def test_no_promotion_is_suggested_where_no_segments_were_found(
    store: ModelStore, version: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    promoting.promote(store, version.id, "production", NOON)
    changed = give_name(store, version.id, 4, "Big spenders", LATER)
    print_named(changed.model_copy(update={"verdict": Verdict.NONE}), store, "")
    output = capsys.readouterr().out
    assert output.endswith("read the report; promote refuses this version unless --accept-no-structure is given\n")
    assert "segment-trainer promote" not in output
