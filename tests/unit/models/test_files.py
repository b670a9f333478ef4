"""Files that somebody else may have put there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models import files


def test_a_regular_file_is_read_up_to_its_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    assert files.read(path, 4) == b"1234"
    with pytest.raises(OSError, match="it has 4 bytes, at most 3 are read"):
        files.read(path, 3)


def link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(b"secret")
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (link, "it is a link"),
        (os.mkfifo, "it is not a regular file"),
        (Path.mkdir, r"it is not a regular file|Is a directory"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a link"),
    ],
    ids=["link", "pipe", "folder", "link to a device"],
)
@pytest.mark.parametrize("access", [files.read, files.digest])
def test_anything_but_a_regular_file_is_refused_at_once(
    tmp_path: Path, made: Callable[[Path], None], reason: str, access: Callable[[Path, int], object]
) -> None:
    made(tmp_path / "file")
    with pytest.raises(OSError, match=reason) as refused:
        access(tmp_path / "file", 100)
    assert refused.value.filename == str(tmp_path / "file")


def test_a_device_is_refused() -> None:
    with pytest.raises(OSError, match="it is not a regular file"):
        files.read(Path("/dev/zero"), 100)


@pytest.mark.parametrize("made", [link, os.mkfifo], ids=["link", "pipe"])
def test_nothing_is_written_through_a_link_or_into_a_pipe(tmp_path: Path, made: Callable[[Path], None]) -> None:
    made(tmp_path / "file")
    with (
        pytest.raises(OSError, match=r"it is a link|it is not a regular file"),
        files.opened_to_write(tmp_path / "file"),
    ):
        pytest.fail("it was opened")


def test_a_file_opened_to_write_is_created_and_keeps_its_content(tmp_path: Path) -> None:
    for expected in (b"", b"line\n"):
        with files.opened_to_write(tmp_path / "file") as file:
            assert file.read() == expected
            file.write(b"line\n")
    assert (tmp_path / "file").read_bytes() == b"line\nline\n"
