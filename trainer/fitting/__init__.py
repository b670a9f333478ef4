"""From a history to centres: which columns count, how many segments, k-means over all users."""
