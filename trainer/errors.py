"""The errors of the trainer."""


class TrainerError(Exception):
    """A command cannot be done; a person must act. The text says what is wrong, where, and what to do."""


class HistoryError(TrainerError):
    """A history cannot be read, or has invalid rows."""


class ScratchError(TrainerError):
    """A temporary file cannot be written."""


class FitRefused(TrainerError):
    """A valid history cannot be segmented with these options."""


class OutputError(TrainerError):
    """A result cannot be written to its path."""


class NameRefused(TrainerError):
    """A segment cannot have this name."""


class ExportRefused(TrainerError):
    """A model cannot be exported in this form, or the file would not give the same results as the model."""
