"""Follows promotions and rollbacks in a running worker: checks at intervals, and switches between two batches."""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import replace
from hashlib import sha256
from typing import Final

import structlog

from models.errors import AliasNotFound, ModelError
from models.version_folder import Signature
from schemas.roles import profile_fields
from worker.operations.metrics import Metrics
from worker.served_model import ServedModel, model_store, signature_warnings
from worker.settings import Settings
from worker.stream.processor import Scoring
from worker.stream.records import Membership

ASSIGNMENT_CHECK_S: Final = 2.0
"""How long the first batch of a new assignment waits for a check of the alias."""
_CLOSE_S: Final = 1.0

_log = structlog.get_logger()


def report_loaded(model: ServedModel, settings: Settings, metrics: Metrics, before: str | None = None) -> None:
    """Report the version that is served from now on, in the log and in the metrics."""
    segmentation = model.stored.segmentation
    fields = profile_fields(model.profile_class)
    # Of a field without a column, no value counts as missing.
    columns = {column.name for column in segmentation.encoder.columns}
    in_training = model.stored.manifest.missing
    metrics.model_loaded(
        model.version,
        segmentation.digest,
        segmentation.names,
        [field.name for field in fields],
        {field.name: in_training.get(field.name, 0.0) for field in fields if field.optional and field.name in columns},
    )
    _log.info(
        "model_loaded",
        version=model.version,
        before=before,
        segments=segmentation.k,
        verdict=model.stored.manifest.verdict,
        signature="verified" if model.signatures is Signature.VERIFIED else "not checked",
        # The highest MODEL_MIN_SEQUENCE that this history satisfies; None without signatures.
        sequence=model.stored.sequence,
    )
    for line in signature_warnings(model, settings):
        _log.warning("signatures_not_checked", finding=line)


class PromotionWatch:
    """Checks every MODEL_POLL_S, on a thread of its own, which version the alias names; the loop asks for the scoring.

    It refuses what a start refuses, and also a history that does not continue the one seen before. The worker then
    keeps the current model, and the log says why, once for each reason.
    """

    def __init__(self, settings: Settings, model: ServedModel, scoring: Scoring, metrics: Metrics) -> None:
        self._settings = settings
        self._model = model
        # One attribute that this thread swaps and the loop reads, once per batch: no batch is scored by two models.
        self._scoring = scoring
        self._metrics = metrics
        # The last entry seen, even if its version could not be loaded: an older state is refused in any case.
        self._seen = model.stored.seen
        self._followed: bytes | None = None
        self._refused_for = ""
        self._membership: Membership | None = None
        # Each event is set when a check that began after it was queued is over.
        self._asked: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="promotions", daemon=True)

    @property
    def scoring(self) -> Scoring:
        """With the model for the next batch."""
        return self._scoring

    def scoring_for(self, membership: Membership) -> Scoring:
        """With the model for the next batch, which was read under this membership; for the loop's thread only.

        A new membership can bring a partition from a worker that switched to a new version already. The alias is
        checked first then, or results of that partition would go from new to old to new. A model store that does not
        answer in ASSIGNMENT_CHECK_S must not stop the events: the batch is scored with the current model.
        """
        if membership != self._membership:
            self._membership = membership
            self._check_now()
        return self._scoring

    def start(self) -> None:
        """Check from now on, at intervals; not at all where MODEL_POLL_S is 0."""
        if self._settings.model_poll_s:
            # The start was the first check.
            self._metrics.store_checked(refused=False)
            self._thread.start()

    def close(self) -> None:
        """Stop checking; a check that waits for a model store that does not answer is left behind."""
        self._closed.set()
        if self._thread.is_alive():
            self._asked.put(threading.Event())
            self._thread.join(_CLOSE_S)

    def check(self) -> None:
        """Switch to the version that the alias names now, or keep the current one and say why; never raises."""
        try:
            model = self._named()
            if model is not self._model:
                before, self._model = self._model.version, model
                self._scoring = replace(self._scoring, model=model.stored)
                report_loaded(model, self._settings, self._metrics, before)
            elif self._refused_for:
                _log.info("promotions_resumed")
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a new model, the current one is right
            self._refuse(error)
        else:
            self._refused_for = ""
        self._metrics.store_checked(refused=bool(self._refused_for))

    def _named(self) -> ServedModel:
        """The model that the alias names now, checked as at a start; the current one if that is it."""
        with model_store(self._settings, self._model.keys) as store:
            content = store.history_content()
            digest = sha256(content).digest()
            if digest == self._followed:
                return self._model  # without verifying each signature again
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
            because = f"unexpected {type(error).__name__} (this is a bug: please report it with the log)"
        _log.error("promotion_refused", because=because, keeps=self._model.version)

    def _check_now(self) -> None:
        if self._thread.is_alive():
            checked = threading.Event()
            self._asked.put(checked)
            if not checked.wait(ASSIGNMENT_CHECK_S):
                _log.warning("promotion_check_slow", waited_s=ASSIGNMENT_CHECK_S, keeps=self._model.version)

    def _watch(self) -> None:
        while True:
            asked: threading.Event | None = None
            with contextlib.suppress(queue.Empty):
                asked = self._asked.get(timeout=self._settings.model_poll_s)
            if self._closed.is_set():
                return
            self.check()
            if asked is not None:
                asked.set()
