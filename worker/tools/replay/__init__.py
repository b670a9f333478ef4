"""`segment-worker replay`."""
