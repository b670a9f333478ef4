"""What the segments are: what sets each apart, its name, what to do with it, and which fields it is a proxy for."""
