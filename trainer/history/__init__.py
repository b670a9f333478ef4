"""From a file to a validated history."""
