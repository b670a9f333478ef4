"""`segment-worker try`."""
