"""The numbers of signed entries in the history of the aliases; on its own, since settings are read before the rest."""

from typing import Final

# JSON's readers agree on whole numbers up to here.
MOST_SEQUENCE: Final = 2**53 - 1
