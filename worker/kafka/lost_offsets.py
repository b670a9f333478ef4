"""Why a group cannot resume from a committed offset: decided from values, for `run` and `check` alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class LossReason(StrEnum):
    """Why the group cannot resume from its committed offset."""

    RECREATED = "the topic was deleted and recreated"
    DELETED = "the offset was deleted while this worker ran"
    OUT_OF_RANGE = "retention deleted records, or transaction markers, before this group read them"
    TRUNCATED = "the log lost records that were already processed, as after an unclean leader election"
    UNKNOWN = "the topic was recreated, or lost records that were already processed"


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """What the group committed for one partition."""

    offset: int
    topic_id: str
    """The topic that the offset belongs to; empty where it was set by hand, or by brokers without topic ids."""


@dataclass(frozen=True, slots=True)
class LostOffset:
    """A committed offset of the input topic that the group cannot resume from."""

    partition: int
    offset: int | None
    """None where it is not known."""
    log_start: int
    log_end: int
    reason: LossReason

    @property
    def only_by_hand(self) -> bool:
        """Whether a person must choose the offset: from the log's start, processed records would be processed again."""
        return self.reason is LossReason.TRUNCATED

    @property
    def description(self) -> str:
        """For people: what is lost and why, without the remedy."""
        offset = "committed offset" if self.offset is None else f"committed offset {self.offset}"
        return f"cannot resume from {offset}: the log now spans {self.log_start}–{self.log_end}; {self.reason}"


def loss_reason(
    committed: CommittedOffset, current_topic_id: str, log_start: int, *, beyond_end: bool
) -> LossReason | None:
    """Why the group cannot resume from this offset; None: it can.

    `beyond_end` is whether the log ended before the offset, when a broker refused it or now.
    """
    if is_other_topic(committed.topic_id, current_topic_id):
        return LossReason.RECREATED
    if committed.offset < log_start:
        return LossReason.OUT_OF_RANGE
    if beyond_end:
        return LossReason.TRUNCATED if committed.topic_id else LossReason.UNKNOWN
    return None


def is_other_topic(topic_id: str, current_topic_id: str) -> bool:
    """Whether these are two topics; False where one of the ids is not known."""
    return bool(topic_id and current_topic_id) and topic_id != current_topic_id


def topic_id_in(note: str) -> str:
    """The topic id noted beside a committed offset; empty where the note is missing or is something else."""
    try:
        return str(UUID(note))
    except ValueError:
        return ""
