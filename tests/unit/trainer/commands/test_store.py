import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.manifest import (
    Fate,
    Fit,
    JudgementFigures,
    LineageFigures,
    Manifest,
    SegmentFateFigures,
    TrialFigures,
    Verdict,
)
from models.store import ModelStore
from tests.support.fitted import fit, publish, segmentation
from tests.support.histories import noise, write

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


def version(store: ModelStore, place: int, verdict: Verdict = Verdict.CLEAR, **changed: object) -> Manifest:
    """The version of that place in time; each has other centres, and all but the first continue the first."""
    parent = next((manifest.id for manifest in store.versions()), None)
    made: Fit = fit(verdict, NOON + timedelta(minutes=place)).model_copy(update={"parent": parent, **changed})
    return publish(store, segmentation(seed=place), made)


def moving(moved: int, against: Manifest) -> LineageFigures:
    return LineageFigures(against=against.id, churn=moved / 1000, moved=moved, compared=1000, fates={})


# --- list ------------------------------------------------------------------------------------------------------------


def test_a_damaged_version_is_listed_with_the_reason_and_the_others_as_ever(store: ModelStore, run: Run) -> None:
    whole, damaged = version(store, 1), version(store, 2)
    (store.folder(damaged.id) / "manifest.json").write_text("{}")
    status, output, errors = run("list")
    assert (status, errors) == (0, "")
    _, first, second = output.splitlines()
    assert first.startswith(whole.id)
    assert re.match(rf"damaged: .*{damaged.id}/manifest.json is damaged \(", second)
    status, output, errors = run("list", "--json")
    assert (status, errors) == (0, f"{second}\n")
    assert [entry["id"] for entry in json.loads(output)] == [whole.id]
    assert run("prune", "--keep", 2)[1] == "0 removed, 2 kept\n"


def test_a_list_tells_that_what_is_in_production_is_not_there(store: ModelStore, run: Run) -> None:
    first, second = version(store, 1), version(store, 2)
    run("promote", second.id)
    store.folder(second.id).rename("elsewhere")
    status, output, _ = run("list")
    _, other, missing = output.splitlines()
    assert (status, other.startswith(first.id)) == (0, True)
    assert (
        missing
        == f"{second.id} is in production and not in model-store: restore its folder, or promote another version"
    )
    assert run("list", "--json")[2] == f"{missing}\n"


# --- promote ---------------------------------------------------------------------------------------------------------


