"""Why a broker and this worker do not come together, where waiting does not help: one line that says what to change."""

from __future__ import annotations

import ssl
from typing import Final

from kafka.errors import SaslAuthenticationFailedError

# OpenSSL's numbers, X509_V_ERR_…; Python names none of them.
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_OTHER_HOST: Final = frozenset({62, 64})
_UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})


class Refusal(SaslAuthenticationFailedError):  # type: ignore[misc]  # kafka-python ships no types
    """A connection that no waiting mends; `line` says what, where and what to do.

    The one class of errors that kafka-python gives up for: with any other it tries to connect for ever.
    """

    @property
    def line(self) -> str:
        """For people, without kafka-python's number in front."""
        return str(self.args[0])


def tls_refusal(error: Exception, address: str) -> Refusal | None:
    """What stands behind a failed connection, when one side did not accept the other's certificate."""
    for cause in (error, error.__context__, *error.args):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refusal(_not_trusted(cause, address))
        if isinstance(cause, ssl.SSLError) and ("CERTIFICATE" in (alert := _alert(cause)) or alert == "UNKNOWN_CA"):
            return Refusal(
                f"{address} wants a client certificate that it trusts, and got none or another ({alert}); check "
                "KAFKA_SSL_CERTFILE: that it is given, has not ended, and is of an authority that the brokers trust"
            )
    return None


def _alert(error: ssl.SSLError) -> str:
    # TLSV13_ALERT_CERTIFICATE_REQUIRED, SSLV3_ALERT_BAD_CERTIFICATE: what the other side said before it hung up.
    return (error.reason or "").partition("ALERT_")[2]


def _not_trusted(error: ssl.SSLCertVerificationError, address: str) -> str:
    if error.verify_code == _EXPIRED:
        return (
            f"the certificate of {address} has expired; renew what that broker has in ssl.keystore.location, or set "
            "this machine's clock if it is wrong; no setting here lets it pass"
        )
    if error.verify_code == _NOT_YET_VALID:
        return f"the certificate of {address} is not valid yet; set this machine's clock, or that of who made it"
    if error.verify_code in _OTHER_HOST:
        return (
            f"the certificate of {address} is for another host ({error.verify_message.rstrip('.')}); use a name that "
            "it holds in KAFKA_BOOTSTRAP_SERVERS and in the brokers' advertised.listeners, or give the check up with "
            "KAFKA_SSL_CHECK_HOSTNAME=false"
        )
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return (
            f"the certificate of {address} is of an authority that is not trusted here ({error.verify_message}); check "
            "KAFKA_SSL_CAFILE: it must hold the authority that signed the brokers' certificates"
        )
    return f"the certificate of {address} is not trusted ({error.verify_message}); check it and KAFKA_SSL_CAFILE"
