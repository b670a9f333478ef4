"""segment-trainer export: a version in a form that other programs run."""

from __future__ import annotations

from schemas.counting import counted
from trainer.exporting.export import Exported
from trainer.text.console import print_facts
from trainer.text.summary import version_of


def print_exported(exported: Exported) -> None:
    """Print what was written, and on how many rows it was tested."""
    tested = counted(exported.rows - exported.on_border, "synthetic row")
    border = f" ({exported.on_border:,} more are too close to a border to compare)" if exported.on_border else ""
    facts = [
        ("form", exported.target.value),
        ("fields", ", ".join(column.name for column in exported.stored.segmentation.encoder.kept)),
        ("tested", f"same segment and distance as the model on {tested}{border}"),
    ]
    print_facts(facts, to_copy=[("version", version_of(exported.stored)), ("file", str(exported.output))])
