"""Ports of this machine's loopback interface that are free."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the ports that systems hand out to outgoing connections (32768 on Linux, 49152 elsewhere): while a broker is
# down, a client that tries to reconnect could otherwise be given the broker's own port, and connect to itself.
_RANGE = (20_000, 32_000)


def free_ports(count: int) -> tuple[int, ...]:
    """That many different ports, free at this moment."""
    found: set[int] = set()
    while len(found) < count:
        port = random.randint(*_RANGE)  # noqa: S311 - no secret
        if is_free(port):
            found.add(port)
    return tuple(found)


def is_free(port: int) -> bool:
    """Whether the port is free at this moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
