import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from models.errors import ModelFormatError, NewerFormat, OlderFormat
from models.store import ModelStore
from tests.support.findings_examples import clear, none, odd, weak
from trainer.findings import Findings
from trainer.publishing.findings_file import FINDINGS_FORMAT, findings_from_json, findings_to_json, fitted_days

VERSION = "20261101T000000Z-01234567"


@pytest.mark.parametrize("findings", [clear(), weak(), none(), odd()], ids=["clear", "weak", "none", "odd"])
def test_findings_come_back_exactly_as_they_were(findings: Findings) -> None:
    content = findings_to_json(findings)
    assert findings_from_json(content, VERSION) == findings
    assert findings_to_json(findings_from_json(content, VERSION)) == content


@pytest.mark.parametrize(
    ("found", "error", "remedy"), [(1, OlderFormat, "fit again"), (9, NewerFormat, "upgrade this program")]
)
def test_another_format_is_refused_before_the_findings_are_read(
    found: int, error: type[ModelFormatError], remedy: str
) -> None:
    with pytest.raises(error) as refused:
        findings_from_json(f'{{"format": {found}, "findings": "anything"}}'.encode(), VERSION)
    (line,) = str(refused.value).splitlines()
    for part in (VERSION, f"format {found}", f"format {FINDINGS_FORMAT}", remedy):
        assert part in line


def test_a_float_keeps_its_last_digit() -> None:
    findings = clear()
    least = replace(findings.map, x=(0.1 + 0.2, 5e-324, -0.0), y=(1 / 3, 1e308, 2.0), segment=(0, 1, 2))
    back = findings_from_json(findings_to_json(replace(findings, map=least)), VERSION)
    assert back.map == least
    assert math.copysign(1, back.map.x[2]) == -1


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_not_written(number: float) -> None:
    findings = clear()
    trial = replace(findings.judgement.trials[0], null_silhouette=(0.1, number, 0.3))
    broken = replace(findings, judgement=replace(findings.judgement, trials=(trial,)))
    with pytest.raises(ValueError, match="null_silhouette"):
        findings_to_json(broken)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        (b'"format":4', b'"format":"4.5"', "format"),
        (b'"silhouette":0.462', b'"silhouette":NaN', "silhouette"),
        (b'"silhouette":0.462', b'"silhouette":1e999', "silhouette"),
        (b'"silhouette":0.462', b'"silhouette":null', "silhouette"),
        (b'"k":5', b'"k":5,"ok":5', "judgement.ok"),
        (b'"verdict":"clear"', b'"verdict":"sure"', "judgement.verdict"),
        (b"{", b"[", "the whole file"),
    ],
)
def test_a_file_that_this_release_did_not_write_is_refused_and_the_key_is_named(
    old: bytes, new: bytes, key: str
) -> None:
    content = findings_to_json(clear())
    assert old in content
    with pytest.raises(ModelFormatError, match=rf"{VERSION}.*\(.*{key}: "):
        findings_from_json(content.replace(old, new, 1), VERSION)


def test_the_day_to_which_a_fit_counted_is_read_from_any_format(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {
        "older": b'{"format":1,"findings":{"origin":{"options":{"k":"auto","as-of":"2026-01-31"}},"other":1}}',
        "undated": b'{"format":9,"findings":{"origin":{"options":{"k":"auto"}}}}',
        "broken": b'{"format":4}',
    }
    monkeypatch.setattr(ModelStore, "file", lambda _, version, __: files[version])
    assert fitted_days(ModelStore(tmp_path), ["older", "undated"]) == {"older": date(2026, 1, 31)}
    with pytest.raises(ModelFormatError, match=r"version broken .* give it with --as-of"):
        fitted_days(ModelStore(tmp_path), ["broken"])
