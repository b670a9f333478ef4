import argparse

import pytest

from worker.tools.bounds import Bounds, add_bounds, bounds_of


def parsed(*arguments: str) -> Bounds:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_bounds(parser, "record")
    return bounds_of(parser.parse_args(arguments))


def test_bounds_are_times_and_offsets_of_single_partitions() -> None:
    arguments = "--since 2026-11-24T12:00:00Z --until 2026-11-24T14:00+01:00 --from-offset 3:12 --from-offset 0:1"
    assert parsed(*arguments.split(), "--to-offset", "3:20") == Bounds(
        1795521600000, 1795521600000 + 3_600_000, {3: 12, 0: 1}, {3: 20}
    )
    assert parsed() == Bounds()


def test_only_bounds_that_leave_out_the_beginning_begin_later() -> None:
    assert parsed("--since", "2026-11-24T12:00:00Z").begin_later
    assert parsed("--from-offset", "0:5").begin_later
    assert not parsed("--to-offset", "0:5", "--until", "2026-11-24T12:00:00Z").begin_later


def test_an_upper_bound_alone_is_one_too_and_each_partition_that_is_named_is_known() -> None:
    assert not Bounds().given
    assert parsed("--until", "2026-11-24T12:00:00Z").given
    assert parsed("--to-offset", "0:5").given
    assert parsed("--from-offset", "3:5", "--to-offset", "0:5").partitions == {0, 3}


def test_what_was_removed_is_not_meant_when_bounds_begin_behind_it() -> None:
    assert Bounds().begin_at(0, 0, None)
    assert not Bounds().begin_at(0, 5, 1000)
    assert Bounds(from_offsets={0: 5}).begin_at(0, 5, 1000)
    assert not Bounds(from_offsets={0: 4}).begin_at(0, 5, 1000)
    assert not Bounds(from_offsets={1: 5}).begin_at(0, 5, 1000)
    assert Bounds(since_ms=1000).begin_at(0, 5, 1000)
    assert not Bounds(since_ms=999).begin_at(0, 5, 1000)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "'yesterday'"),
        (["--since", "2026-11-24T12:00:00"], "time zone"),
        (["--from-offset", "12"], "'12' is not PARTITION:OFFSET"),
        (["--to-offset", "0:-1"], "'0:-1' is not PARTITION:OFFSET"),
        (["--to-offset", "²:1"], "is not PARTITION:OFFSET"),
    ],
)
def test_malformed_bounds_are_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=said):
        parsed(*arguments)
