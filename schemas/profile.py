"""The profile of a user: the one place that lists the fields."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, FailFast, Field

from schemas.roles import category, number, ordered, several_of

# JSON has one number type, so a count is a float that is a multiple of one: 5640.0 is valid, 5640.5 is not.
# Strict: a string or a boolean is never a number.
Count = Annotated[float, Field(strict=True, ge=0, multiple_of=1, allow_inf_nan=False)]
Hours = Annotated[float, Field(strict=True, ge=0, le=24, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Label = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
# One bad item is enough to reject an event, and a list of a million bad ones must not cost a million error reports.
Labels = Annotated[tuple[Label, ...], Field(max_length=1000), FailFast()]


class UserProfile(BaseModel):
    """A user's profile at one time; events use the field names, histories the aliases."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=False, extra="ignore")

    history_id_column: ClassVar[str] = "User ID"

    age: Annotated[Label, ordered("demographic", "18-24", "25-34", "35-44", "45-54", "55-64", "65+")] = Field(
        alias="Age"
    )
    gender: Annotated[Label, category("demographic")] = Field(alias="Gender")
    location: Annotated[Label, category("demographic")] = Field(alias="Location")
    language: Annotated[Label, category("demographic")] = Field(alias="Language")
    education_level: Annotated[
        Label, ordered("demographic", "High School", "Technical", "Bachelor", "Master", "PhD")
    ] = Field(alias="Education Level")
    likes_and_reactions: Annotated[Count, number("behaviour")] = Field(alias="Likes and Reactions")
    followed_accounts: Annotated[Count, number("behaviour")] = Field(alias="Followed Accounts")
    device_usage: Annotated[Label, category("device")] = Field(alias="Device Usage")
    weekday_hours_online: Annotated[Hours, number("behaviour")] = Field(
        alias="Time Spent Online (hrs/weekday)", description="Hours online on a weekday, per day."
    )
    weekend_hours_online: Annotated[Hours, number("behaviour")] = Field(
        alias="Time Spent Online (hrs/weekend)", description="Hours online on a day of the weekend, per day."
    )
    click_through_rate: Annotated[Fraction, number("behaviour")] = Field(
        alias="Click-Through Rates (CTR)", description="Clicks per advertisement shown, a fraction."
    )
    conversion_rate: Annotated[Fraction, number("behaviour")] = Field(
        alias="Conversion Rates", description="Conversions per advertisement clicked, a fraction."
    )
    ad_interaction_seconds: Annotated[Count, number("behaviour")] = Field(alias="Ad Interaction Time (sec)")
    income_level: Annotated[
        Label, ordered("demographic", "0-20k", "20k-40k", "40k-60k", "60k-80k", "80k-100k", "100k+")
    ] = Field(alias="Income Level")
    top_interests: Annotated[Labels, several_of("interest")] = Field(
        alias="Top Interests", description="May be empty. In a history: separated by commas."
    )
