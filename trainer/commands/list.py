"""segment-trainer list: every version of the store."""

from __future__ import annotations

import sys

from models.errors import ModelError
from models.manifest import Manifest
from models.store import ModelStore
from trainer.text.console import print_json, print_table
from trainer.text.production import PRODUCTION, current_version, start_of_history
from trainer.text.summary import ACCEPTED, as_json, figure


def list_versions(store: ModelStore) -> None:
    """Print one version per line, oldest first, then a line with the reason for each that cannot be read.

    Nothing to list is not an error: before the first fit it is normal.
    """
    versions, problems = _readable(store)
    if not versions and not problems:
        print(_nothing_in(store))
        return
    production, accepted = current_version(store), store.accepted_without_structure()
    print_table(
        ("version", "created", "profile", "verdict", "segments", "silhouette", "users", "signature", "alias", ""),
        [
            (
                manifest.id,
                f"{manifest.created_at:%Y-%m-%d %H:%M:%S %Z}",
                manifest.profile.name,
                manifest.verdict,
                str(manifest.k),
                figure(manifest.silhouette),
                f"{manifest.rows:,}",
                store.signature(manifest.id),
                PRODUCTION if manifest.id == production else "",
                ACCEPTED if manifest.id in accepted else "",
            )
            for manifest in versions
        ],
    )
    for line in (*problems, *start_of_history(store)):
        print(line)


def list_versions_as_json(store: ModelStore) -> None:
    """Print an array of manifests, oldest first, each with its aliases; problems go to standard error.

    So does a line that says so if there is nothing to list.
    """
    versions, problems = _readable(store)
    if not versions and not problems:
        print(_nothing_in(store), file=sys.stderr)
    print_json(as_json(versions, store, current_version(store)))
    for line in (*problems, *start_of_history(store)):
        print(line, file=sys.stderr)


def _nothing_in(store: ModelStore) -> str:
    missing = "version in" if store.root.is_dir() else "model store at"
    return f"there is no {missing} {store.root} yet: check --models, or fit with `segment-trainer fit DATA.csv`"


def _readable(store: ModelStore) -> tuple[list[Manifest], list[str]]:
    """The manifests that can be read, oldest first, and a line for each version that is damaged or missing."""
    versions, problems = list[Manifest](), list[str]()
    for version in store.version_ids():
        try:
            versions.append(store.manifest(version))
        except ModelError as error:
            problems.append(str(error))
    production = current_version(store)
    if production is not None and production not in store.version_ids():
        problems.append(
            f"{production} is in production but missing from {store.root}: restore its folder, or promote another "
            "version"
        )
    return versions, problems
