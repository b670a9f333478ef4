"""A pair of keys to sign models with."""

from __future__ import annotations

from pathlib import Path

from models.signing import refuse_in_store, write_key_pair
from trainer.errors import OutputError
from trainer.text.console import print_facts


def keygen(path: Path, store: Path) -> None:
    """Write a private key, and its public key beside it, and print what to do with them.

    Raises OutputError where a file is in the way or cannot be written, KeyUnusable where it would lie in the store.
    """
    refuse_in_store(path, store)
    public_path = path.with_name(f"{path.name}.pub")
    for each in (path, public_path):
        if each.exists() or each.is_symlink():
            raise OutputError(
                f"{each} exists already and is not overwritten, nothing was written: give another path, or move it away"
            )
    try:
        key = write_key_pair(path, public_path)
    except OSError as error:
        raise OutputError(
            f"{error.filename or path} cannot be written ({error.strerror}): nothing was written; give another path"
        ) from error
    print_facts(
        [],
        to_copy=[
            ("private key", f"{path} (whoever has it can sign: keep it where models are published, nowhere else)"),
            ("public key", str(public_path)),
            ("next, to publish", f"MODEL_SIGNING_KEY={path.absolute()}"),
            ("next, workers", f"MODEL_PUBLIC_KEY={key.one_line}"),
        ],
    )
