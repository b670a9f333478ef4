"""The findings as a page and its pictures."""
