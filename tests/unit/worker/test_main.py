"""The command line: what it offers, what it refuses, and what it prints."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from worker.__main__ import main
from worker.settings_loading import setting_rows

ROOT = Path(__file__).parents[3]


def shown_help(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_of_run_names_every_setting_by_group_on_two_screens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown_help("run", capsys)
    assert len(text.splitlines()) <= 110
    assert "--create-topics" in text
    words = re.sub(r"\s+", " ", text)
    for row in setting_rows():
        _, _, group = words.partition(f"settings: {row.group}: ")
        assert row.variable in group
        if row.flag:
            default = f" ({row.default})" if row.default else ""
            assert f"{row.flag} VALUE {row.summary}{default}" in group


@pytest.mark.parametrize(
    ("command", "used", "not_used"),
    [
        ("verify", "KAFKA_SASL_PASSWORD", "WORKER_HTTP_PORT"),
        ("replay", "WORKER_TRANSACTION_TIMEOUT_MS", "WORKER_OUTPUT_TOPIC"),
        ("asyncapi", "PROFILE_CLASS", "KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_help_of_a_tool_names_the_settings_that_it_uses_and_no_others(
    command: str, used: str, not_used: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown_help(command, capsys)
    assert used in text
    assert not_used not in text


def test_help_shows_no_value_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for row in setting_rows():
        monkeypatch.setenv(row.variable, "hunter2")
    for command in ("run", "check", "try", "verify", "replay", "asyncapi"):
        assert "hunter2" not in shown_help(command, capsys)


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"segment-worker {metadata.version('stream-segmentation')}\n"


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        ([], "segment-worker"),
        (["walk"], "segment-worker"),
        (["run", "--no-such-flag"], "segment-worker run"),
        (["run", "--input", "x"], "segment-worker run"),
        (["run", "--kafka-sasl-password", "x"], "segment-worker run"),
        (["verify", "--http-port", "1"], "segment-worker verify"),
    ],
)
def test_wrong_arguments_are_refused_with_status_2_and_the_usage_of_the_command(
    arguments: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"usage: {usage} [")


def test_asyncapi_is_the_document_of_the_topics_that_are_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKER_OUTPUT_TOPIC", "elsewhere")
    assert main(["asyncapi", "--input-topic", "mine"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["version"] == metadata.version("stream-segmentation")
    assert [channel["address"] for channel in document["channels"].values()] == [
        "mine",
        "elsewhere",
        "user-activity-rejected",
    ]


@pytest.mark.parametrize("command", ["run", "asyncapi"])
def test_each_wrong_setting_is_one_line_and_the_status_is_2(command: str) -> None:
    given = {"WORKER_START_AT": "x", "WORKER_HTTP_PORT": "x"}
    ended = subprocess.run(
        [sys.executable, "-m", "worker", command, "--output-topic", "user-activity"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), **given},
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert [line.split(" (")[0].split(":")[0] for line in ended.stderr.splitlines()] == ["segment-worker"] * 3
    assert "segment-worker: WORKER_START_AT (from the environment): expected one of earliest, latest; got 'x'" in (
        ended.stderr
    )


def test_a_profile_class_that_is_not_there_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["asyncapi", "--profile", "nowhere:Class"]) == 2
    assert capsys.readouterr().err.startswith("segment-worker: module nowhere cannot be imported")


def test_the_start_of_run_imports_nothing_that_only_training_needs() -> None:
    code = (
        "import sys, worker.run\n"
        "heavy = {'pandas', 'sklearn', 'scipy', 'joblib', 'jgo', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_help_loads_neither_the_kafka_client_nor_numpy() -> None:
    code = (
        "import sys\n"
        "from worker.__main__ import main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(', '.join({'kafka', 'numpy', 'structlog'} & set(sys.modules)) or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(("command", "status"), [("verify", 1), ("replay", 2), ("replay --dry-run", 1)])
def test_a_misspelt_setting_is_reported_and_keeps_replay_from_sending(
    command: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKER_GROUPID", "other")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    for tool in ("verify", "replay"):
        monkeypatch.setattr(f"worker.tools.{tool}.command._CONNECT_S", 0.2)
    # Nothing listens there: a command that continued in spite of the setting ends with 1.
    assert main(command.split()) == status
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "segment-worker: WORKER_GROUPID is not a known setting; did you mean WORKER_GROUP_ID?"
    assert len(others) == (0 if status == 2 else 1)


@pytest.mark.parametrize(
    ("arguments", "partitions"),
    [([], None), (["--create-topics"], 6), (["--create-topics", "--partitions", "12"], 12)],
)
def test_topics_are_created_when_asked_for_with_six_partitions_or_as_many_as_given(
    arguments: list[str], partitions: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.run.run", lambda _, __, given: 0 if given == partitions else given)
    # What a worker sets for itself is not for the other tests of this process.
    monkeypatch.setattr("gc.set_threshold", lambda _: None)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert main(["run", *arguments]) == 0


def test_a_number_of_partitions_without_topics_to_create_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--partitions", "12"])
    assert ended.value.code == 2
    assert "--create-topics" in capsys.readouterr().err