def test_promote_says_how_many_users_change_their_segment(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    second = version(store, 2, lineage=moving(47, first))
    assert run("promote", first.id)[1] == (
        f"{first.id} is in production now, before: none; running workers take it up, unless their MODEL_POLL_S is 0\n"
    )
    assert run("promote", second.id)[1] == (
        f"{second.id} is in production now, before: {first.id}; 47 of 1,000 users (4.7%) change their segment against "
        f"{first.id}; running workers take it up, unless their MODEL_POLL_S is 0\n"
    )
    assert "how many users change their segment is not known" in run("promote", first.id)[1]


def test_a_version_of_another_profile_class_is_promoted_with_a_word_on_who_refuses_it(
    store: ModelStore, run: Run
) -> None:
    first = version(store, 1)
    other = first.profile.model_copy(update={"name": "Shopper", "schema_digest": "0" * 64})
    second = version(store, 2, profile=other)
    run("promote", first.id)
    assert run("promote", second.id)[1].endswith(
        "it was fitted for profile class Shopper, the one before for UserProfile: running workers refuse it, start "
        "them again with the PROFILE_CLASS that it needs\n"
    )
    assert "the one before for Shopper" in run("rollback")[1]


def test_too_high_a_churn_is_refused_and_nothing_changes(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    second = version(store, 2, lineage=moving(201, first))
    run("promote", first.id)
    status, output, errors = run("promote", second.id, "--max-churn", "0.2")
    assert (status, output) == (2, "")
    assert "201 of 1,000 users (20.1%) would change their segment" in errors
    assert "Traceback" not in errors
    assert len(store.history("production")) == 1
    assert run("promote", second.id, "--max-churn", "0.25")[0] == 0


def test_where_production_has_changed_since_the_churn_is_measured_on_the_data_given(
    store: ModelStore, run: Run
) -> None:
    first, other = version(store, 1), version(store, 2)
    third = version(store, 3, lineage=moving(0, first))
    run("promote", other.id)
    status, _, errors = run("promote", third.id, "--max-churn", "0.5")
    assert status == 2
    assert f"(it was measured against {first.id}): name a history to measure it on with --data FILE" in errors
    # Random centres: the two versions have nothing in common.
    status, _, errors = run("promote", third.id, "--max-churn", "0.1", "--data", "users.csv")
    assert status == 2
    moved = re.search(r"(\d+) of 200 users", errors)
    assert moved is not None
    status, output, _ = run("promote", third.id, "--max-churn", "1", "--data", "users.csv")
    assert status == 0
    assert f"{moved[1]} of 200 users" in output


def test_data_is_not_read_where_nobody_can_move(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    assert run("promote", first.id, "--max-churn", "0", "--data", "not-there.csv")[0] == 0
    assert run("promote", first.id, "--max-churn", "0", "--data", "not-there.csv")[0] == 0
    status, _, errors = run("promote", version(store, 2).id, "--data", "not-there.csv")
    assert status == 2
    assert "not-there.csv does not exist" in errors


@pytest.mark.parametrize("share", ["-0.1", "1.1", "20%", "nan", ""])
def test_a_churn_is_a_share(run: Run, share: str) -> None:
    status, _, errors = run("promote", "V", f"--max-churn={share}")
    assert status == 2
    assert f"{share!r} is no share: give a number from 0 to 1" in errors


# --- versions without structure --------------------------------------------------------------------------------------


def test_a_version_without_structure_is_marked_wherever_it_is_meant(store: ModelStore, run: Run) -> None:
    empty, found = version(store, 1, Verdict.NONE), version(store, 2)
    after = version(store, 3, parent=empty.id, lineage=moving(500, empty))
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
    assert f"change their segment against {empty.id} ({ACCEPTED})" in shown
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

JUDGEMENT = JudgementFigures(
    effect=0.314,
    p_value=0.05,
    draws=19,
    null_silhouette=0.2081,
    jaccard={1: 0.91, 0: 0.97},
    border_dip_p={0: 0.0, 1: 0.0412},
    humps=(),
    runner_up=3,
    elbow_k=4,
    sample_rows=3000,
    by_k={k: TrialFigures(silhouette=0.4 + k / 100, null_silhouette=None, gap=None, stability=None) for k in (4, 3, 2)},
)


def facts(output: str) -> dict[str, str]:
    return dict(re.findall(r"^(.+?)  +(.+)$", output, re.MULTILINE))


def test_show_says_on_what_the_verdict_rests(store: ModelStore, run: Run) -> None:
    shown = facts(run("show", version(store, 1, judgement=JUDGEMENT).id)[1])
    assert shown["silhouette by k"] == ("2: 0.420, 3: 0.430, 4: 0.440 (elbow of the inertia at 4; it does not vote)")
    assert shown["stands out"] == "E 0.31, p 0.05 (19 data sets without segments, mean silhouette 0.208)"
    assert shown["stability"] == "0: 0.97, 1: 0.91 (Jaccard in resamples)"
    assert shown["borders"] == "0: <0.001, 1: 0.0412 (p of the dip test)"
    assert shown["runner-up"] == "3 segments, silhouette 0.430"


def test_show_says_what_became_of_the_segments_and_which_have_a_name_by_hand(store: ModelStore, run: Run) -> None:
    first = version(store, 1)
    fates = {
        0: SegmentFateFigures(fate=Fate.KEPT, overlap=0.9, others=(0,)),
        5: SegmentFateFigures(fate=Fate.NEW, overlap=0.1, others=()),
        4: SegmentFateFigures(fate=Fate.KEPT, overlap=0.9, others=(4,)),
        1: SegmentFateFigures(fate=Fate.RETIRED, overlap=0.1, others=()),
    }
    lineage = LineageFigures(against=first.id, churn=0.004, moved=4, compared=1000, fates=fates)
    shown = facts(run("show", version(store, 2, lineage=lineage, given_names={4: "Owls"}).id)[1])
    assert shown["since the last"] == (
        f"kept 0, 4; new 5; retired 1; fewer than 20 of 1,000 users change their segment against {first.id}"
    )
    assert shown["named by hand"] == "4: Owls"


def test_show_says_how_many_users_each_segment_has_and_what_it_is_called(store: ModelStore, run: Run) -> None:
    sizes, names = {1: 30, 0: 10}, {0: "Owls", 1: "Larks, early"}
    named = facts(run("show", version(store, 1, segment_sizes=sizes, segment_names=names).id)[1])
    assert named["users by segment"] == "0 Owls: 10 (25%), 1 Larks, early: 30 (75%)"
    earlier = facts(run("show", version(store, 2, segment_sizes=sizes).id)[1])
    assert earlier["users by segment"] == "0: 10 (25%), 1: 30 (75%)"


def test_show_says_how_many_segments_the_data_support(store: ModelStore, run: Run) -> None:
    assert facts(run("show", version(store, 1, Verdict.NONE, k_supported=1).id)[1])["segments"] == (
        "4 fitted, 1 supported by the data"
    )
    assert facts(run("show", version(store, 2, k_supported=4).id)[1])["segments"] == "4"
