"""The history of the aliases: what is accepted with trusted keys, and what is refused."""

import os
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import HistoryRolledBack, ModelError, NotSigned, PromotionRefused
from models.manifest import Verdict
from models.promotion_history import AliasEntry, AliasFile
from models.signing import SigningKey
from tests.support.fitted import NOON
from tests.support.signed import new_key

KEY = new_key()


def entry(number: int, alias: str = "production") -> AliasEntry:
    """A promotion that differs from all others."""
    return AliasEntry(
        at=NOON + timedelta(seconds=number),
        alias=alias,
        action="promote",
        version=f"20261124T120000Z-{number:08x}",
        model_digest=f"{number:064x}",
        previous=None,
        verdict=Verdict.CLEAR,
        accepted_no_structure=False,
    )


def trusting(path: Path, *keys: SigningKey, minimum: int = 0) -> AliasFile:
    """The file as a worker with these keys sees it."""
    return AliasFile(
        path, KEY.public if not keys else type(KEY.public)(tuple(k.key.public_key() for k in keys)), minimum
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "aliases.jsonl"


def signed_lines(path: Path, count: int, key: SigningKey = KEY) -> list[bytes]:
    """Append so many entries with sequences that follow, and return all lines."""
    for number in range(1, count + 1):
        trusting(path, key).append(entry(number), key)
    return lines(path)


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def sequences(file: AliasFile) -> list[int | None]:
    return [each.sequence for each in file.read().entries]


def test_each_entry_has_the_next_sequence_over_all_aliases_and_is_read_as_it_was(path: Path) -> None:
    written = [
        trusting(path).append(entry(number, alias), KEY) for number, alias in enumerate(["production", "canary"] * 2)
    ]
    history = trusting(path).read()
    assert history.entries == tuple(written)
    assert [each.sequence for each in written] == [1, 2, 3, 4]
    assert (history.current("production"), history.sequence) == (written[2], 4)


def test_without_keys_a_signed_history_is_read_too(path: Path) -> None:
    signed_lines(path, 3)
    assert sequences(AliasFile(path, None, 0)) == [1, 2, 3]


def test_without_keys_entries_have_no_sequence_and_no_signature(path: Path) -> None:
    written = AliasFile(path, None, 0).append(entry(1), None)
    assert written.sequence is None
    assert (b"sequence" in path.read_bytes(), b"signature" in path.read_bytes()) == (False, False)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_an_entry_that_was_altered_is_refused_before_it_is_parsed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_lines(path, 2)
    path.write_bytes(path.read_bytes().replace(b"00000002", b"00000001"))
    parsed: list[bytes] = []
    parse = AliasEntry.model_validate_json

    def watched(body: bytes) -> AliasEntry:
        parsed.append(body)
        return parse(body)

    monkeypatch.setattr(AliasEntry, "model_validate_json", watched)
    with pytest.raises(NotSigned, match=r"line 2 of .*aliases.jsonl is not signed by a key of MODEL_PUBLIC_KEY"):
        trusting(path).read()
    assert [b"00000001" in body for body in parsed] == [True], "the first line only"


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ([0, 1, 2, 0], "line 4 of .* has sequence 1, expected 4"),
        ([0, 1, 2, 2], "line 4 of .* has sequence 3, expected 4"),
        ([0, 2, 1], "line 2 of .* has sequence 3, expected 2"),
        ([0, 2], "line 2 of .* has sequence 3, expected 2"),
        ([1, 2, 0], "line 3 of .* has sequence 1, expected 4"),
    ],
    ids=["an old one again", "the last one again", "two exchanged", "one missing", "the first one last"],
)
def test_repeated_reordered_or_removed_entries_are_refused(path: Path, order: list[int], reason: str) -> None:
    written = signed_lines(path, 3)
    path.write_bytes(b"".join(written[place] for place in order))
    with pytest.raises(HistoryRolledBack, match=reason):
        trusting(path).read()


