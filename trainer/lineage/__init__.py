"""How the segments of a new version continue those of production."""
