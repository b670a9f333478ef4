"""`segment-worker asyncapi`: the AsyncAPI document of the topics that are set."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import orjson

from schemas.asyncapi import asyncapi_document
from schemas.release import release
from schemas.roles import load_profile_class
from worker.errors import ExitStatus
from worker.input_settings import input_format
from worker.settings_loading import load_settings


def run(flags: Mapping[str, str]) -> ExitStatus:
    """Print the document. Raises SettingsError and ProfileClassError."""
    settings = load_settings(flags)
    document = asyncapi_document(
        load_profile_class(settings.profile_class),
        settings.worker_input_topic,
        settings.worker_output_topic,
        settings.worker_rejected_topic,
        release(),
        settings.worker_current_topic,
        input_format(settings),
    )
    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
    return ExitStatus.DONE
