import os
from pathlib import Path

import pytest

from trainer.atomic_file import atomic_file, new_file
from trainer.errors import OutputError


def test_a_file_is_replaced_when_it_is_written_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("old")
    with atomic_file(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert (path.read_text(), [*tmp_path.iterdir()]) == ("new", [path])


def test_of_an_attempt_that_fails_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_file(path) as unfinished:
        unfinished.write_text("half, then \ud800", encoding="utf-8")
    assert (path.read_text(), [*tmp_path.iterdir()]) == ("old", [path])


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    with atomic_file(tmp_path / "link.csv") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() == "new"


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="pipe is not a regular file"), atomic_file(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_new_file_has_its_name_only_when_all_of_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "profile.py"
    with new_file(path) as unfinished:
        unfinished.write_text("new")
        assert not path.exists()
    assert (path.read_text(), [*tmp_path.iterdir()]) == ("new", [path])
    with pytest.raises(UnicodeEncodeError), new_file(tmp_path / "other.py") as unfinished:
        unfinished.write_text("half, then \ud800", encoding="utf-8")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("links", [True, False], ids=["with hard links", "without"])
def test_a_new_file_replaces_nothing_not_even_what_came_meanwhile(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda *_: (_ for _ in ()).throw(PermissionError()))
    path = tmp_path / "profile.py"
    writing = new_file(path)
    writing.__enter__().write_text("mine")
    path.write_text("theirs")
    for attempt in (lambda: writing.__exit__(None, None, None), new_file(path).__enter__):
        with pytest.raises(FileExistsError):
            attempt()
    assert (path.read_text(), [*tmp_path.iterdir()]) == ("theirs", [path])
    with new_file(tmp_path / "free.py") as unfinished:
        unfinished.write_text("mine")
    assert (tmp_path / "free.py").read_text() == "mine"
