"""Apache Kafka's jars: exactly the locked ones, downloaded once, then taken from the cache without a network."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from demo.errors import JarsUnavailableError

VERSION = "4.3.1"
LOCK = Path(__file__).with_name("kafka_jars.txt")
_DOWNLOADS_AT_ONCE = 6


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar: its Maven coordinate `group:artifact:version` and the SHA-256 of its bytes."""

    coordinate: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The jar's file name in the cache."""
        return "-".join(self.coordinate.split(":")[1:]) + ".jar"


def locked_jars(lock: Path = LOCK) -> tuple[Jar, ...]:
    """The jars that make an embedded broker, as a lock file lists them."""
    pairs = (line.split() for line in lock.read_text().splitlines())
    return tuple(Jar(coordinate, sha256) for sha256, coordinate in pairs)


def default_cache_dir() -> Path:
    """Where downloaded jars stay: `stream-segmentation/kafka` under the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stream-segmentation" / "kafka"


def class_path(cache_dir: Path, announce: Callable[[str], None], lock: Path = LOCK) -> tuple[Path, ...]:
    """The paths of all locked jars; missing ones are downloaded from Maven Central, and their SHA-256 checked.

    `announce` gets one line before a download begins; without a download there is no line and no network is used.
    Raises JarsUnavailableError.
    """
    jars = locked_jars(lock)
    missing = [jar for jar in jars if not (cache_dir / jar.file_name).is_file()]
    if missing:
        announce(f"downloading Apache Kafka from Maven Central, once: {len(missing)} jars into {cache_dir}")
        _download(missing, cache_dir)
    return tuple(cache_dir / jar.file_name for jar in jars)


def _download(jars: Iterable[Jar], cache_dir: Path) -> None:
    cache_dir.mkdir(parents=True, exist_ok=True)
    # Apart from ~/.m2, and renamed only when whole: jgo leaves half a jar under its final name when it is interrupted,
    # and takes it for whole the next time.
    with (
        tempfile.TemporaryDirectory(dir=cache_dir, prefix=".download-") as partial,
        ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool,
    ):
        try:
            for fetched in [pool.submit(_fetch, jar, Path(partial), cache_dir) for jar in jars]:
                fetched.result()
        except (OSError, RuntimeError) as error:  # requests' own errors are OSErrors
            raise JarsUnavailableError(
                f"Apache Kafka's jars cannot be downloaded from Maven Central ({error}). "
                "They are needed once: try again with a network, or through a proxy set in HTTPS_PROXY"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)  # after an error, or Ctrl-C


def _fetch(jar: Jar, partial: Path, cache_dir: Path) -> None:
    downloaded = _downloaded(jar, partial)
    found = hashlib.sha256(downloaded.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise RuntimeError(f"{jar.coordinate} has SHA-256 {found} instead of {jar.sha256}")
    downloaded.replace(cache_dir / jar.file_name)


def _downloaded(jar: Jar, directory: Path) -> Path:
    from jgo.maven import MavenContext  # noqa: PLC0415 - half a second that a warm start does not spend

    group, artifact, version = jar.coordinate.split(":")
    return MavenContext(repo_cache=directory).project(group, artifact).at_version(version).artifact().resolve()


def _resolved(version: str) -> Iterable[Jar]:
    """The jars that this version of Kafka needs at run time, and a log binding: the content of its lock file."""
    from jgo.maven import Artifact, MavenContext  # noqa: PLC0415 - see _downloaded
    from jgo.parse import Coordinate  # noqa: PLC0415 - see _downloaded

    with tempfile.TemporaryDirectory() as repository:
        context = MavenContext(repo_cache=Path(repository))
        found: dict[tuple[str, str], Artifact] = {}
        # Apart: together, jgo lets the log binding's parent choose Kafka's own version (kafka-clients 3.9.1).
        log4j2, log4j1 = "org.apache.logging.log4j:log4j-slf4j-impl:jar:2.25.4", "org.slf4j:slf4j-reload4j:jar:1.7.36"
        binding = log4j1 if version < "4" else log4j2
        for root in (f"org.apache.kafka:kafka_2.13:jar:{version}:compile", f"{binding}:compile"):
            inputs, transitive = context.resolver.resolve([context.create_dependency(Coordinate.parse(root))])
            for dependency in [*inputs, *transitive]:
                if dependency.scope in {"compile", "runtime"}:
                    found.setdefault((dependency.groupId, dependency.artifactId), dependency.artifact)
        for (group, name), artifact in sorted(found.items()):
            sha256 = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
            yield Jar(f"{group}:{name}:{artifact.version}", sha256)


if __name__ == "__main__":  # python -m demo.kafka.jars >demo/kafka/kafka_jars.txt, or … VERSION >tests/support/…
    for resolved in _resolved(sys.argv[1] if sys.argv[1:] else VERSION):
        print(resolved.sha256, resolved.coordinate)
