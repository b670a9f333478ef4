import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.manifest import Fit, Manifest, Reassigned, Verdict
from models.store import ModelStore
from tests.support.findings_examples import clear, none
from tests.support.fitted import fit, publish, segmentation
from tests.support.histories import noise, write
from trainer.findings import Findings
from trainer.publishing.findings_file import FINDINGS_FILE, findings_to_json

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACCEPTED = "accepted without structure"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory with a small history, and no setting from the environment or from somebody's .env."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODELS_DIR", "PROFILE_CLASS"):
        monkeypatch.delenv(name, raising=False)
    write(tmp_path / "users.csv", noise(200))


@pytest.fixture
def store() -> ModelStore:
    return ModelStore(Path("model-store"))


def version(
    store: ModelStore, place: int, verdict: Verdict = Verdict.CLEAR, findings: Findings | None = None, **changed: object
) -> Manifest:
    """The version of that place in time; each has other centres, and all but the first continue the first."""
    findings = findings or (none() if verdict is Verdict.NONE else clear())
    parent = next((manifest.id for manifest in store.versions()), None)
    made: Fit = fit(verdict, NOON + timedelta(minutes=place)).model_copy(update={"parent": parent, **changed})
    return publish(store, segmentation(seed=place), made, {FINDINGS_FILE: findings_to_json(findings)})


def reassigning(users: int, against: Manifest) -> Reassigned:
    return Reassigned(against=against.id, share=users / 1000, users=users, compared=1000)


# --- list ------------------------------------------------------------------------------------------------------------


def test_a_damaged_version_is_listed_with_the_reason_and_the_others_as_ever(store: ModelStore, run: Run) -> None:
    whole, damaged = version(store, 1), version(store, 2)
    (store.folder(damaged.id) / "manifest.json").write_text("{}")
    status, output, errors = run("list")
    assert (status, errors) == (0, "")
    _, first, second = output.splitlines()
    assert first.startswith(whole.id)
    assert re.match(rf".*{damaged.id}/manifest.json is damaged \(", second)
    status, output, errors = run("list", "--json")
    assert (status, errors) == (0, f"{second}\n")
    assert [entry["id"] for entry in json.loads(output)] == [whole.id]
    assert run("prune", "--keep", 2)[1] == "0 removed, 2 kept\n"


def test_a_list_reports_that_the_version_in_production_is_missing(store: ModelStore, run: Run) -> None:
    first, second = version(store, 1), version(store, 2)
    run("promote", second.id)
    store.folder(second.id).rename("elsewhere")
    status, output, _ = run("list")
    _, other, missing = output.splitlines()
    assert (status, other.startswith(first.id)) == (0, True)
    assert missing.startswith(f"{second.id} is in production but missing from model-store")
    assert run("list", "--json")[2] == f"{missing}\n"


# --- promote ---------------------------------------------------------------------------------------------------------


