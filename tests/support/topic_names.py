"""The names of one test's group and topics on a broker that others use at the same time."""

from __future__ import annotations


class TopicNames:
    """The group has the name that the subclass gives, the topics begin with it."""

    name: str

    @property
    def group(self) -> str:
        return self.name

    @property
    def input(self) -> str:
        return f"{self.name}-in"

    @property
    def output(self) -> str:
        return f"{self.name}-out"

    @property
    def rejected(self) -> str:
        return f"{self.name}-rejected"

    @property
    def current(self) -> str:
        """Compacted, and only written to where a test sets it."""
        return f"{self.name}-current"
