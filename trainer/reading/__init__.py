"""From a file to a checked history on disk, of which nothing is left afterwards."""
