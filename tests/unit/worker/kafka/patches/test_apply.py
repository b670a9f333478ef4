"""kafka-python is patched only where it is the one that the patches were written for."""

import re
import tomllib
from pathlib import Path

import pytest
from kafka.record.default_records import DefaultRecordBatch

from worker.errors import ExitStatus, UnsupportedClientError
from worker.kafka import patches
from worker.kafka.patches.replacement import Replacement, source_sha256

PYPROJECT = Path(__file__).parents[5] / "pyproject.toml"


def test_a_second_time_changes_nothing() -> None:
    patches.apply(event_max_bytes=900_000)
    before = DefaultRecordBatch._read_msg
    patches.apply(event_max_bytes=900_000)
    assert DefaultRecordBatch._read_msg is before


@pytest.mark.parametrize("version", ["2.3.2", "3.0.11", "3.1.0", "4.0.0"])
def test_an_unknown_version_is_refused_with_its_number_and_the_one_to_install(version: str) -> None:
    with pytest.raises(UnsupportedClientError) as raised:
        patches._require_known_version(version)
    assert version in str(raised.value)
    assert "kafka-python~=3.0.12" in str(raised.value)
    assert raised.value.exit_status is ExitStatus.ACT_FIRST


@pytest.mark.parametrize("version", ["3.0.12", "3.0.13"])
def test_later_versions_of_the_same_release_are_known(version: str) -> None:
    patches._require_known_version(version)


def test_what_is_installed_is_what_the_patches_know() -> None:
    (requirement,) = (
        each
        for each in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
        if re.match(r"kafka-python\b", each)
    )
    assert requirement == "kafka-python~=" + ".".join(map(str, patches._KNOWN))


def test_a_function_that_upstream_changed_is_refused_by_its_name_and_nothing_is_patched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = DefaultRecordBatch._read_msg
    changed = Replacement(DefaultRecordBatch, "validate_crc", source_sha256(DefaultRecordBatch.__str__))
    monkeypatch.setattr(patches.PATCHES[-1], "REPLACEMENTS", (changed,))
    with pytest.raises(UnsupportedClientError, match=r"DefaultRecordBatch\.validate_crc"):
        patches.apply(event_max_bytes=1)
    assert DefaultRecordBatch._read_msg is before


def test_a_function_that_another_program_replaced_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = source_sha256(DefaultRecordBatch.validate_crc)
    monkeypatch.setattr(DefaultRecordBatch, "validate_crc", lambda _: True)
    with pytest.raises(UnsupportedClientError):
        Replacement(DefaultRecordBatch, "validate_crc", digest).require_unchanged()
