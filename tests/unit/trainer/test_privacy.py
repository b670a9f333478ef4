import pytest

from trainer.privacy import shown, shown_text


@pytest.mark.parametrize(
    ("count", "value", "text"), [(0, None, "<20"), (19, None, "<20"), (20, 20, "20"), (1234, 1234, "1,234")]
)
def test_a_count_under_20_users_is_not_shown(count: int, value: int | None, text: str) -> None:
    assert (shown(count), shown_text(count)) == (value, text)
