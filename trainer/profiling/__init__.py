"""From a table that nobody prepared to a draft of its profile class."""
