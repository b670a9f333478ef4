"""Which TCP connections a process has, as Linux tells it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_ESTABLISHED = "01"
_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9


class Connection(NamedTuple):
    """The ports of one established connection, seen from the process that has it."""

    local_port: int
    remote_port: int


def connections_of(pid: int) -> frozenset[Connection]:
    """Its established TCP connections; none when there is no such process. Linux only."""
    inodes = _socket_inodes(pid)
    found = set[Connection]()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[_STATE] == _ESTABLISHED and fields[_INODE] in inodes:
                found.add(Connection(_port(fields[_LOCAL]), _port(fields[_REMOTE])))
    return frozenset(found)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _socket_inodes(pid: int) -> frozenset[str]:
    inodes = set[str]()
    with suppress(FileNotFoundError):  # the process went away
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # this file was closed meanwhile
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    return frozenset(inodes)
