"""Input events for tests, as bytes."""

from typing import Any

import orjson

PROFILE: dict[str, Any] = {
    "age": "25-34",
    "gender": "Female",
    "location": "Suburban",
    "language": "Hindi",
    "education_level": "Technical",
    "likes_and_reactions": 5640,
    "followed_accounts": 190,
    "device_usage": "Mobile Only",
    "weekday_hours_online": 4.5,
    "weekend_hours_online": 1.7,
    "click_through_rate": 0.193,
    "conversion_rate": 0.067,
    "ad_interaction_seconds": 25,
    "income_level": "20k-40k",
    "top_interests": ["Digital Marketing"],
}

ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "type": "user.profile.observed.v1",
    "source": "/apps/web",
    "id": "6f9c",
    "subject": "user-1042",
    "time": "2026-11-22T12:00:00.123Z",
}


def event_bytes(profile: dict[str, Any] | None = None, without: str = "", **envelope: Any) -> bytes:
    """An event with these fields of the profile and attributes of the envelope changed, and one field left out."""
    data = {name: value for name, value in {**PROFILE, **(profile or {})}.items() if name != without}
    event = {**ENVELOPE, "data": data, **envelope}
    return orjson.dumps({name: value for name, value in event.items() if name != without})
