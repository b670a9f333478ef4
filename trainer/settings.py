"""What the environment says to the trainer: the two settings that it shares with the worker."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class TrainerSettings(BaseSettings):
    """Defaults of --models and --profile: MODELS_DIR and PROFILE_CLASS, from the environment or from .env."""

    # As the worker reads them, so that both find the same store.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True
    )

    models_dir: Path = Path("model-store")
    profile_class: str = "schemas:UserProfile"
