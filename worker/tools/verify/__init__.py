"""`segment-worker verify`."""
