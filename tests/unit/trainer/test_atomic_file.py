import os
from pathlib import Path

import pytest

from trainer.atomic_file import atomic_file
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
