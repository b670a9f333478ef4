"""A version in words: the lines that fit and show print."""

from __future__ import annotations

from collections.abc import Mapping

from models.manifest import Manifest


def facts_of(manifest: Manifest) -> list[tuple[str, str]]:
    """Names and values of what a person wants to know of a version, the most important first."""
    facts = [
        ("version", manifest.id),
        ("verdict", f"{manifest.verdict}: {manifest.verdict_reason}"),
        ("segments", str(manifest.k)),
        ("silhouette", figure(manifest.silhouette)),
        ("silhouette by k", _by_k(manifest)),
        ("users", f"{manifest.rows:,}"),
        ("users by segment", _sizes(manifest)),
        ("columns kept", ", ".join(manifest.columns.kept)),
        ("columns left out", reasons_in_words(manifest.columns.left_out) or "none"),
    ]
    if manifest.rows_skipped:
        facts.append(("bad rows skipped", f"{manifest.rows_skipped:,}, listed in bad_rows.csv"))
    return facts


def origin_of(manifest: Manifest) -> list[tuple[str, str]]:
    """Names and values of where a version came from."""
    return [
        ("created", f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}"),
        ("parent", manifest.parent or "none"),
        ("options", ", ".join(f"{name} {value}" for name, value in manifest.options.items())),
        ("seed", str(manifest.seed)),
        ("profile class", f"{manifest.profile.name}, schema {manifest.profile.schema_digest[:12]}"),
        ("libraries", ", ".join(f"{name} {value}" for name, value in manifest.libraries.items())),
    ]


def reasons_in_words(left_out: Mapping[str, str]) -> str:
    """The reasons why columns were left out, each once, with the columns that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def figure(silhouette: float | None) -> str:
    """A silhouette to three places."""
    return "none" if silhouette is None else f"{silhouette:.3f}"


def _by_k(manifest: Manifest) -> str:
    tried = ", ".join(f"{k}: {figure(value)}" for k, value in sorted(manifest.silhouette_by_k.items()))
    if len(manifest.silhouette_by_k) == 1:
        return f"{tried} (k was given)"
    elbow = "no elbow" if manifest.elbow_k is None else f"elbow of the inertia at {manifest.elbow_k}"
    return f"{tried} ({elbow}; it does not vote)"


def _sizes(manifest: Manifest) -> str:
    return ", ".join(
        f"{number}: {size:,} ({size / manifest.rows:.0%})" for number, size in sorted(manifest.segment_sizes.items())
    )
