"""The history of the aliases: which version was in force when, a line for each promotion and each rollback.

A signed line is JSON whose last field signs all bytes before it. Its entry has a sequence number, counted over the
whole file and not for each alias: so no entry can be taken out of the middle without a gap, whichever alias it is of,
and one number, MODEL_MIN_SEQUENCE, says how much of the file must be there. The first signed entry may have any number:
a history that was lost begins anew above what workers have seen. So nobody can tell that its beginning was cut off, or
overwritten: `AliasHistory.beginning` says where it begins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from models import files
from models.errors import ModelError, NotSigned, PlayedBack, PromotionRefused
from models.limits import HISTORY_LINE_MAX_BYTES, HISTORY_MAX_BYTES, HISTORY_MAX_ENTRIES, MOST_SEQUENCE
from models.manifest import VERSION_PATTERN, Digest, Verdict
from models.signing import PublicKeys, Purpose, SigningKey

ALIAS_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"

_SIGNED_LINE = re.compile(rb'(\{.*),"signature":"([A-Za-z0-9+/]{86}==)"\}')


class AliasEntry(BaseModel):
    """One line of aliases.jsonl: from then on the alias names this version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    alias: str = Field(pattern=ALIAS_PATTERN)
    action: Literal["promote", "rollback"]
    version: str = Field(pattern=VERSION_PATTERN)
    model_digest: Digest
    previous: str | None = Field(pattern=VERSION_PATTERN)
    verdict: Verdict
    accepted_no_structure: bool
    sequence: int | None = Field(default=None, ge=1, le=MOST_SEQUENCE, description="Of a signed entry.")


@dataclass(frozen=True, slots=True)
class AliasHistory:
    """Every entry that counts, of all aliases, oldest first."""

    entries: tuple[AliasEntry, ...] = ()
    distrusted: int = 0
    """Lines before them that no trusted key has signed: from before there were signatures, or from a key of old."""

    @property
    def sequence(self) -> int | None:
        """The number of the last entry; None where entries are not signed."""
        return None if self.last is None else self.last.sequence

    @property
    def signed(self) -> bool:
        """Whether any entry was signed, be it looked at or not."""
        return any(entry.sequence is not None for entry in self.entries)

    @property
    def last(self) -> AliasEntry | None:
        """The newest entry, whichever alias it is of; None when there is none."""
        return self.entries[-1] if self.entries else None

    def continues(self, seen: AliasEntry) -> bool:
        """Whether this is the history that ended with `seen` once; of one without numbers nobody can tell, so True."""
        return seen.sequence is None or seen in self.entries

    @property
    def beginning(self) -> str | None:
        """Where it begins, in words; None where that is number 1 or not signed, and nothing distrusted is before it."""
        first = self.entries[0].sequence if self.entries else None
        if first is None or (first == 1 and not self.distrusted):
            return None
        count = f"{self.distrusted or 'no'} {'line' if self.distrusted == 1 else 'lines'} before it"
        verb = "is" if self.distrusted == 1 else "are"
        return f"begins at sequence {first}; {count}" + (
            f" {verb} not signed by a key of MODEL_PUBLIC_KEY" if self.distrusted else ""
        )

    def of(self, alias: str) -> tuple[AliasEntry, ...]:
        """Every promotion and rollback of an alias, oldest first; the last is in force."""
        return tuple(entry for entry in self.entries if entry.alias == alias)

    def current(self, alias: str) -> AliasEntry | None:
        """The entry in force of an alias; None when nothing was promoted yet."""
        entries = self.of(alias)
        return entries[-1] if entries else None

    def promotions_in_force(self, alias: str) -> tuple[AliasEntry, ...]:
        """The promotions of an alias that have not been rolled back, oldest first."""
        stack: list[AliasEntry] = []
        for entry in self.of(alias):
            if entry.action == "promote":
                stack.append(entry)
                continue
            del stack[-1:]
            if not stack:
                # What it went back to was promoted by an entry that no longer counts.
                stack.append(entry)
        return tuple(stack)

    def aliases(self) -> frozenset[str]:
        """The names of all aliases."""
        return frozenset(entry.alias for entry in self.entries)

    def accepted_without_structure(self) -> frozenset[str]:
        """The versions that some alias was given although no segments were found in their data."""
        return frozenset(entry.version for entry in self.entries if entry.accepted_no_structure)


