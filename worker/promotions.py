"""A promotion or a rollback reaches a running worker: looked for at intervals, taken up between two batches."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final

import structlog

from models.version_folder import Signature
from schemas.roles import profile_fields
from worker.endings import told
from worker.metrics import Metrics
from worker.model import ServedModel, follow
from worker.process import Scoring
from worker.settings import Settings

# Of one processor, for a history so long that it takes seconds to check its signatures.
_LARGEST_SHARE: Final = 0.05

_log = structlog.get_logger()


def tell_loaded(model: ServedModel, metrics: Metrics) -> None:
    """Name in the log and in the metrics what is served from now on."""
    segmentation = model.stored.segmentation
    fields = [field.name for field in profile_fields(model.profile_class)]
    metrics.model_loaded(model.version, segmentation.digest, segmentation.names, fields)
    _log.info(
        "model_loaded",
        version=model.version,
        segments=segmentation.k,
        verdict=model.stored.manifest.verdict,
        signature="verified" if model.signatures is Signature.VERIFIED else "not checked",
        # The least that MODEL_MIN_SEQUENCE may ask for from now on; none where nothing is signed.
        sequence=model.stored.sequence,
    )


class PromotionWatch:
    """Looks every MODEL_POLL_S, on a thread of its own, which version the alias names; the loop asks for the scoring.

    What is refused at a start is refused here, and so is a history that does not continue the one seen before. The
    model in hand then goes on, and the log says why, once for each reason.
    """

    def __init__(self, settings: Settings, model: ServedModel, scoring: Scoring, metrics: Metrics) -> None:
        self._settings = settings
        self._model = model
        # One attribute that this thread swaps and the loop's reads, once a batch: no batch is scored by two models.
        self._scoring = scoring
        self._metrics = metrics
        self._refused_for = ""
        self._closed = threading.Event()

    @property
    def scoring(self) -> Scoring:
        """With the model for the next batch."""
        return self._scoring

    def start(self) -> None:
        """Look from now on, at intervals; not at all where MODEL_POLL_S is 0."""
        if self._settings.model_poll_s:
            threading.Thread(target=self._watch, name="promotions", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def look(self) -> None:
        """Take up what the alias names now, or stay with the model in hand and say why."""
        try:
            model = follow(self._settings, self._model)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a new model, the one in hand is right
            self._refuse(error)
            return
        if self._refused_for:
            _log.info("promotions_followed_again")
        self._refused_for = ""
        self._metrics.store_looked_at(refused=False)
        before, self._model = self._model.version, model
        if model.version != before:
            self._scoring = replace(self._scoring, model=model.stored)
            tell_loaded(model, self._metrics)

    def _refuse(self, error: Exception) -> None:
        self._metrics.store_looked_at(refused=True)
        if repr(error) != self._refused_for:
            _, because = told(error)
            _log.error("promotion_refused", because="; ".join(because), goes_on_with=self._model.version)
        self._refused_for = repr(error)

    def _watch(self) -> None:
        wait_s = self._settings.model_poll_s
        while not self._closed.wait(wait_s):
            begun_s = time.monotonic()
            self.look()
            wait_s = max(self._settings.model_poll_s, (time.monotonic() - begun_s) / _LARGEST_SHARE)
