"""A fitted segmentation as a value, and the store that keeps its versions."""
