"""A version in words: the lines that fit, show and list print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.manifest import Manifest, Reassigned, Verdict
from models.promotion_history import AliasEntry
from models.store import ModelStore, StoredModel
from schemas.counting import counted
from trainer.findings import Card, Fate, Findings, Judgement, Lineage, Origin
from trainer.text.wording import between, mean_of, no_tiers, percent, reassigned, tiers, unnamed

ACCEPTED = "accepted without structure"
"""The mark of every version that was promoted although no segments were found in its data."""


def facts_of(manifest: Manifest, findings: Findings, accepted: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Names and values of what a person wants to know about a version, the most important first.

    accepted are the versions of the store that were promoted without structure.
    """
    columns = findings.quality.columns
    left_out = {each.field: each.left_out_because for each in columns if each.left_out_because is not None}
    facts = [
        ("version", marked(manifest.id, accepted)),
        ("verdict", f"{manifest.verdict}: {manifest.verdict_reason}"),
        ("segments", _segments(manifest)),
        ("silhouette", figure(manifest.silhouette)),
        ("silhouette by k", _by_k(findings.judgement)),
        *_evidence(findings.judgement),
        *_tiers(findings),
        ("users", f"{manifest.rows:,}"),
        ("users by segment", _sizes(findings.cards)),
        ("columns kept", ", ".join(each.field for each in columns if each.left_out_because is None)),
        ("columns left out", reasons_in_words(left_out) or "none"),
    ]
    missing = [f"{each.field} {percent(each.missing_share)}" for each in columns if each.missing_share]
    if missing:
        facts.append(("missing values", ", ".join(missing)))
    if manifest.given_names:
        facts.append(("named by hand", by_number(manifest.given_names)))
    if unnamed(findings):
        facts.append(("not named", unnamed(findings)))
    if findings.lineage is not None:
        moves = reassigned_since(findings.lineage.reassigned, accepted)
        facts.append(("since the last", f"{_fates(findings.lineage)}; {moves}"))
    return facts + skipped(findings.quality.rows_skipped, ", listed in bad_rows.csv")


def next_step(manifest: Manifest, store_flag: str) -> str:
    """The next step with a new version; store_flag repeats the user's --models, or is empty."""
    if manifest.verdict is Verdict.NONE:
        return "read the report; promote refuses this version unless --accept-no-structure is given"
    return f"segment-trainer promote {manifest.id}{store_flag}"