def test_promote_says_how_many_users_change_their_segment(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    second = version(store, 2, reassigned=reassigning(47, first))
    assert run("promote", first.id)[1] == (
        f"{first.id} is in production now, before: none; running workers switch to it, unless their MODEL_POLL_S is 0\n"
    )
    assert run("promote", second.id)[1] == (
        f"{second.id} is in production now, before: {first.id}; 5\N{NO-BREAK SPACE}% of users (47 of 1,000) change "
        f"their segment, compared with {first.id}; running workers switch to it, unless their MODEL_POLL_S is 0\n"
    )
    assert "how many users change their segment is not known" in run("promote", first.id)[1]


def test_a_version_of_another_profile_class_is_promoted_and_only_workers_of_that_class_switch(
    store: ModelStore, run: Run
) -> None:
    first = version(store, 1)
    other = first.profile.model_copy(update={"name": "Shopper", "schema_digest": "0" * 64})
    second = version(store, 2, profile=other)
    run("promote", first.id)
    promoted, rolled_back = run("promote", second.id)[1], run("rollback")[1]
    assert "profile class Shopper, the previous one for UserProfile: workers that run with its class" in promoted
    # Workers that refused Shopper have never left the version that comes back.
    assert "profile class UserProfile, the previous one for Shopper: workers that run with its class" in rolled_back
    assert "refuse" not in rolled_back


def test_too_many_reassigned_users_are_refused_and_nothing_changes(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    second = version(store, 2, reassigned=reassigning(201, first))
    run("promote", first.id)
    status, output, errors = run("promote", second.id, "--max-reassigned", "0.2")
    assert (status, output) == (2, "")
    assert "201 of 1,000 users (20.1%)" in errors
    assert "Traceback" not in errors
    assert len(store.history("production")) == 1
    assert run("promote", second.id, "--max-reassigned", "0.25")[0] == 0


def test_where_production_has_changed_since_the_users_are_compared_on_the_data_given(
    store: ModelStore, run: Run
) -> None:
    first, other = version(store, 1), version(store, 2)
    third = version(store, 3, reassigned=reassigning(0, first))
    run("promote", other.id)
    status, _, errors = run("promote", third.id, "--max-reassigned", "0.5")
    assert status == 2
    assert f"(this was measured against {first.id}): give a history to measure it on with --data FILE" in errors
    # Random centres: the two versions have nothing in common.
    status, _, errors = run("promote", third.id, "--max-reassigned", "0.1", "--data", "users.csv")
    assert status == 2
    moved = re.search(r"(\d+) of 200 users", errors)
    assert moved is not None
    status, output, _ = run("promote", third.id, "--max-reassigned", "1", "--data", "users.csv")
    assert status == 0
    assert f"({moved[1]} of 200)" in output


def test_data_is_not_read_where_nobody_can_move(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    assert run("promote", first.id, "--max-reassigned", "0", "--data", "not-there.csv")[0] == 0
    assert run("promote", first.id, "--max-reassigned", "0", "--data", "not-there.csv")[0] == 0
    status, _, errors = run("promote", version(store, 2).id, "--data", "not-there.csv")
    assert status == 2
    assert "not-there.csv does not exist" in errors


@pytest.mark.parametrize("share", ["-0.1", "1.1", "20%", "nan", ""])
def test_the_reassigned_users_are_given_as_a_share(run: Run, share: str) -> None:
    status, _, errors = run("promote", "VERSION", f"--max-reassigned={share}")
    assert status == 2
    assert f"argument --max-reassigned: expected a number from 0 to 1, such as 0.2, got {share!r}" in errors


@pytest.mark.parametrize("words", [["--max-churn", "0.2"], ["--max-churn=0.2"], ["--max-churn"]])
def test_the_old_spelling_is_refused_with_the_new_one_named(store: ModelStore, run: Run, words: list[str]) -> None:
    status, output, errors = run("promote", version(store, 1).id, *words)
    assert (status, output) == (2, "")
    assert errors.endswith("error: --max-churn is now --max-reassigned\n")
    assert store.history("production") == ()
    assert "--max-churn" not in run("promote", "--help")[1]


def test_each_profile_class_has_its_own_numbers_and_the_list_says_which_class(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    other = first.profile.model_copy(update={"name": "Shopper", "schema_digest": "0" * 64})
    second = version(store, 2, profile=other)
    assert (first.next_number, second.next_number) == (4, 4)
    assert [line.split()[4] for line in run("list")[1].splitlines()[1:]] == ["UserProfile", "Shopper"]


# --- versions without structure --------------------------------------------------------------------------------------


def test_a_version_without_structure_is_marked_wherever_it_is_meant(store: ModelStore, run: Run) -> None:
    empty, found = version(store, 1, Verdict.NONE), version(store, 2)
    after = version(store, 3, parent=empty.id, reassigned=reassigning(500, empty))
    assert ACCEPTED not in run("list")[1]
    output = run("promote", empty.id, "--accept-no-structure")[1]
    assert f"{empty.id} ({ACCEPTED}) is in production now" in output
    for entry in (found, after):
        run("promote", entry.id)
    marked = re.compile(rf"^version +{empty.id} \({ACCEPTED}\)$", re.MULTILINE)
    assert marked.search(run("assign", "users.csv", "-o", "out.csv", "--version", empty.id)[1])
    assert marked.search(run("export", empty.id, "--to", "sklearn", "-o", "model.joblib")[1])
    assert ACCEPTED not in run("assign", "users.csv", "-o", "out.csv", "--version", found.id)[1]
    run("rollback")
    output = run("rollback")[1]
    assert f"{empty.id} ({ACCEPTED}) is in production again" in output

    (line,) = [line for line in run("list")[1].splitlines() if ACCEPTED in line]
    assert line.startswith(empty.id)
    lines = run("history")[1].splitlines()[1:]
    assert [ACCEPTED in line for line in lines] == [True, False, False, False, True]
    assert re.search(rf"^version +{empty.id} \({ACCEPTED}\)$", run("show", empty.id)[1], re.MULTILINE)
    shown = run("show", after.id)[1]
    assert re.search(rf"^parent +{empty.id} \({ACCEPTED}\)$", shown, re.MULTILINE)
    assert facts(run("show", found.id)[1])["version"] == found.id


def test_a_version_without_structure_is_marked_for_machines(store: ModelStore, run: Run) -> None:
    empty, found = version(store, 1, Verdict.NONE), version(store, 2)
    run("promote", empty.id, "--accept-no-structure")
    run("promote", found.id)
    listed = json.loads(run("list", "--json")[1])
    assert {entry["id"]: entry["accepted_no_structure"] for entry in listed} == {empty.id: True, found.id: False}
    assert json.loads(run("show", empty.id, "--json")[1])["accepted_no_structure"] is True
    assert [entry["accepted_no_structure"] for entry in json.loads(run("history", "--json")[1])] == [True, False]


# --- show ------------------------------------------------------------------------------------------------------------


def facts(output: str) -> dict[str, str]:
    return dict(re.findall(r"^(.+?)  +(.+)$", output, re.MULTILINE))


def test_show_says_on_what_the_verdict_rests(store: ModelStore, run: Run) -> None:
    shown = facts(run("show", version(store, 1).id)[1])
    assert re.match(r"2: 0\.\d{3}, 3: .*elbow at 4", shown["silhouette by k"])
    assert re.match(r"G 0\.89, E 0\.32, p 0\.05 \(19 data sets .* 0\.209\)", shown["separation"])
    assert shown["stability"].startswith("0: 0.")
    assert shown["borders"].startswith("0: ")
    assert shown["runner-up"].startswith("4 segments, silhouette 0.")


def test_show_says_what_became_of_the_segments_and_which_have_a_name_by_hand(store: ModelStore, run: Run) -> None:
    shown = facts(run("show", version(store, 2, given_names={4: "Owls"}).id)[1])
    assert shown["since the last"].startswith("kept 0, 1, 2; split 4, 5, 3; 19\N{NO-BREAK SPACE}% of users")
    assert shown["named by hand"] == "4: Owls"


def test_show_says_how_many_users_each_segment_has_and_what_it_is_called(store: ModelStore, run: Run) -> None:
    named = facts(run("show", version(store, 1).id)[1])["users by segment"]
    for card in clear().cards:
        assert f"{card.segment} {card.name}: {card.users:,} ({card.share:.0%})" in named


def test_show_says_that_the_data_do_not_support_the_segments(store: ModelStore, run: Run) -> None:
    assert facts(run("show", version(store, 1, Verdict.NONE).id)[1])["segments"].startswith("4 fitted, not supported")
    assert facts(run("show", version(store, 2).id)[1])["segments"] == "4"
