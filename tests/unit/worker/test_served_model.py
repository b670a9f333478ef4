"""Which model a worker serves, and which it refuses."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import BaseModel

from models import promoting
from models.errors import HistoryRolledBack, KeyUnusable, ModelError, NotSigned, ProfileMismatch, VersionDamaged
from models.store import ModelStore
from models.version_folder import Signature
from schemas import UserProfile
from schemas.errors import ProfileClassError
from schemas.roles import number
from tests.support.fitted import fit, publish, published, segmentation
from tests.support.signed import new_key, pem, secret_of, signed_store
from worker.served_model import load_model, signature_warnings
from worker.settings import Settings


class OtherProfile(BaseModel):
    """A class with another schema."""

    history_id_column: ClassVar[str] = "id"
    age: Annotated[float, number("behaviour")]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "store")
    promoting.promote(store, publish(store, segmentation(), fit()).id, "production", datetime(2026, 11, 24, tzinfo=UTC))
    return store


def test_the_model_in_force_is_loaded_with_its_profile_class(store: ModelStore) -> None:
    model = load_model(Settings(models_dir=store.root))
    assert model.stored.segmentation == segmentation()
    assert model.profile_class is UserProfile


def test_another_alias_has_no_model(store: ModelStore) -> None:
    with pytest.raises(ModelError, match=r"no version in .* is named 'canary'"):
        load_model(Settings(models_dir=store.root, model_alias="canary"))


def test_a_folder_that_does_not_exist_is_no_store_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model store at .*/none; check MODELS_DIR"):
        load_model(Settings(models_dir=tmp_path / "none"))
    (tmp_path / "none").mkdir()
    with pytest.raises(ModelError, match=r"no version in .* is named 'production'"):
        load_model(Settings(models_dir=tmp_path / "none"))


def test_a_model_of_another_profile_class_is_refused_and_both_are_named(store: ModelStore) -> None:
    with pytest.raises(ProfileMismatch, match=r"fitted for profile class UserProfile .*but profile class OtherProfile"):
        load_model(Settings(models_dir=store.root, profile_class=f"{__file__}:OtherProfile"))


def test_a_profile_class_that_is_not_there_is_refused(store: ModelStore) -> None:
    with pytest.raises(ProfileClassError):
        load_model(Settings(models_dir=store.root, profile_class="schemas:Nobody"))


def test_a_damaged_model_is_refused(store: ModelStore) -> None:
    (path,) = store.root.glob("versions/*/model.json")
    path.write_bytes(path.read_bytes().replace(b"Segment 0", b"Segment O"))
    with pytest.raises(VersionDamaged):
        load_model(Settings(models_dir=store.root))


# --- signed ----------------------------------------------------------------------------------------------------------


def test_a_signed_model_is_loaded_with_its_sequence_and_an_unsigned_one_without(
    store: ModelStore, tmp_path: Path
) -> None:
    key = new_key()
    signed = signed_store(tmp_path / "signed", key, versions=2)
    settings = Settings(models_dir=signed.root, model_public_key=key.one_line, model_min_sequence=2)
    assert load_model(settings).stored.sequence == 2
    assert load_model(Settings(models_dir=store.root)).stored.sequence is None


def test_a_signature_that_nothing_checks_is_found_wherever_it_is(store: ModelStore, tmp_path: Path) -> None:
    key = new_key()
    settings = Settings(models_dir=store.root)
    assert load_model(settings).signatures is Signature.NONE
    assert [*signature_warnings(load_model(settings), settings)] == []

    history = store.root / "aliases.jsonl"
    unsigned, signed = history.read_bytes(), signed_store(tmp_path / "signed", key)
    history.write_bytes((signed.root / "aliases.jsonl").read_bytes() + unsigned)
    assert load_model(settings).signatures is Signature.UNCHECKED, "a promotion of old"

    history.write_bytes(unsigned)
    (store.folder(published(store, 60).id) / "manifest.sig").write_bytes(b"of an old key")
    model = load_model(settings)
    assert model.signatures is Signature.UNCHECKED, "another version than the one that is served"
    (line,) = signature_warnings(model, settings)
    assert f"{store.root} is signed, but its signatures are not checked" in line

    checked = Settings(models_dir=signed.root, model_public_key=key.one_line)
    assert load_model(checked).signatures is Signature.VERIFIED
    assert [*signature_warnings(load_model(checked), checked)] == []


def test_what_the_owner_of_the_key_did_not_promote_last_is_refused(store: ModelStore, tmp_path: Path) -> None:
    key = new_key()
    signed = signed_store(tmp_path / "signed", key)
    with pytest.raises(NotSigned, match=r"none of them signed by a key of MODEL_PUBLIC_KEY"):
        load_model(Settings(models_dir=store.root, model_public_key=key.one_line))
    with pytest.raises(NotSigned, match=r"none of them signed by a key of MODEL_PUBLIC_KEY"):
        load_model(Settings(models_dir=signed.root, model_public_key=new_key().one_line))
    with pytest.raises(HistoryRolledBack, match=r"ends at sequence 1, MODEL_MIN_SEQUENCE is 2"):
        load_model(Settings(models_dir=signed.root, model_public_key=key.one_line, model_min_sequence=2))


def test_a_private_key_in_place_of_the_public_one_is_refused_and_not_repeated(store: ModelStore) -> None:
    key = new_key()
    with pytest.raises(KeyUnusable, match="MODEL_PUBLIC_KEY holds a private key") as refused:
        load_model(Settings(models_dir=store.root, model_public_key=pem(key)))
    assert secret_of(key) not in str(refused.value)


def test_a_store_that_may_not_be_read_is_named(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("models.files.read", forbidden)
    with pytest.raises(ModelError, match=r"store cannot be read \(Permission denied\): check MODELS_DIR"):
        load_model(Settings(models_dir=store.root))
