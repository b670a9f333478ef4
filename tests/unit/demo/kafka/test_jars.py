from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from demo.errors import JarsUnavailableError
from demo.kafka import jars
from demo.kafka.jars import VERSION, Jar, class_path, locked_jars
from tests.support.old_broker import LOCKS


def test_all_jars_of_kafka_itself_have_one_version() -> None:
    versions = {jar.coordinate.split(":")[2] for jar in locked_jars() if jar.coordinate.startswith("org.apache.kafka:")}

    assert versions == {VERSION}


def test_the_lock_names_each_jar_once_with_its_sha256_and_a_log_binding_among_them() -> None:
    locked = locked_jars()

    assert len({jar.file_name for jar in locked}) == len(locked)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in locked)
    assert {"kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar"} < {jar.file_name for jar in locked}
    assert any(jar.file_name.startswith("log4j-slf4j-impl-") for jar in locked)


@pytest.mark.parametrize("version", LOCKS)
def test_an_older_kafka_is_locked_with_the_zookeeper_that_it_needs(version: str) -> None:
    locked = locked_jars(LOCKS[version])

    assert len({jar.file_name for jar in locked}) == len(locked)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in locked)
    assert {f"kafka_2.13-{version}.jar", f"kafka-clients-{version}.jar"} < {jar.file_name for jar in locked}
    assert any(jar.file_name.startswith("zookeeper-") for jar in locked)


def test_with_all_jars_cached_nothing_is_announced_and_nothing_is_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jgo", None)
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    for jar in locked_jars():
        (tmp_path / jar.file_name).touch()
    announced: list[str] = []

    found = class_path(tmp_path, announced.append)

    assert len(found) == len(locked_jars())
    assert all(path.is_file() for path in found)
    assert announced == []


def test_a_download_without_a_network_is_one_line_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens on the port named discard
    announced: list[str] = []

    with pytest.raises(JarsUnavailableError, match="cannot be downloaded from Maven Central") as raised:
        class_path(tmp_path / "cache", announced.append)

    assert "\n" not in str(raised.value)
    assert len(announced) == 1
    assert "once" in announced[0]
    assert [*(tmp_path / "cache").iterdir()] == []


def test_a_jar_with_other_bytes_than_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coordinate = "org.jspecify:jspecify:1.0.0"
    wrong = Jar(coordinate, hashlib.sha256(b"something else").hexdigest())
    monkeypatch.setattr(jars, "_downloaded", lambda jar, directory: _file(directory / jar.file_name))

    with pytest.raises(JarsUnavailableError, match=f"{coordinate} has SHA-256"):
        jars._download([wrong], tmp_path)

    assert [*tmp_path.iterdir()] == []


def _file(path: Path) -> Path:
    path.write_bytes(b"not what was locked")
    return path
