"""The events, profiles and rejection reasons that trainer, worker and other services share."""

from schemas.profile import UserProfile

__all__ = ["UserProfile"]
