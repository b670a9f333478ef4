"""Reads chosen values out of many JSON objects at once, with msgspec classes compiled for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec

from schemas.column_types import OnlyByClass
from schemas.formats.pointers import Pointer, as_text, is_index

REQUIRED: Final = msgspec.NODEFAULT
# Names that values have besides those that are read. What changes from value to value is not worth learning.
_LEARNED_MOST: Final = 64
_LEARNED_CHARACTERS_MOST: Final = 100
_LEARNED_LEVELS: Final = 4


def _any_value(levels: int) -> Any:
    """A type of JSON values that takes none that orjson refuses: as Any, msgspec takes integers of 400 digits."""
    scalar = bool | float | str | None
    return scalar if levels == 0 else scalar | list[_any_value(levels - 1)] | dict[str, _any_value(levels - 1)]  # type: ignore[misc]  # known at run time only


_ANY_VALUE: Final = _any_value(_LEARNED_LEVELS)
# msgspec knows no fields with these in their names.
_UNPLAIN: Final = frozenset({'"', "\\", *map(chr, range(32))})


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value of an object."""

    at: Pointer
    type: Any
    """As msgspec reads it."""
    default: Any = REQUIRED
    fits: Callable[[Any], bool] | None = None
    """What else holds for a value of this type, if something does."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A value that an object must have."""

    at: Pointer
    values: tuple[Any, ...]
    """It is one of these."""
    accepts: Callable[[Any], bool]


@dataclass(slots=True)
class _Slot:
    leaf: Leaf
    wanted: bool


_Node = dict[str, "_Slot | _Node"]


class ObjectReader:
    """Decodes objects that have these values, and gives the columns of them."""

    def __init__(
        self, wanted: Iterable[Leaf], required: Iterable[Leaf], expected: Iterable[Expected], known: Iterable[Leaf]
    ) -> None:
        """The columns are those that are wanted; `known` ones may be there. Raises OnlyByClass where msgspec cannot."""
        root: _Node = {}
        self.fits: list[tuple[Pointer, Callable[[Any], bool]]] = []
        """What must hold for which column."""
        for leaf in wanted:
            _place(root, leaf).wanted = True
            if leaf.fits is not None:
                self.fits.append((leaf.at, leaf.fits))
        for leaf in required:
            _place(root, leaf)
        for each in expected:
            self._expect(root, each)
        for leaf in known:
            root.setdefault(leaf.at[0], _Slot(leaf, wanted=False))
        try:
            closed, opened = (_object(root, closed=closed) for closed in (True, False))
            self.closed, self.open = (msgspec.json.Decoder(type_).decode for type_ in (closed, opened))
        # By msgspec, as of a name with a quotation mark, or an expected integer of 64 bits without a sign.
        except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
            raise OnlyByClass(str(error)) from error
        self.of_document = partial(msgspec.convert, type=opened)
        """Converts an object that is decoded already."""
        add = _columns(root, ())
        if add is None:
            raise OnlyByClass("nothing is read")
        self._add_columns = add
        self._root = root
        self._may_learn = _LEARNED_MOST

    def learn(self, document: Any) -> bool:
        """Let the closed way read values with the names of this one, too; False if there is nothing to learn."""
        names = _learn(self._root, document, self._may_learn)
        if names:
            self._may_learn -= names
            self.closed = msgspec.json.Decoder(_object(self._root, closed=True)).decode
        return names > 0

    def columns(self, objects: Sequence[Any]) -> dict[Pointer, Sequence[Any]]:
        """Of each value that is read, those of all these decoded objects."""
        found: dict[Pointer, Sequence[Any]] = {}
        self._add_columns(objects, found)
        return found

    def _expect(self, root: _Node, expected: Expected) -> None:
        plain = all(type(value) in {str, int, type(None)} for value in expected.values)
        leaf = Leaf(expected.at, Literal[expected.values] if plain else Any)
        slot = _place(root, leaf, shared=True)
        if slot.leaf.default is not REQUIRED:
            raise OnlyByClass(f"{as_text(expected.at)} may be absent in the class")
        # A slot that was there already has a type of its own, which takes other values, too.
        if not plain or slot.leaf is not leaf:
            slot.wanted = True
            self.fits.append((expected.at, expected.accepts))


def _place(root: _Node, leaf: Leaf, *, shared: bool = False) -> _Slot:
    """The slot of a leaf in the tree of names; one that is there already only if it is the same, or may be shared."""
    node = root
    *levels, last = leaf.at or ("",)
    if not leaf.at or any(map(is_index, leaf.at)):
        raise OnlyByClass(f"{as_text(leaf.at) or 'the whole value'} may be in an array")
    for level in levels:
        inner = node.setdefault(level, {})
        if isinstance(inner, _Slot):
            raise OnlyByClass(f"{as_text(leaf.at)} is within another value that is read")
        node = inner
    slot = node.setdefault(last, _Slot(leaf, wanted=False))
    if not isinstance(slot, _Slot):
        raise OnlyByClass(f"another value that is read is within {as_text(leaf.at)}")
    if not shared and (slot.leaf.type, slot.leaf.default) != (leaf.type, leaf.default):
        raise OnlyByClass(f"{as_text(leaf.at)} is read twice, as different types")
    return slot


def _learn(node: _Node, document: Any, most: int) -> int:
    """Add the names of a document that a node does not have; how many there are."""
    added = 0
    for name, value in document.items() if isinstance(document, dict) else ():
        known = node.get(name)
        if isinstance(known, dict):
            added += _learn(known, value, most - added)
        elif known is None and added < most and len(name) <= _LEARNED_CHARACTERS_MOST and _UNPLAIN.isdisjoint(name):
            node[name] = _Slot(Leaf((name,), _ANY_VALUE, None), wanted=False)
            added += 1
    return added


def _object(node: _Node, *, closed: bool) -> type[msgspec.Struct]:
    names = dict(_attributes(node))
    fields = [
        (attribute, each.leaf.type, each.leaf.default)
        if isinstance(each := node[name], _Slot)
        else (attribute, _object(each, closed=closed), REQUIRED)
        for attribute, name in names.items()
    ]
    # Nothing in it can refer back to it, so that garbage collection need not look at it.
    return msgspec.defstruct("Object", fields, kw_only=True, forbid_unknown_fields=closed, gc=False, rename=names)


def _attributes(node: _Node) -> Iterable[tuple[str, str]]:
    return ((f"of_{number}", name) for number, name in enumerate(node))


def _columns(node: _Node, start: Pointer) -> Callable[[Sequence[Any], dict[Pointer, Sequence[Any]]], None] | None:
    """What adds the wanted columns of a node's objects; None if none is wanted."""
    wanted = []
    for attribute, name in _attributes(node):
        each, at = node[name], (*start, name)
        inner = None if isinstance(each, _Slot) else _columns(each, at)
        if inner is not None or (isinstance(each, _Slot) and each.wanted):
            wanted.append((attribute, at, inner))
    if not wanted:
        return None
    get = attrgetter(*(attribute for attribute, _, _ in wanted))

    def add(objects: Sequence[Any], found: dict[Pointer, Sequence[Any]]) -> None:
        values = map(get, objects)
        columns = zip(*values, strict=True) if len(wanted) > 1 else [tuple(values)]
        for (_, at, inner), column in zip(wanted, columns, strict=True):
            if inner is None:
                found[at] = column
            else:
                inner(column, found)

    return add