@dataclass(frozen=True, slots=True)
class AliasFile:
    """aliases.jsonl; whoever appends to it holds the lock of the store."""

    path: Path
    trusted: PublicKeys | None
    """None: signatures are not looked at."""
    least_sequence: int
    """With trusted keys: a history that ends below is an old one."""

    def content(self) -> bytes:
        """The bytes of the file, none where there is none; raises ModelError for what is no such file."""
        try:
            return files.read(self.path, HISTORY_MAX_BYTES)
        except FileNotFoundError:
            return b""
        except PermissionError:  # a matter of the whole store, which whoever opened it can name
            raise
        except OSError as error:
            raise ModelError(
                f"{self.path} cannot be read ({error.strerror}): see what it is, and restore it from a backup"
            ) from error

    def read(self, content: bytes | None = None) -> AliasHistory:
        """The history that these bytes of the file hold, by default as it is now; where keys are trusted, the part that
        they have signed, and no other byte of it is parsed.

        Raises NotSigned where there is a history and nothing of it is signed, or a line is not after one that is;
        PlayedBack for entries that are missing, repeated or in another order, or a history that ends below the least
        sequence; ModelError for a file that is damaged.
        """
        history = self._history(self.content() if content is None else content)
        if history.distrusted and not history.entries:
            raise NotSigned(
                f"{self.path} holds {history.distrusted} entries, none of them signed by a key of MODEL_PUBLIC_KEY: "
                "give the key that signed them, or promote a version with MODEL_SIGNING_KEY"
            )
        return history

    def to_continue(self) -> AliasHistory:
        """The history as `read` gives it; one of which nothing is signed is as good as none."""
        return self._history(self.content())

    def _history(self, content: bytes) -> AliasHistory:
        lines = self._lines(content)
        if self.trusted is None:
            return AliasHistory(tuple(self._parsed(_split(line)[0]) for line in lines))
        history = self._signed(lines, self.trusted)
        if history.sequence is not None and history.sequence < self.least_sequence:
            raise PlayedBack(
                f"{self.path} ends at sequence {history.sequence}, MODEL_MIN_SEQUENCE is {self.least_sequence}: an "
                "older state was put back; restore the newest one, or move it away and promote a version where "
                "MODEL_MIN_SEQUENCE is set, and the history begins anew above it"
            )
        return history

    def append(self, entry: AliasEntry, key: SigningKey | None) -> AliasEntry:
        """Put an entry into force, signed where there is a key, and return it with its sequence number."""
        content = self.content()
        lines = self._lines(content)
        if len(lines) >= HISTORY_MAX_ENTRIES:
            raise PromotionRefused(
                f"{self.path} has {len(lines):,} entries, as many as are read: move it away and promote a version"
                + ("" if key is None else " with MODEL_MIN_SEQUENCE set to the last sequence")
            )
        if key is None:
            if any(_split(line)[1] is not None for line in lines):
                raise PromotionRefused(
                    f"the entries of {self.path} are signed, and no worker that has the key would take one that is "
                    "not: set MODEL_SIGNING_KEY"
                )
            self._write(entry.model_dump_json(exclude={"sequence"}).encode())
            return entry
        last = self._history(content).sequence
        signed = entry.model_copy(update={"sequence": (self.least_sequence if last is None else last) + 1})
        body = signed.model_dump_json().encode()
        signature = key.sign(Purpose.ALIAS_ENTRY, body)
        self._write(body[:-1] + b',"signature":"' + signature + b'"}')
        return signed

    def _signed(self, lines: Iterable[bytes], keys: PublicKeys) -> AliasHistory:
        entries: list[AliasEntry] = []
        distrusted = 0
        for number, line in enumerate(lines, 1):
            body, signature = _split(line)
            if signature is None or not keys.signed(Purpose.ALIAS_ENTRY, body, signature):
                if entries:
                    raise NotSigned(
                        f"line {number} of {self.path} is not signed by a key of MODEL_PUBLIC_KEY, and the one before "
                        "it is: add the new key where keys were changed, or else restore the file from a backup"
                    )
                distrusted += 1
                continue
            entry = self._parsed(body)
            if entries and entry.sequence != (due := (entries[-1].sequence or 0) + 1):
                raise PlayedBack(
                    f"line {number} of {self.path} has sequence {entry.sequence} where {due} is due: old entries were "
                    "played back, or some were removed; restore the file from a backup"
                )
            entries.append(entry)
        return AliasHistory(tuple(entries), distrusted)

    def _lines(self, content: bytes) -> list[bytes]:
        # What follows the last line's end was cut off by a crash while it was written: it never came into force.
        # Counted before they are taken apart: an empty line is one byte here, and sixty as a value.
        too_many = content.count(b"\n") > HISTORY_MAX_ENTRIES
        lines = [] if too_many else content.split(b"\n")[:-1]
        if too_many or any(len(line) > HISTORY_LINE_MAX_BYTES for line in lines):
            raise ModelError(
                f"{self.path} is damaged (more than {HISTORY_MAX_ENTRIES:,} lines, or one of more than "
                f"{HISTORY_LINE_MAX_BYTES:,} bytes): restore it from a backup"
            )
        return lines

    def _parsed(self, body: bytes) -> AliasEntry:
        try:
            return AliasEntry.model_validate_json(body)
        except ValidationError as error:
            raise ModelError(
                f"{self.path} is damaged ({error.error_count()} wrong values in a line): restore it from a backup"
            ) from error

    def _write(self, line: bytes) -> None:
        with files.opened_to_write(self.path) as file:
            file.truncate(file.read(HISTORY_MAX_BYTES).rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        files.sync(self.path.parent)


def _split(line: bytes) -> tuple[bytes, bytes | None]:
    """What is signed, and the signature; the line and None where there is none."""
    match = _SIGNED_LINE.fullmatch(line)
    return (line, None) if match is None else (match[1] + b"}", match[2])
