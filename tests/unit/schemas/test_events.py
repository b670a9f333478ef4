import pytest
from pydantic import TypeAdapter, ValidationError

from schemas import UserProfile
from schemas.events import Timestamp
from schemas.roles import profile_fields
from tests.support.events import PROFILE

TIMESTAMP = TypeAdapter(Timestamp)


@pytest.mark.parametrize("text", ["2026-11-22T12:00:00Z", "2026-11-22t12:00:00.5z", "2026-11-22T12:00:00-03:30"])
def test_an_rfc_3339_time_with_a_zone_is_accepted(text: str) -> None:
    assert TIMESTAMP.validate_python(text).tzinfo is not None


@pytest.mark.parametrize(
    "text", ["2026-11-22", "2026-11-22T12:00:00", "2026-11-22 12:00:00Z", "1764000000", "2026-13-01T00:00:00Z", ""]
)
def test_anything_else_is_not_a_valid_time(text: str) -> None:
    with pytest.raises(ValidationError):
        TIMESTAMP.validate_python(text)


def test_a_history_row_is_the_same_profile_under_its_headers() -> None:
    row = {field.header: PROFILE[field.name] for field in profile_fields(UserProfile)}
    assert UserProfile.model_validate(row, by_alias=True, by_name=False) == UserProfile.model_validate(PROFILE)
