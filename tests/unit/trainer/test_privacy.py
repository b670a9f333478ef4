import pytest

from trainer.privacy import share_shown, shown, shown_text


@pytest.mark.parametrize(
    ("count", "value", "text"), [(0, None, "<20"), (19, None, "<20"), (20, 20, "20"), (1234, 1234, "1,234")]
)
def test_a_count_under_20_users_is_not_shown(count: int, value: int | None, text: str) -> None:
    assert (shown(count), shown_text(count)) == (value, text)


@pytest.mark.parametrize(
    ("having", "users", "may_be"),
    [
        (19, 19, False),
        (19, 100, False),
        (20, 20, True),
        (20, 40, True),
        (20, 39, False),
        (99, 100, False),
        (0, 100, False),
    ],
)
def test_a_share_is_shown_if_at_least_20_are_on_either_side(having: int, users: int, may_be: bool) -> None:
    assert share_shown(having, users) is may_be