def origin_of(manifest: Manifest, origin: Origin, accepted: frozenset[str]) -> list[tuple[str, str]]:
    """Names and values of where a version came from; accepted as in `facts_of`."""
    return [
        ("created", f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("parent", marked(manifest.parent, accepted) if manifest.parent else "none"),
        ("options", ", ".join(f"{name} {value}" for name, value in origin.options.items())),
        ("seed", str(origin.seed)),
        ("profile class", f"{manifest.profile.name}, schema {manifest.profile.schema_digest[:12]}"),
        ("libraries", ", ".join(f"{name} {value}" for name, value in origin.libraries.items())),
    ]


def as_json(manifests: Sequence[Manifest], store: ModelStore, production: str | None) -> list[dict[str, Any]]:
    """Manifests for machines, each with its signature and aliases; production is the version that has the alias."""
    # Read once: each reading checks every signature in the history.
    accepted = store.accepted_without_structure()
    return [
        {
            **manifest.model_dump(mode="json"),
            "signature": store.signature(manifest.id),
            "aliases": ["production"] if manifest.id == production else [],
            "accepted_no_structure": manifest.id in accepted,
        }
        for manifest in manifests
    ]


def reassigned_since(found: Reassigned, accepted: frozenset[str] = frozenset()) -> str:
    """How many users change their segment, and against which version; accepted as in `facts_of`."""
    return f"{reassigned(found)}, compared with {marked(found.against, accepted)}"


def marked(version: str, accepted: frozenset[str]) -> str:
    """The id of a version, with a note where it was promoted without structure; accepted as in `facts_of`."""
    return f"{version} ({ACCEPTED})" if version in accepted else version


def marked_entry(entry: AliasEntry) -> str:
    """The id of a version that was promoted or put back, with the same note."""
    return marked(entry.version, frozenset({entry.version} if entry.accepted_no_structure else ()))


def version_of(stored: StoredModel) -> str:
    """The id of a version that has been read, with the same note."""
    version = stored.manifest.id
    return marked(version, frozenset({version} if stored.accepted_no_structure else ()))


def skipped(bad_rows: int, where: str = "") -> list[tuple[str, str]]:
    """How many bad rows of a history were left out, if any, and where they are listed, if anywhere."""
    return [("bad rows skipped", f"{bad_rows:,}{where}")] if bad_rows else []


def left_out(too_little_known: int) -> list[tuple[str, str]]:
    """How many users of a history have no segment, if any."""
    if not too_little_known:
        return []
    users = counted(too_little_known, "user")
    return [("left out", f"{users}: more than half of the fields that the model uses have no value")]


def days_counted(day: object | None) -> list[tuple[str, str]]:
    """The day to which the days since a date are counted, if there are dates."""
    return [] if day is None else [("days counted to", str(day))]


def reasons_in_words(left_out: Mapping[str, str]) -> str:
    """The reasons why columns were left out, each once, with its columns."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def figure(silhouette: float) -> str:
    """A silhouette with three decimals."""
    return f"{silhouette:.3f}"


def by_number(values: Mapping[int, str]) -> str:
    """Texts by segment number, in its order."""
    return ", ".join(f"{number}: {value}" for number, value in sorted(values.items()))


def _segments(manifest: Manifest) -> str:
    return f"{manifest.k} fitted, not supported by the data" if manifest.verdict is Verdict.NONE else str(manifest.k)


def _by_k(judgement: Judgement) -> str:
    tried = ", ".join(f"{trial.k}: {figure(trial.silhouette)}" for trial in judgement.trials)
    if judgement.k_was_given:
        return f"{tried} (k was given)"
    elbow = "no elbow" if judgement.elbow_k is None else f"the inertia has its elbow at {judgement.elbow_k}"
    return f"{tried} ({elbow})"


def _evidence(judgement: Judgement) -> list[tuple[str, str]]:
    nulls = judgement.null_silhouettes
    separation = "–" if judgement.separation is None else f"{judgement.separation:.2f}"
    synthetic = f"{counted(len(nulls), 'data set')} without segments: mean silhouette {figure(mean_of(nulls))}"
    stability = {number: f"{value:.2f}" for number, value in judgement.jaccard.items()}
    borders = {border.segment: _p_value(border.dip_p_value) for border in judgement.borders}
    return [
        ("between segments", between(judgement)),
        ("separation", f"G {separation}, E {judgement.effect:.2f}, p {_p_value(judgement.p_value)} ({synthetic})"),
        ("stability", f"{by_number(stability)} (Jaccard in bootstrap resamples)"),
        ("borders", f"{by_number(borders)} (p of the dip test)"),
        *(
            ("runner-up", f"{trial.k} segments, silhouette {figure(trial.silhouette)}")
            for trial in judgement.trials
            if trial.k == judgement.runner_up
        ),
    ]


def _tiers(findings: Findings) -> list[tuple[str, str]]:
    if findings.judgement.verdict is not Verdict.NONE:
        return []
    found = findings.tiers
    if found is None:
        return [("tiers", f"none: {no_tiers(findings)}")]
    ranges = [f"{name} ({share:.0%})" for name, share in zip(tiers(found), found.shares, strict=True)]
    return [("tiers", f"{found.header}: {', '.join(ranges)} (cut points, not segments)")]


def _p_value(p_value: float) -> str:
    return "<0.001" if p_value < 0.001 else f"{p_value:.3g}"


def _fates(lineage: Lineage) -> str:
    """The numbers of the segments by fate, such as "kept 0, 1; new 5"."""
    numbers = {fate: [str(each.segment) for each in lineage.fates if each.fate is fate] for fate in Fate}
    return "; ".join(f"{fate} {', '.join(found)}" for fate, found in numbers.items() if found)


def _sizes(cards: Sequence[Card]) -> str:
    ordered = sorted(cards, key=lambda card: card.segment)
    return "; ".join(f"{card.segment} {card.name}: {card.users:,} ({card.share:.0%})" for card in ordered)
