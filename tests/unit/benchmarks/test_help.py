"""Each benchmark says how it is used."""

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name", ["assign", "bench", "judgement", "open_loop", "reassigned", "recovery", "size", "start"]
)
def test_help_is_printed(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        import_module(f"benchmarks.{name}").main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ")