def test_an_older_state_below_the_minimum_sequence_is_refused(path: Path) -> None:
    written = signed_lines(path, 3)
    path.write_bytes(b"".join(written[:2]))
    assert sequences(trusting(path)) == [1, 2], "undetectable without a minimum sequence"
    assert sequences(trusting(path, minimum=2)) == [1, 2]
    with pytest.raises(
        HistoryRolledBack, match=r"ends at sequence 2, MODEL_MIN_SEQUENCE is 3: .* restore the newest one"
    ):
        trusting(path, minimum=3).read()
    # A trainer with that minimum does not sign a second entry of that number either.
    with pytest.raises(HistoryRolledBack):
        trusting(path, minimum=3).append(entry(9), KEY)


def test_a_lost_history_restarts_above_the_minimum_sequence(path: Path) -> None:
    old = signed_lines(path, 3)
    path.unlink()
    assert trusting(path, minimum=3).append(entry(4), KEY).sequence == 4
    assert sequences(trusting(path, minimum=4)) == [4]
    path.write_bytes(b"".join(old))
    with pytest.raises(HistoryRolledBack):
        trusting(path, minimum=4).read()


def test_an_unsigned_line_after_a_signed_one_is_refused(path: Path) -> None:
    signed_lines(path, 1)
    with path.open("ab") as file:
        file.write(entry(2).model_dump_json(exclude={"sequence"}).encode() + b"\n")
    with pytest.raises(NotSigned, match="line 2 of"):
        trusting(path).read()


def test_no_unsigned_entry_is_appended_to_a_signed_history(path: Path) -> None:
    before = signed_lines(path, 1)
    with pytest.raises(PromotionRefused, match=r"are signed, and a worker with the key .*: set MODEL_SIGNING_KEY"):
        AliasFile(path, None, 0).append(entry(2), None)
    assert lines(path) == before


def test_unsigned_lines_before_the_first_signed_one_are_ignored(path: Path) -> None:
    unsigned = AliasFile(path, None, 0)
    for number in (1, 2):
        unsigned.append(entry(number), None)
    with pytest.raises(NotSigned, match=r"holds 2 entries, none of them signed .*: give the key .* or promote"):
        trusting(path).read()
    assert trusting(path).append(entry(3), KEY).sequence == 1
    history = trusting(path).read()
    assert ([each.version for each in history.entries], history.distrusted) == ([entry(3).version], 2)
    assert len(unsigned.read().entries) == 3


@pytest.mark.parametrize(
    ("kept", "before", "beginning"),
    [
        (4, b"", None),
        (2, b"", "begins at sequence 3; no lines before it"),
        (2, b"junk\n" * 2, "begins at sequence 3; 2 lines before it are not signed by a key of MODEL_PUBLIC_KEY"),
        (4, b"junk\n", "begins at sequence 1; 1 line before it is not signed by a key of MODEL_PUBLIC_KEY"),
    ],
    ids=["whole", "cut off", "overwritten", "from before there were signatures"],
)
def test_a_history_with_a_cut_off_or_overwritten_beginning_is_read_and_reports_it(
    path: Path, kept: int, before: bytes, beginning: str | None
) -> None:
    path.write_bytes(before + b"".join(signed_lines(path, 4)[-kept:]))
    history = trusting(path, minimum=4).read()
    assert (history.sequence, history.beginning) == (4, beginning)


def test_an_unsigned_history_reports_no_beginning(path: Path) -> None:
    file = AliasFile(path, None, 0)
    assert file.read().beginning is None
    file.append(entry(1), None)
    assert file.read().beginning is None


def test_unsigned_bytes_are_never_parsed(path: Path) -> None:
    path.write_bytes(b"[" * 1_000 + b"\n\xff\n\n" + b"9" * 1_999 + b"\n")
    with pytest.raises(NotSigned, match="holds 4 entries"):
        trusting(path).read()
    assert trusting(path).append(entry(1), KEY).sequence == 1
    assert trusting(path).read().distrusted == 4


def test_lines_signed_with_an_old_key_count_while_it_is_trusted(path: Path) -> None:
    new = new_key()
    signed_lines(path, 2)
    trusting(path, KEY, new).append(entry(3), new)
    assert sequences(trusting(path, KEY, new)) == [1, 2, 3]
    assert sequences(trusting(path, new)) == [3]
    with pytest.raises(NotSigned, match=r"line 3 of .*: add the new key if keys were rotated"):
        trusting(path, KEY).read()


