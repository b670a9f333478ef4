"""How a command ends: with which status, and in how many words."""

import pytest
from structlog.testing import capture_logs

from models.errors import ProfileMismatch, VersionDamaged
from schemas.errors import ProfileClassError
from worker.errors import (
    BrokersUnreachable,
    ClusterUnusable,
    ExitStatus,
    PortUnusable,
    SettingsError,
    StopProcessError,
    TopicNotCreated,
    ending,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (VersionDamaged("it is"), ExitStatus.ACT_FIRST),
        (ProfileMismatch("it is"), ExitStatus.ACT_FIRST),
        (ProfileClassError("it is"), ExitStatus.ACT_FIRST),
        (PortUnusable("it is"), ExitStatus.ACT_FIRST),
        (TopicNotCreated("it is"), ExitStatus.ACT_FIRST),
        (BrokersUnreachable("it is"), ExitStatus.RESTART),
        (StopProcessError("it is", ExitStatus.RESTART), ExitStatus.RESTART),
        (StopProcessError("it is", ExitStatus.ACT_FIRST), ExitStatus.ACT_FIRST),
        (StopProcessError("it is", ExitStatus.REJECT_LIMIT), ExitStatus.REJECT_LIMIT),
        (SettingsError(("it is",), frozenset()), ExitStatus.ACT_FIRST),
        (ClusterUnusable(("it is",)), ExitStatus.ACT_FIRST),
    ],
)
def test_each_error_has_its_status_and_is_printed_as_it_is(error: Exception, status: ExitStatus) -> None:
    assert ending(error) == (status, ("it is",))


def test_several_problems_are_several_lines() -> None:
    assert ending(SettingsError(("one", "two"), frozenset()))[1] == ("one", "two")
    assert ending(ClusterUnusable(("one", "two")))[1] == ("one", "two")


def test_a_defect_is_one_line_without_its_values_and_a_restart_is_worth_a_try() -> None:
    with capture_logs() as logs:
        status, (line,) = ending(KeyError("payload of user-1042"))
    assert status is ExitStatus.RESTART
    assert line.startswith("unexpected KeyError (this is a bug")
    assert "user-1042" not in line
    assert [log["event"] for log in logs] == ["unexpected_error"]
