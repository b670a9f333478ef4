"""The trainer's settings: the model store, the profile class, and the keys."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.limits import MAX_SEQUENCE
from models.store_path import StorePath


class TrainerSettings(BaseSettings):
    """Settings from the environment or from .env, with the worker's names; only the trainer has the private key."""

    # As the worker reads them, so that both find the same store.
    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    models_dir: StorePath = Path("model-store")
    profile_class: str = "schemas:UserProfile"
    model_signing_key: SecretStr | None = None
    model_public_key: str | None = None
    model_min_sequence: int = Field(0, ge=0, le=MAX_SEQUENCE)
