from collections.abc import Callable

import pytest

from trainer.__main__ import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line and return its exit status, its output and its errors."""

    def run_one(*words: object) -> tuple[int, str, str]:
        try:
            status = main([*map(str, words)])
        except SystemExit as ended:  # argparse ends the process itself
            status = int(ended.code or 0)
        output, errors = capsys.readouterr()
        return status, output, errors

    return run_one
