"""The words that trainer, worker and their neighbours share."""

from schemas.profile import UserProfile

__all__ = ["UserProfile"]
