"""The sample divided into segments: what every explanation of them starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.encoding import Floats
from trainer.fitting.sample import Sample
from trainer.fitting.scikit import Labels
from trainer.judging.stability import Resample


@dataclass(frozen=True)
class Division:
    """The sample and its segments, by cluster index from 0, with the stable number of each."""

    sample: Sample
    labels: Labels
    """The cluster of each user of the sample, shape (n,)."""
    resamples: tuple[Resample, ...]
    """Bootstrap resamples, clustered again and matched; at least one."""
    numbers: tuple[int, ...]
    """Cluster index -> stable number."""
    users: tuple[int, ...]
    """Cluster index -> users of the whole history."""

    @property
    def k(self) -> int:
        """How many segments there are."""
        return len(self.numbers)

    @property
    def all_users(self) -> int:
        """Users of the whole history."""
        return sum(self.users)

    @cached_property
    def memberships(self) -> Floats:
        """How often each user is in each segment, shape (1 + resamples, n, k).

        First in the sample itself, where each user is in one segment, once; then in each resample, where a user may be
        drawn several times or not at all.
        """
        rows = len(self.labels)
        drawn = [(np.arange(rows), self.labels), *((each.rows, each.labels) for each in self.resamples)]
        counts = [np.bincount(users * self.k + labels, minlength=rows * self.k) for users, labels in drawn]
        return np.stack(counts).reshape(len(drawn), rows, self.k).astype(np.float64)

    @cached_property
    def by_size(self) -> tuple[int, ...]:
        """The cluster indices, largest segment first."""
        return tuple(sorted(range(self.k), key=lambda index: (-self.users[index], self.numbers[index])))

    def users_at_least(self, sampled: Floats) -> npt.NDArray[np.intp]:
        """A lower bound of users of the history, from counts of sampled users by segment, shape (k,).

        The count itself if the sample is the whole history; otherwise scaled up, less two standard errors of a count.
        """
        in_sample = np.bincount(self.labels, minlength=self.k)
        if self.all_users <= in_sample.sum():
            return sampled.astype(np.intp)
        scale = np.array(self.users) / np.maximum(in_sample, 1)
        sure: Floats = np.maximum(sampled - 2 * np.sqrt(sampled), 0) * scale
        return sure.astype(np.intp)
