"""No test of the worker sees the settings of whoever runs it."""

from pathlib import Path

import pytest

from worker.settings_loading import setting_rows


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable that is a setting, and a working directory without a .env."""
    for row in setting_rows():
        monkeypatch.delenv(row.variable, raising=False)
    monkeypatch.chdir(tmp_path)
