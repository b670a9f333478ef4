"""The model that a worker serves: the version that its alias names, if it was fitted for the worker's profile class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from models.errors import ModelError
from models.signing import Keyring, keyring
from models.store import ModelStore, StoredModel
from models.version_folder import Signature
from schemas.roles import load_profile_class
from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A checked version, and the class whose profiles it assigns."""

    stored: StoredModel
    profile_class: type[BaseModel]
    keys: Keyring
    """Read once at the start: a new key needs a restart."""
    signatures: Signature
    """Of the store: whether they were checked, and if not, whether there are any."""

    @property
    def version(self) -> str:
        """The version's id."""
        return self.stored.manifest.id


def load_model(settings: Settings) -> ServedModel:
    """The version that MODEL_ALIAS names now, with the class PROFILE_CLASS that it was fitted for.

    Raises ModelError if it is missing, damaged, of another format, fitted for another class, or not what the owner of
    MODEL_PUBLIC_KEY promoted last; ProfileClassError if the class cannot be loaded.
    """
    profile_class = load_profile_class(settings.profile_class)
    keys = keyring(settings.model_public_key, None, settings.model_min_sequence, settings.models_dir)
    with model_store(settings, keys) as store:
        stored = store.load_alias(settings.model_alias)
        signatures = store.signatures()
    stored.manifest.check_profile(profile_class)
    return ServedModel(stored, profile_class, keys, signatures)


@contextmanager
def model_store(settings: Settings, keys: Keyring) -> Iterator[ModelStore]:
    """The store in MODELS_DIR; raises ModelError if it is missing or cannot be read."""
    try:
        _require_store(settings.models_dir)
        yield ModelStore(settings.models_dir, keys)
    except OSError as error:
        raise ModelError(
            f"the model store {settings.models_dir} cannot be read ({error.strerror or error}): "
            "check MODELS_DIR, and that this user may read it"
        ) from error


def _require_store(folder: Path) -> None:
    try:
        folder.stat()
    except FileNotFoundError as error:
        raise ModelError(
            f"there is no model store at {folder}; check MODELS_DIR and that its volume is there, or fit a first model "
            "with `segment-trainer fit DATA.csv`"
        ) from error


def signature_warnings(model: ServedModel, settings: Settings) -> Iterator[str]:
    """Warnings about signatures that are not checked, one line each."""
    if model.signatures is Signature.UNCHECKED:
        yield (
            f"the model store {settings.models_dir} is signed, but its signatures are not checked, and unsigned "
            "models are loaded, too; set MODEL_PUBLIC_KEY, or find out why it is empty here"
        )
