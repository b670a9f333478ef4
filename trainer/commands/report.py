"""segment-trainer report: the report of a stored version, made again from its findings."""

from __future__ import annotations

from pathlib import Path

from models.store import ModelStore
from trainer.atomic_file import atomic_file
from trainer.publishing.findings_file import read_findings
from trainer.report.page import REPORT_FILE, report_files
from trainer.text.console import print_facts


def write_report(store: ModelStore, version: str, output: Path | None) -> Path:
    """Write the page that this release makes of the findings of a version; the path that it was written to.

    By default report-VERSION.html in the working directory: the report in the store stays as it was published, and
    may be signed. Raises ModelFormatError for findings of another format, OutputError when the file cannot be written,
    and whatever ModelStore.file raises.
    """
    page = report_files(read_findings(store, version))[REPORT_FILE]
    path = output or Path(f"report-{version}.html")
    with atomic_file(path) as unfinished:
        unfinished.write_bytes(page)
    return path


def print_written(version: str, path: Path) -> None:
    """Print what was written."""
    print_facts([("version", version)], to_copy=[("report", str(path))])