def test_a_signature_of_another_line_is_invalid(path: Path) -> None:
    first, second = signed_lines(path, 2)
    cut = first.index(b',"signature"')
    path.write_bytes(first[:cut] + second[second.index(b',"signature"') :])
    with pytest.raises(NotSigned, match="none of them signed"):
        trusting(path).read()


@pytest.fixture(scope="module")
def four_lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    path = tmp_path_factory.mktemp("mutated") / "aliases.jsonl"
    return path, signed_lines(path, 4)


@given(data=st.data())
def test_after_any_change_to_the_bytes_only_consecutive_entries_are_accepted(
    four_lines: tuple[Path, list[bytes]], data: st.DataObject
) -> None:
    path, written = four_lines
    whole = b"".join(written)
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "shuffle"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    if kind == "flip":
        content = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    elif kind == "cut":
        content = whole[:at] + whole[data.draw(st.integers(at, len(whole))) :]
    elif kind == "insert":
        content = whole[:at] + data.draw(st.binary(max_size=50)) + whole[at:]
    else:
        content = b"".join(data.draw(st.lists(st.sampled_from(written), max_size=6)))
    path.write_bytes(content)
    try:
        found = sequences(trusting(path))
    except (NotSigned, HistoryRolledBack):
        return
    assert not found or found == [*range(found[0] or 0, (found[-1] or 0) + 1)]
    assert set(found) <= {1, 2, 3, 4}


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_history_that_is_not_a_regular_file_is_refused_at_once(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ModelError, match=r"aliases.jsonl cannot be read \(it is not a regular file\)"):
        trusting(path).read()
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ModelError, match=r"aliases.jsonl cannot be read \(it is a link\)"):
        AliasFile(path, None, 0).read()


def test_a_history_that_is_too_large_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_lines(path, 3)
    monkeypatch.setattr("models.promotion_history.HISTORY_MAX_BYTES", 1_000)
    with pytest.raises(ModelError, match=r"cannot be read \(it has [0-9,]+ bytes, at most 1,000 are read\)"):
        trusting(path).read()


def test_a_line_that_is_too_long_is_refused(path: Path) -> None:
    signed_lines(path, 1)
    path.write_bytes(b"x" * 2_001 + b"\n" + path.read_bytes())
    with pytest.raises(ModelError, match="more than 10,000 lines, or a line of more than 2,000 bytes"):
        trusting(path).read()


def test_a_full_history_refuses_a_promotion_and_says_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.promotion_history.HISTORY_MAX_ENTRIES", 3)
    signed_lines(path, 3)
    assert sequences(trusting(path)) == [1, 2, 3]
    with pytest.raises(PromotionRefused, match="has 3 entries, the maximum: move it away"):
        trusting(path).append(entry(4), KEY)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ModelError, match="more than 3 lines"):
        trusting(path).read()


def test_a_file_of_empty_lines_takes_little_more_memory_than_its_size(path: Path) -> None:
    size = 9_000_000
    path.write_bytes(b"\n" * size)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="more than 10,000 lines"):
            trusting(path).read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * size


@pytest.mark.parametrize("value", ["9" * 400, "[" * 400, '"x"'], ids=["giant", "deep", "text"])
def test_without_trusted_keys_a_hostile_line_is_reported_as_damage(path: Path, value: str) -> None:
    body = entry(1).model_dump_json(exclude={"sequence"})
    path.write_text(f'{body[:-1]},"sequence":{value}}}\n')
    with pytest.raises(ModelError, match=r"aliases.jsonl is damaged"):
        AliasFile(path, None, 0).read()


def test_a_history_that_begins_with_a_rollback_keeps_its_target(path: Path) -> None:
    back = entry(1).model_copy(update={"action": "rollback"})
    file = trusting(path)
    for each in (back, entry(2)):
        file.append(each, KEY)
    assert [each.version for each in file.read().active_promotions("production")] == [
        back.version,
        entry(2).version,
    ]
