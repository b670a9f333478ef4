"""`segment-worker try FILE`: what is printed, and the exit status."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from tests.support.events import event_bytes
from worker.__main__ import main
from worker.errors import ExitStatus, StopProcessError
from worker.tools.trial.sample import first_of_file

NO_MODEL = ["--models", "nowhere"]


def test_a_file_is_tried_line_by_line_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "records.jsonl"
    file.write_bytes(b"\n".join([event_bytes(), b"", b"{", event_bytes(id="b")]))
    assert main(["try", str(file), *NO_MODEL]) == ExitStatus.DONE
    printed = capsys.readouterr()
    assert [line.split("  ")[:2] for line in printed.out.splitlines()] == [
        ["record 1", "assigned"],
        ["record 2", "rejected"],
        ["record 3", "assigned"],
        ["3 records: 2 assigned, 0 erased, 0 ignored, 1 rejected (1 not_json)"],
    ]
    assert "user user-1042, time 2026-11-22T12:00:00.123000Z, id 6f9c" in printed.out
    assert "no segments are shown" in printed.err


def test_where_none_would_be_assigned_the_exit_status_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text('{"user": "u"}\n')
    assert main(["try", str(file), "--input-format", "json", "--input-user", "$key", *NO_MODEL]) == ExitStatus.ACT_FIRST
    assert capsys.readouterr().out.splitlines()[-1].startswith("records of a file have neither keys nor headers")
    file.write_text("")
    assert main(["try", str(file), *NO_MODEL]) == ExitStatus.DONE
    assert capsys.readouterr().out == f"{file} has no records yet; try again when there are some\n"


def test_a_file_may_be_one_document_over_several_lines(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_bytes(orjson.dumps({"a": {"b": 1}}, option=orjson.OPT_INDENT_2))
    assert [each.value for each in first_of_file(str(file), "in", 5, 900)] == [b'{"a":{"b":1}}']
    file.write_bytes(b'{"a": 1.0, "a": 2}\n')
    assert [each.value for each in first_of_file(str(file), "in", 5, 900)] == [b'{"a": 1.0, "a": 2}']


@pytest.mark.parametrize("lines", [0, orjson.OPT_INDENT_2], ids=["one line", "several lines"])
def test_each_element_of_an_array_is_a_record_over_however_many_lines_it_is_written(tmp_path: Path, lines: int) -> None:
    file = tmp_path / "array.json"
    file.write_bytes(orjson.dumps([{"a": 1}, {"a": 2}, {"a": 3}], option=lines))
    found = first_of_file(str(file), "in", 2, 900)
    assert [(each.topic, each.partition, each.offset, each.value) for each in found] == [
        ("in", 0, 0, b'{"a":1}'),
        ("in", 0, 1, b'{"a":2}'),
    ]
    assert all(each.timestamp_ms > 1_700_000_000_000 for each in found)


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b'{"a":1}\n{"a":2}\n')))
    assert [each.value for each in first_of_file("-", "in", 5, 900)] == [b'{"a":1}', b'{"a":2}']


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StopProcessError) as caught:
        first_of_file(str(tmp_path / "nowhere"), "in", 5, 900)
    assert caught.value.exit_status is ExitStatus.ACT_FIRST
    assert "nowhere" in str(caught.value)


def test_a_file_is_not_tried_as_avro(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text("{}\n")
    avro = ["--input-format", "avro", "--input-user", "$key", "--schema-registry-url", "http://127.0.0.1:1"]
    assert main(["try", str(file), *avro, *NO_MODEL]) == ExitStatus.ACT_FIRST
    assert "WORKER_INPUT_FORMAT=avro" in capsys.readouterr().err
