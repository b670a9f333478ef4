"""Are the segments real: the same search in data without segments, users drawn again, and gaps."""
