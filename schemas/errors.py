"""The errors of profile classes."""


class ProfileClassError(ValueError):
    """A profile class cannot be loaded, or one of its fields has no usable role."""
