import os
import subprocess
import sys
from pathlib import Path

import pytest

from models import promoting, publishing
from models.errors import ModelError, ModelFormatError, PublishFailed
from models.store import ModelStore
from tests.support.fitted import alone, child, files_of, fit, published, segmentation


def test_a_model_that_fails_its_golden_rows_is_never_published(store: ModelStore) -> None:
    def write(folder: Path) -> None:
        for name, content in files_of(segmentation(seed=1)).items():
            (folder / name).write_bytes(content)
        (folder / "model.json").write_bytes(segmentation(seed=2).to_json())

    with pytest.raises(ModelFormatError, match="golden rows get a different segment"):
        publishing.publish(store, fit(), write)
    assert list((store.root / "versions").iterdir()) == []


def test_a_write_that_fails_leaves_nothing(store: ModelStore) -> None:
    def write(folder: Path) -> None:
        (folder / "model.json").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(PublishFailed, match=r"No space left on device.*nothing was published"):
        publishing.publish(store, fit(), write)
    assert list((store.root / "versions").iterdir()) == []


def test_a_store_in_which_nothing_can_be_written_is_refused_with_the_path(tmp_path: Path) -> None:
    publishing.check_writable(ModelStore(tmp_path / "a" / "store"))
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.touch()
    for root in (file, file / "store"):
        with pytest.raises(PublishFailed, match=f"^{file} is not a directory"):
            publishing.check_writable(ModelStore(root))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes into every folder")
def test_a_store_without_write_rights_is_refused_with_the_path(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PublishFailed, match=f"^{tmp_path} is not writable"):
        publishing.check_writable(ModelStore(tmp_path / "store"))


def test_the_same_model_in_the_same_second_is_not_published_over_itself(store: ModelStore) -> None:
    manifest = published(store)
    with pytest.raises(PublishFailed, match="within this second"):
        published(store)
    assert store.load(manifest.id).manifest == manifest


# Kills a child process that publishes, then one that promotes, at its first file operation, its second, and so on.
KILLED_EVERYWHERE = """
import os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from models import promoting
from models.store import ModelStore
from tests.support.fitted import fit, publish, segmentation

root, model, noon = Path(sys.argv[1]), segmentation(seed=5), datetime(2026, 11, 25, tzinfo=UTC)
store = ModelStore(root)
first = publish(store, segmentation(seed=4), fit(at=datetime(2026, 11, 23, tzinfo=UTC)))
promoting.promote(store, first.id, "production", noon)

def child(operation, left):
    def hook(event, arguments):
        nonlocal left
        if event in {"open", "os.rename", "os.mkdir", "os.truncate", "os.remove", "os.rmdir", "shutil.rmtree"}:
            left -= 1
            if left == 0:
                os._exit(9)
    sys.addaudithook(hook)
    operation()
    os._exit(0)

def killed_at_every_step(operation, check):
    for step in range(1, 200):
        pid = os.fork()
        if pid == 0:
            child(lambda: operation(step), step)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, 9), status
        check(status)
        if status == 0:
            return step
    raise AssertionError("never finished")

def no_half_version(status):
    ids = [manifest.id for manifest in store.versions()]
    assert ids[0] == first.id
    for version in ids:
        for name in store.load(version).manifest.files:
            assert (root / "versions" / version / name).is_file()
    assert store.load_alias("production").manifest.id == first.id

def publish_at(step):
    made = fit(at=noon + timedelta(seconds=step)).model_copy(update={"parent": first.id})
    publish(store, model, made)

steps = killed_at_every_step(publish_at, no_half_version)
second = store.versions()[-1].id
assert second != first.id
assert not list((root / "versions").glob(".unfinished*")), "the last publisher cleans up after the killed ones"

def one_of_both(status):
    assert store.load_alias("production").manifest.id in (first.id, second)
    if status == 0:
        assert store.load_alias("production").manifest.id == second

steps += killed_at_every_step(lambda step: promoting.promote(store, second, "production", noon), one_of_both)
print(steps)
"""


def test_a_kill_at_any_file_operation_leaves_no_half_version_and_no_half_promotion(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path / "store")],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_the_next_number_is_above_all_numbers_of_all_versions(store: ModelStore) -> None:
    assert store.next_number("UserProfile") == 0
    first = published(store)
    assert (first.next_number, store.next_number("UserProfile")) == (4, 4)
    # A number that was published stays taken, also for a version that does not continue it.
    assert child(store, 60, first.id, 0, 1, 2, 4, 5).next_number == 6
    third = child(store, 120, first.id, 0, 6)
    assert third.next_number == 7
    # Its last segment is dropped, but its number stays taken.
    fourth = child(store, 180, third.id, 0)
    assert fourth.next_number == 7
    assert promoting.prune(store, keep=1)[-1] == third.id
    assert store.next_number("UserProfile") == 7


def test_a_damaged_version_does_not_prevent_publishing_and_its_numbers_stay_taken(store: ModelStore) -> None:
    first = published(store)
    damaged = child(store, 60, first.id, 0, 6)
    (store.folder(damaged.id) / "manifest.json").write_bytes(b"{}")
    assert store.next_number("UserProfile") == 7
    assert child(store, 120, first.id, 0, 7).next_number == 8


def test_without_its_file_the_next_number_comes_from_the_manifests(store: ModelStore) -> None:
    first = published(store)
    child(store, 60, first.id, 0, 6)
    (store.root / "next_number.UserProfile").write_text("seven")
    with pytest.raises(ModelError, match=r"next_number.UserProfile is damaged .*: remove it"):
        store.next_number("UserProfile")
    (store.root / "next_number.UserProfile").unlink()
    assert store.next_number("UserProfile") == 7


def test_a_number_taken_by_another_fit_in_the_meantime_is_not_used_twice(store: ModelStore) -> None:
    first = published(store)
    child(store, 60, first.id, 0, 1, 4)
    with pytest.raises(PublishFailed, match=r"a segment 4 was published while this one was fitted.*: fit again"):
        child(store, 120, first.id, 0, 4, 5)
    assert len(store.versions()) == 2
    child(store, 120, first.id, 0, 5)


def test_before_the_first_promotion_each_fit_starts_at_number_zero(store: ModelStore) -> None:
    assert alone(store, 0).next_number == alone(store, 60).next_number == 4
