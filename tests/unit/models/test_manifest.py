import pytest
from pydantic import ValidationError

from models.errors import ProfileMismatch
from models.manifest import Manifest, ProfileReference
from schemas import UserProfile
from tests.support.fitted import fit

MANIFEST = Manifest(**dict(fit()), format=1, id="20261124T120000Z-00000000", next_number=4, files={})


class OtherProfile(UserProfile):
    pass


def test_a_model_is_accepted_only_with_the_class_it_was_fitted_for() -> None:
    MANIFEST.check_profile(UserProfile)
    with pytest.raises(ProfileMismatch, match=r"fitted for profile class UserProfile .*but profile class OtherProfile"):
        MANIFEST.check_profile(OtherProfile)


def test_a_class_of_the_same_name_with_other_fields_is_recognized_by_its_digest() -> None:
    changed = MANIFEST.model_copy(update={"profile": ProfileReference(name="UserProfile", schema_digest="0" * 64)})
    with pytest.raises(ProfileMismatch, match="schema 000000000000"):
        changed.check_profile(UserProfile)


@pytest.mark.parametrize("name", ["../model.json", "/etc/passwd", "a/b", "", ".hidden", "x" * 200])
def test_a_manifest_lists_plain_file_names_only(name: str) -> None:
    with pytest.raises(ValidationError):
        Manifest(**dict(fit()), format=1, id="20261124T120000Z-00000000", next_number=4, files={name: "0" * 64})
