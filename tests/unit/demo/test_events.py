from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice

import pytest

from demo.events import BAD_KINDS, Emitted, emitted
from demo.population import Population, Structure
from schemas import UserProfile
from schemas.events import UserEvent
from schemas.rejected import Rejection, RejectReason
from tests.support.reading import parse_event
from worker.settings import Settings

NOW = datetime(2026, 11, 24, 15, 30, 0, 250_999, UTC)
EVENT_MAX_BYTES: int = Settings.model_fields["worker_event_max_bytes"].default
TOPIC_MAX_BYTES = 1_048_588  # Kafka's default


def events(number: int | None, bad_share: float = 0.0, population: Population | None = None) -> Iterator[Emitted]:
    numbers = count()
    return emitted(
        population or Population(users=300), number, bad_share, new_id=lambda: f"id-{next(numbers)}", now=lambda: NOW
    )


def parsed(event: Emitted) -> UserEvent[UserProfile] | Rejection:
    found: UserEvent[UserProfile] | Rejection = parse_event(event.record.value, UserProfile, EVENT_MAX_BYTES)
    return found


def test_a_good_event_is_accepted_and_keyed_by_its_user() -> None:
    for event in events(500):
        found = parsed(event)
        assert isinstance(found, UserEvent)
        assert event.record.key == found.subject.encode()
        assert event.record.headers == {"content-type": b"application/cloudevents+json"}
        assert event.reason is None


def test_an_event_has_its_own_time_and_id() -> None:
    first, second = map(parsed, events(2))

    assert isinstance(first, UserEvent)
    assert isinstance(second, UserEvent)
    assert first.time == datetime(2026, 11, 24, 15, 30, 0, 250_000, UTC)
    assert (first.id, second.id) == ("id-0", "id-1")


def test_every_bad_event_is_rejected_for_the_reason_it_was_made_for() -> None:
    bad = [*events(len(BAD_KINDS), bad_share=1)]

    assert [event.reason for event in bad] == [kind.reason for kind in BAD_KINDS]
    for event in bad:
        found = parsed(event)
        assert isinstance(found, Rejection)
        assert found.reason is event.reason


def test_the_bad_events_cover_every_reason() -> None:
    # Of UserProfile, every field is required; the demo's events are not in Avro.
    of_others = {
        RejectReason.INTERNAL_ERROR,
        RejectReason.TOO_LITTLE_KNOWN,
        RejectReason.NOT_AVRO,
        RejectReason.UNKNOWN_SCHEMA,
    }
    assert {kind.reason for kind in BAD_KINDS} == set(RejectReason) - of_others


def test_a_topic_with_default_settings_takes_every_bad_event() -> None:
    assert max(len(event.record.value or b"") for event in events(len(BAD_KINDS), bad_share=1)) < TOPIC_MAX_BYTES - 100


@pytest.mark.parametrize(("share", "bad"), [(0.0, 0), (0.01, 2), (0.29, 58), (0.333, 66), (1.0, 200)])
def test_exactly_the_given_share_is_bad_and_spread_evenly(share: float, bad: int) -> None:
    marks = [event.reason is not None for event in events(200, share)]

    assert sum(marks) == bad
    assert abs(sum(marks[:100]) - bad / 2) <= 1


def test_without_a_count_events_do_not_end() -> None:
    assert len([*islice(events(None), 5_000)]) == 5_000


def test_the_same_population_sends_the_same_observations() -> None:
    values = [event.record.value for event in events(50, population=Population(40, seed=3))]

    assert values == [event.record.value for event in events(50, population=Population(40, seed=3))]
    assert values != [event.record.value for event in events(50, population=Population(40, seed=4))]


def test_an_observation_stays_near_the_history_of_its_user() -> None:
    population = Population(users=50)
    (block,) = population.blocks()
    known = dict(zip(block.users, block.profiles["weekday_hours_online"], strict=True))
    devices = dict(zip(block.users, block.profiles["device_usage"], strict=True))

    for event in events(300, population=population):
        found = parsed(event)
        assert isinstance(found, UserEvent)
        assert found.data.weekday_hours_online == pytest.approx(known[found.subject], rel=0.5, abs=0.2)
        assert found.data.device_usage == devices[found.subject]


def test_all_users_are_drawn() -> None:
    users = Counter(event.record.key for event in events(2_000, population=Population(users=100)))

    assert len(users) == 100


def test_events_of_a_population_of_noise_are_accepted_too() -> None:
    for event in events(200, population=Population(structure=Structure.NOISE)):
        assert isinstance(parsed(event), UserEvent)
