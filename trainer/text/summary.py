"""A version in words: the lines that fit and show print."""

from __future__ import annotations

from collections.abc import Mapping

from models.manifest import Churn, Fate, JudgementFigures, LineageFigures, Manifest, Verdict
from models.store import StoredModel
from trainer.privacy import LEAST_SHOWN

ACCEPTED = "accepted without structure"
"""What stands beside every version that was promoted although no segments were found in its data."""


def facts_of(manifest: Manifest, accepted: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Names and values of what a person wants to know of a version, the most important first.

    accepted are the versions of the store that were promoted without structure.
    """
    facts = [
        ("version", marked(manifest.id, accepted)),
        ("verdict", f"{manifest.verdict}: {manifest.verdict_reason}"),
        ("segments", _segments(manifest)),
        ("silhouette", figure(manifest.silhouette)),
        ("silhouette by k", _by_k(manifest)),
        *_evidence(manifest.judgement),
        ("users", f"{manifest.rows:,}"),
        ("users by segment", _sizes(manifest)),
        ("columns kept", ", ".join(manifest.columns.kept)),
        ("columns left out", reasons_in_words(manifest.columns.left_out) or "none"),
    ]
    if manifest.given_names:
        facts.append(("named by hand", _by_number(manifest.given_names)))
    if manifest.lineage is not None:
        facts.append(("since the last", f"{_fates(manifest.lineage)}; {churn_in_words(manifest.lineage, accepted)}"))
    if manifest.rows_skipped:
        facts.append(("bad rows skipped", f"{manifest.rows_skipped:,}, listed in bad_rows.csv"))
    return facts


def next_step(manifest: Manifest, store_flag: str) -> str:
    """What to do with a new version; store_flag repeats the user's --models, or is empty."""
    if manifest.verdict is Verdict.NONE:
        return "read the report; promote refuses this version unless --accept-no-structure is given"
    return f"segment-trainer promote {manifest.id}{store_flag}"


def origin_of(manifest: Manifest, accepted: frozenset[str]) -> list[tuple[str, str]]:
    """Names and values of where a version came from; accepted as in `facts_of`."""
    return [
        ("created", f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("parent", marked(manifest.parent, accepted) if manifest.parent else "none"),
        ("options", ", ".join(f"{name} {value}" for name, value in manifest.options.items())),
        ("seed", str(manifest.seed)),
        ("profile class", f"{manifest.profile.name}, schema {manifest.profile.schema_digest[:12]}"),
        ("libraries", ", ".join(f"{name} {value}" for name, value in manifest.libraries.items())),
    ]


def churn_in_words(churn: Churn, accepted: frozenset[str] = frozenset()) -> str:
    """How many users change their segment, in a few words; accepted as in `facts_of`."""
    moved = f"{churn.moved:,} of {churn.compared:,} users ({churn.churn:.1%})"
    if 0 < churn.moved < LEAST_SHOWN:
        moved = f"fewer than {LEAST_SHOWN} of {churn.compared:,} users"
    return f"{moved} change their segment against {marked(churn.against, accepted)}"


def marked(version: str, accepted: frozenset[str]) -> str:
    """The id of a version, with a note where it was promoted without structure; accepted as in `facts_of`."""
    return f"{version} ({ACCEPTED})" if version in accepted else version


def version_of(stored: StoredModel) -> str:
    """The id of a version that has been read, with the same note."""
    version = stored.manifest.id
    return marked(version, frozenset({version}) if stored.accepted_no_structure else frozenset())


def reasons_in_words(left_out: Mapping[str, str]) -> str:
    """The reasons why columns were left out, each once, with the columns that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def figure(silhouette: float) -> str:
    """A silhouette to three places."""
    return f"{silhouette:.3f}"


def _segments(manifest: Manifest) -> str:
    if manifest.k_supported == manifest.k:
        return str(manifest.k)
    return f"{manifest.k} fitted, {manifest.k_supported} supported by the data"


def _by_k(manifest: Manifest) -> str:
    judgement = manifest.judgement
    tried = ", ".join(f"{k}: {figure(trial.silhouette)}" for k, trial in sorted(judgement.by_k.items()))
    if len(judgement.by_k) == 1:
        return f"{tried} (k was given)"
    elbow = "no elbow" if judgement.elbow_k is None else f"elbow of the inertia at {judgement.elbow_k}"
    return f"{tried} ({elbow}; it does not vote)"


def _evidence(judgement: JudgementFigures) -> list[tuple[str, str]]:
    drawn = f"{judgement.draws} data sets without segments, mean silhouette {figure(judgement.null_silhouette)}"
    stability = {number: f"{value:.2f}" for number, value in judgement.jaccard.items()}
    borders = {number: _p_value(value) for number, value in judgement.border_dip_p.items()}
    evidence = [
        ("stands out", f"E {judgement.effect:.2f}, p {_p_value(judgement.p_value)} ({drawn})"),
        ("stability", f"{_by_number(stability)} (Jaccard in resamples)"),
        ("borders", f"{_by_number(borders)} (p of the dip test)"),
    ]
    if judgement.runner_up is not None:
        silhouette = judgement.by_k[judgement.runner_up].silhouette
        evidence.append(("runner-up", f"{judgement.runner_up} segments, silhouette {figure(silhouette)}"))
    return evidence


def _p_value(p_value: float) -> str:
    return "<0.001" if p_value < 0.001 else f"{p_value:.3g}"


def _fates(lineage: LineageFigures) -> str:
    """The numbers of the segments by fate, such as "kept 0, 1; new 5"."""
    numbers = {fate: [str(n) for n, became in lineage.fates.items() if became.fate is fate] for fate in Fate}
    return "; ".join(f"{fate} {', '.join(found)}" for fate, found in numbers.items() if found)


def _by_number(values: Mapping[int, str]) -> str:
    return ", ".join(f"{number}: {value}" for number, value in sorted(values.items()))


def _sizes(manifest: Manifest) -> str:
    named = {number: f"{number} {name}" for number, name in manifest.segment_names.items()}
    return ", ".join(
        f"{named.get(number, number)}: {size:,} ({size / manifest.rows:.0%})"
        for number, size in sorted(manifest.segment_sizes.items())
    )
