"""Are they the same ones as last time: matching, stable numbers, who moves."""
