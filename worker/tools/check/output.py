"""The findings of `segment-worker check`, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from worker.cluster_rules import Finding, problems


def as_text(findings: Sequence[Finding]) -> str:
    """One line for each finding, then one that sums up."""
    lines = [f"{each.weight:<8} {each.line}" for each in findings]
    count = len(problems(findings))
    lines.append("ready to run" if count == 0 else f"{count} problem{'s' if count > 1 else ''} to solve first")
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding]) -> str:
    """The same for machines: `ok`, and `findings` in the same order."""
    document = {"ok": not problems(findings), "findings": list(findings)}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
