import json
import math
from dataclasses import replace

import pytest

from models.errors import ModelFormatError
from tests.support.findings_examples import clear, none, odd, weak
from trainer.findings import Findings
from trainer.publishing.findings_file import FINDINGS_FORMAT, findings_from_json, findings_to_json


@pytest.mark.parametrize("findings", [clear(), weak(), none(), odd()], ids=["clear", "weak", "none", "odd"])
def test_findings_come_back_exactly_as_they_were(findings: Findings) -> None:
    content = findings_to_json(findings)
    assert findings_from_json(content) == findings
    assert findings_to_json(findings_from_json(content)) == content


def test_the_file_says_its_format() -> None:
    assert json.loads(findings_to_json(clear()))["format"] == FINDINGS_FORMAT


def test_a_float_keeps_its_last_digit() -> None:
    findings = clear()
    least = replace(findings.map, x=(0.1 + 0.2, 5e-324, -0.0), y=(1 / 3, 1e308, 2.0), segment=(0, 1, 2))
    back = findings_from_json(findings_to_json(replace(findings, map=least)))
    assert back.map == least
    assert math.copysign(1, back.map.x[2]) == -1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_not_written(number: float) -> None:
    findings = clear()
    trial = replace(findings.judgement.trials[0], null_silhouette=(0.1, number, 0.3))
    broken = replace(findings, judgement=replace(findings.judgement, trials=(trial,)))
    with pytest.raises(ValueError, match="cannot be written"):
        findings_to_json(broken)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (b'"format":1', b'"format":2', "format"),
        (b'"silhouette":0.462', b'"silhouette":NaN', "silhouette"),
        (b'"silhouette":0.462', b'"silhouette":1e999', "silhouette"),
        (b'"silhouette":0.462', b'"silhouette":null', "silhouette"),
        (b'"k":5', b'"k":5,"ok":5', "judgement.ok"),
        (b'"verdict":"clear"', b'"verdict":"sure"', "judgement.verdict"),
        (b"{", b"[", "the file"),
    ],
)
def test_a_file_that_this_release_did_not_write_is_refused_with_the_place(old: bytes, new: bytes, place: str) -> None:
    content = findings_to_json(clear())
    assert old in content
    with pytest.raises(ModelFormatError, match=rf"^findings.json is not what this release writes \(.*{place}: .*fit"):
        findings_from_json(content.replace(old, new, 1))
