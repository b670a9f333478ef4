"""A model for programs that do not have this project."""
