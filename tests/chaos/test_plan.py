"""The faults of a run follow from its seed, and from nothing else."""

from collections.abc import Callable

import pytest

from tests.chaos.faults import DO
from tests.chaos.plan import SESSION_TIMEOUT_S, WORKERS, Kind, Plan, directed_plan, random_plan, short_plan

SEEDS = range(1, 201)


def test_a_seed_always_makes_the_same_plan() -> None:
    assert [random_plan(seed) for seed in SEEDS] == [random_plan(seed) for seed in SEEDS]


def test_different_seeds_make_different_plans() -> None:
    assert len({random_plan(seed) for seed in SEEDS}) == len(SEEDS)


def test_every_kind_of_fault_is_in_every_random_plan_and_in_no_order_of_its_own() -> None:
    orders = [[fault.kind for fault in random_plan(seed).faults] for seed in SEEDS]
    assert all(set(order) == set(Kind) for order in orders)
    assert {order[0] for order in orders} == set(Kind)


def test_every_kind_of_fault_can_be_done() -> None:
    assert DO.keys() == set(Kind)


def test_a_frozen_worker_is_frozen_for_longer_than_the_session_timeout() -> None:
    frozen = {Kind.FREEZE, Kind.FREEZE_BEFORE_COMMIT, Kind.FREEZE_BEFORE_OFFSETS}
    plans = [*map(random_plan, SEEDS), directed_plan(), short_plan()]
    lengths = [fault.length_s for plan in plans for fault in plan.faults if fault.kind in frozen]
    assert min(lengths) > SESSION_TIMEOUT_S + 1


@pytest.mark.parametrize("make", [lambda: random_plan(1), directed_plan, short_plan])
def test_three_workers_run_some_of_them_with_an_instance_id_of_their_own(make: Callable[[], Plan]) -> None:
    identities = [worker.instance_id for worker in make().workers]
    assert len(identities) == WORKERS
    assert sorted(filter(None, identities)) == ["one", "two"]
