"""Everything that people read in a terminal or report."""
