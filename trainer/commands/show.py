"""segment-trainer show: one version, its verdict, evidence and origin."""

from __future__ import annotations

from pydantic import TypeAdapter

from models.store import ModelStore
from models.version_folder import Signature
from trainer.findings import Findings
from trainer.publishing.findings_file import read_findings
from trainer.text.console import print_facts, print_json
from trainer.text.production import PRODUCTION, current_version
from trainer.text.summary import as_json, facts_of, origin_of

_SIGNATURES = {
    Signature.VERIFIED: "verified",
    Signature.UNCHECKED: "not checked: MODEL_PUBLIC_KEY is not set",
    Signature.NONE: "none",
}


def show(store: ModelStore, version: str) -> None:
    """Print one version."""
    manifest, accepted = store.manifest(version), store.accepted_without_structure()
    findings = read_findings(store, version)
    print_facts(
        [
            *facts_of(manifest, findings, accepted),
            ("alias", PRODUCTION if manifest.id == current_version(store) else "none"),
            ("signature", _SIGNATURES[store.signature(version)]),
            *origin_of(manifest, findings.origin, accepted),
        ],
        to_copy=[("history", f"SHA-256 {findings.origin.data_sha256}"), ("files", str(store.folder(version)))],
    )


def show_as_json(store: ModelStore, version: str) -> None:
    """Print what `list --json` prints of the version, with its findings but for the points of the map."""
    (shown,) = as_json([store.manifest(version)], store, current_version(store))
    findings = TypeAdapter(Findings).dump_python(read_findings(store, version), mode="json", exclude={"map"})
    print_json(shown | {"findings": findings})
