"""What can keep the trainer from doing what was asked."""


class TrainerError(Exception):
    """What was asked cannot be done as it stands; a person must act. Its text says what, where and what to do."""


class HistoryError(TrainerError):
    """A history cannot be read, or has rows that are none."""


class ScratchError(TrainerError):
    """There is no room for what a command keeps on disk while it runs."""


class FitRefused(TrainerError):
    """A history is read, but there is nothing in it to segment as asked."""


class OutputError(TrainerError):
    """A result cannot be written where it was asked for."""


class NameRefused(TrainerError):
    """A segment cannot have the name that was given."""


class ExportRefused(TrainerError):
    """A model cannot be exported in this form, or the file would not do what the model does."""
