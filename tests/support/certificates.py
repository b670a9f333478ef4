"""Certificates for a test's brokers and clients, in the PEM files that Kafka and the worker read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its authority's, and its key, each in a file."""

    certfile: Path
    keyfile: Path
    keystore: Path
    """Both in one file, the key not encrypted: what a broker reads."""


class Authority:
    """A certificate authority of a test's own."""

    def __init__(self, folder: Path) -> None:
        """Make one, and put its certificate into the folder."""
        self._folder = folder
        self._authority = trustme.CA()
        self.cafile = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.cafile)

    def issue(
        self, host: str, *, days: float = 2, key_password: str | None = None, file_name: str | None = None
    ) -> Certificate:
        """A certificate for this host that ends in so many days, or ended so many days ago when that is negative."""
        until = datetime.now(UTC) + timedelta(days=days)
        issued = self._authority.issue_cert(host, not_before=until - timedelta(days=30), not_after=until)
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        # Kafka reads keys in PKCS #8 only.
        key = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        encryption = NoEncryption() if key_password is None else BestAvailableEncryption(key_password.encode())
        name = file_name or host
        made = Certificate(*(self._folder / f"{name}.{kind}.pem" for kind in ("cert", "key", "keystore")))
        made.certfile.write_bytes(chain)
        made.keyfile.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        made.keystore.write_bytes(plain + chain)
        return made
