"""The findings of `segment-worker check` as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from worker.cluster_rules import Finding, problems


def as_text(findings: Sequence[Finding]) -> str:
    """One line per finding, then the conclusion."""
    lines = [f"{each.weight:<8} {each.line}" for each in findings]
    count = len(problems(findings))
    lines.append("ready to run" if count == 0 else f"{count} problem{'s' if count > 1 else ''} to fix first")
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding]) -> str:
    """A document with `ok`, and `findings` in the same order."""
    document = {"ok": not problems(findings), "findings": list(findings)}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
