"""Are the segments real: the same search in data without segments, bootstrap resamples, and gaps."""
