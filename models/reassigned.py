"""How many users change their segment when one version replaces another, and how many may."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import PromotionRefused
from models.manifest import Manifest, Reassigned
from models.segmentation import Segmentation


@dataclass(frozen=True, slots=True)
class ReassignedLimit:
    """How many users may change their segment at a promotion."""

    most: float
    """Greatest share, 0 to 1."""
    measured: Reassigned | None
    """Measured for this promotion; None: as the store knows it."""


def same_but_names(one: Segmentation, other: Segmentation) -> bool:
    """Whether both put every user into the segment of the same number."""
    places = ({segment.number: segment.centroid for segment in model.segments} for model in (one, other))
    return one.encoder == other.encoder and next(places) == next(places)


def check_reassigned(manifest: Manifest, in_force: str, found: Reassigned | None, limit: ReassignedLimit) -> None:
    """Raise PromotionRefused when more users would move than the limit allows, or nobody knows how many."""
    if found is None or found.against != in_force:
        earlier = found or manifest.reassigned
        known = "was never measured" if earlier is None else f"was measured against {earlier.against}"
        raise PromotionRefused(
            f"how many users change their segment when {manifest.id} replaces {in_force}, which is in force, is not "
            f"known (it {known}): name a history to measure it on with --data FILE"
        )
    if found.share > limit.most:
        raise PromotionRefused(
            f"{found.users:,} of {found.compared:,} users ({found.share:.1%}) would change their segment when "
            f"{manifest.id} replaces {in_force}, at most {limit.most:.1%} may: see where they go with "
            f"`segment-trainer compare {in_force} {manifest.id} DATA.csv`, or give a higher --max-reassigned"
        )
