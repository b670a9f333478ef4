"""The errors of stored models."""


class ModelError(Exception):
    """A stored model cannot be used, or the store cannot do what was asked; a human must act."""


class ModelFormatError(ModelError):
    """A model's bytes are not in the format that this release writes."""


class OlderFormat(ModelFormatError):
    """A file has an earlier format than this release reads: its version must be fitted again."""


class NewerFormat(ModelFormatError):
    """A file has a later format than this release reads: this program must be upgraded."""


def require_format(file: str, found: int, supported: int) -> None:
    """Raise OlderFormat or NewerFormat, naming the file and both formats, unless this release reads the format."""
    reason = f"{file} has format {found!r:.40}, this release reads format {supported}"
    if found < supported:
        raise OlderFormat(f"{reason}: fit again with this release")
    if found > supported:
        raise NewerFormat(f"{reason}: upgrade this program")


class VersionNotFound(ModelError):
    """The store has no version of this id."""


class VersionDamaged(ModelError):
    """A file of a version is missing or is not what was published."""


class AliasNotFound(ModelError):
    """No version has been promoted under this alias."""


class ProfileMismatch(ModelError):
    """A model was fitted for a profile class other than the one in use."""


class PromotionRefused(ModelError):
    """A version may not be promoted as it is, or there is nothing to roll back to."""


class PublishFailed(ModelError):
    """A version could not be written; no partial version was left behind."""


class NotSigned(ModelError):
    """A version or an alias entry is not signed by a trusted key."""


class HistoryRolledBack(ModelError):
    """The history of the aliases was restored to an older state, or signed entries are missing or out of order."""


class KeyUnusable(ModelError):
    """A key is missing, malformed, or stored in a forbidden place."""
