"""`segment-worker check`."""
