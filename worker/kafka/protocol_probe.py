"""Which security protocol a broker's listener speaks: with or without TLS, with or without SASL."""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Final

# SaslHandshake: the one request that every listener answers before authentication, and whose answer shows whether the
# listener uses SASL. Key, version, correlation id, no client id, and a mechanism that does not exist.
_BODY: Final = struct.pack(">hhih", 17, 1, 7, -1) + struct.pack(">h", 1) + b"?"
_REQUEST: Final = struct.pack(">i", len(_BODY)) + _BODY
_REPLY: Final = struct.Struct(">iih")
_UNSUPPORTED_MECHANISM: Final = 33
_ILLEGAL_SASL_STATE: Final = 34
_TLS_ALERT: Final = b"\x15\x03"


@dataclass(frozen=True, slots=True)
class Listener:
    """What is known about a listener."""

    encrypts: bool
    signs_in: bool | None
    """None: unknown, because it demands a client certificate first."""

    @property
    def protocol(self) -> str:
        """As KAFKA_SECURITY_PROTOCOL names it; both names where SASL is unknown."""
        if self.signs_in is None:
            return "SSL or SASL_SSL"
        return ("SASL_" if self.signs_in else "") + ("SSL" if self.encrypts else "PLAINTEXT")

    def takes(self, protocol: str) -> bool:
        """Whether a client with this KAFKA_SECURITY_PROTOCOL can connect."""
        return protocol in self.protocol.split(" or ")


def listener_at(server: str, timeout_s: float) -> Listener | None:
    """The listener at host:port, or None where it does not answer; the timeout is for each step.

    No secret is sent and no certificate is checked: the answer is only used in a message.
    """
    host, _, port = server.rpartition(":")
    address = host.strip("[]"), int(port)
    try:
        with socket.create_connection(address, timeout_s) as plain:
            reply = _asked(plain)
        if reply[:2] != _TLS_ALERT:
            signs_in = _signs_in(reply)
            return None if signs_in is None else Listener(encrypts=False, signs_in=signs_in)
        with socket.create_connection(address, timeout_s) as plain:
            return Listener(encrypts=True, signs_in=_asked_encrypted(plain, address[0]))
    except OSError:
        return None


def _asked(connection: socket.socket) -> bytes:
    connection.sendall(_REQUEST)
    return connection.recv(_REPLY.size)


def _asked_encrypted(plain: socket.socket, host: str) -> bool | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with context.wrap_socket(plain, server_hostname=host) as encrypted:
            return _signs_in(_asked(encrypted))
    except OSError:
        return None


def _signs_in(reply: bytes) -> bool | None:
    if len(reply) < _REPLY.size:
        return None
    _, _, code = _REPLY.unpack(reply)
    return {_UNSUPPORTED_MECHANISM: True, _ILLEGAL_SASL_STATE: False}.get(code)
