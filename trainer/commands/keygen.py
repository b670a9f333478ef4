"""segment-trainer keygen: a key pair for signing models."""

from __future__ import annotations

from pathlib import Path

from models.signing import refuse_in_store, write_key_pair
from trainer.errors import OutputError
from trainer.text.console import print_facts


def keygen(path: Path, store: Path) -> None:
    """Write a private key, and its public key beside it, and print what to do with them.

    Raises OutputError when a file exists or cannot be written, KeyUnusable when the key would be inside the store.
    """
    refuse_in_store(path, store)
    public_path = path.with_name(f"{path.name}.pub")
    for each in (path, public_path):
        if each.exists() or each.is_symlink():
            raise OutputError(f"{each} already exists and is never overwritten: give another path, or move it away")
    try:
        key = write_key_pair(path, public_path)
    except OSError as error:
        raise OutputError(
            f"{error.filename or path} cannot be written ({error.strerror}): give another path"
        ) from error
    print_facts(
        [],
        to_copy=[
            ("private key", f"{path} (secret: anyone who has it can sign; keep it only where models are published)"),
            ("public key", str(public_path)),
            ("next, to publish", f"MODEL_SIGNING_KEY={path.absolute()}"),
            ("next, workers", f"MODEL_PUBLIC_KEY={key.one_line}"),
        ],
    )
