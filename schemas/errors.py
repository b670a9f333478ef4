"""What can be wrong with a profile class."""


class ProfileClassError(ValueError):
    """A profile class cannot be loaded, or its fields do not say what they are."""
