"""A promotion or a rollback reaches a running worker: looked for at intervals, taken up between two batches."""

from __future__ import annotations

import threading
from dataclasses import replace
from hashlib import sha256
from typing import Final

import structlog

from models.errors import AliasNotFound, ModelError
from models.version_folder import Signature
from schemas.roles import profile_fields
from worker.operations.metrics import Metrics
from worker.served_model import ServedModel, advice, model_store
from worker.settings import Settings
from worker.stream.processor import Scoring

_CLOSE_S: Final = 1.0

_log = structlog.get_logger()


def tell_loaded(model: ServedModel, settings: Settings, metrics: Metrics, before: str | None = None) -> None:
    """Name in the log and in the metrics what is served from now on, and what was before."""
    segmentation = model.stored.segmentation
    fields = [field.name for field in profile_fields(model.profile_class)]
    metrics.model_loaded(model.version, segmentation.digest, segmentation.names, fields)
    _log.info(
        "model_loaded",
        version=model.version,
        before=before,
        segments=segmentation.k,
        verdict=model.stored.manifest.verdict,
        signature="verified" if model.signatures is Signature.VERIFIED else "not checked",
        # The least that MODEL_MIN_SEQUENCE may ask for from now on; none where nothing is signed.
        sequence=model.stored.sequence,
    )
    for line in advice(model, settings):
        _log.warning("signatures_not_checked", finding=line)


class PromotionWatch:
    """Looks every MODEL_POLL_S, on a thread of its own, which version the alias names; the loop asks for the scoring.

    What is refused at a start is refused here, and so is a history that is not the one seen before. The model in hand
    then goes on, and the log says why, once for each reason.
    """

    def __init__(self, settings: Settings, model: ServedModel, scoring: Scoring, metrics: Metrics) -> None:
        self._settings = settings
        self._model = model
        # One attribute that this thread swaps and the loop's reads, once a batch: no batch is scored by two models.
        self._scoring = scoring
        self._metrics = metrics
        # Of the history, whether or not what it says could be loaded: an older state stays an older state.
        self._seen = model.stored.seen
        self._followed: bytes | None = None
        self._refused_for = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="promotions", daemon=True)

    @property
    def scoring(self) -> Scoring:
        """With the model for the next batch."""
        return self._scoring

    def start(self) -> None:
        """Look from now on, at intervals; not at all where MODEL_POLL_S is 0."""
        if self._settings.model_poll_s:
            # The start was the first look.
            self._metrics.store_looked_at(refused=False)
            self._thread.start()

    def close(self) -> None:
        """Look no more; a look that waits for a store that does not answer is left behind."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def look(self) -> None:
        """Take up what the alias names now, or stay with the model in hand and say why; never raises."""
        try:
            model = self._named()
            if model is not self._model:
                before, self._model = self._model.version, model
                self._scoring = replace(self._scoring, model=model.stored)
                tell_loaded(model, self._settings, self._metrics, before)
            elif self._refused_for:
                _log.info("promotions_followed_again")
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a new model, the one in hand is right
            self._refuse(error)
        else:
            self._refused_for = ""
        self._metrics.store_looked_at(refused=bool(self._refused_for))

    def _named(self) -> ServedModel:
        """The model that the alias names now, checked as at a start; the one in hand where it is that."""
        with model_store(self._settings, self._model.keys) as store:
            content = store.history_content()
            digest = sha256(content).digest()
            if digest == self._followed:
                return self._model  # without a second look at each signature
            self._followed = None
            history = store.history_after(self._seen, content)
            self._seen = history.last
            entry, model, stored = history.current(self._settings.model_alias), self._model, self._model.stored
            if entry is None:
                raise AliasNotFound(
                    f"{store.root} names no version {self._settings.model_alias!r} any more: restore aliases.jsonl"
                )
            if (entry.version, entry.model_digest) != (stored.manifest.id, stored.segmentation.digest):
                stored = store.load_named(self._settings.model_alias, history)
                model = replace(model, stored=stored, signatures=store.signatures())
        stored.manifest.check_profile(model.profile_class)
        self._followed = digest
        return model

    def _refuse(self, error: Exception) -> None:
        if repr(error) == self._refused_for:
            return
        self._refused_for = repr(error)
        if isinstance(error, ModelError):
            because = str(error)
        else:
            _log.error("unexpected_error", exc_info=error)
            because = f"unexpected {type(error).__name__}, a defect of this program: report it with the log"
        _log.error("promotion_refused", because=because, goes_on_with=self._model.version)

    def _watch(self) -> None:
        while not self._closed.wait(self._settings.model_poll_s):
            self.look()
