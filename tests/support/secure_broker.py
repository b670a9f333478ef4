"""A broker with a listener for each way to connect and to log in, and certificates for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialDeletion, UserScramCredentialUpsertion

from demo.kafka.broker import Broker, running_broker
from tests.support.certificates import Authority, Certificate

HOST = "127.0.0.1"
KEY_PASSWORD = "right-password-of-the-key"
# Clients must authenticate again this often, so that a withdrawn credential shows soon.
REAUTHENTICATE_MS = 3_000


@dataclass(frozen=True)
class SecureBroker:
    """The broker, and what a client needs to log in."""

    broker: Broker
    authority: Authority
    server: Certificate
    """What the broker shows at most listeners; good for any other server at 127.0.0.1."""
    client: Certificate
    """For mutual TLS; its owner is the broker's user `certified`."""

    def address(self, listener: str) -> str:
        """Where this listener is."""
        return self.broker.addresses[listener]

    def grant_login(self, user: str, password: str) -> None:
        """Give this user a SCRAM credential, in place of an older one."""
        self._change(
            user, UserScramCredentialUpsertion(user=user, mechanism=ScramMechanism.SCRAM_SHA_512, password=password)
        )

    def revoke_login(self, user: str) -> None:
        """Take the user's SCRAM credential away."""
        self._change(user, UserScramCredentialDeletion(user=user, mechanism=ScramMechanism.SCRAM_SHA_512))

    def _change(self, user: str, change: object) -> None:
        admin: Any = KafkaAdminClient(bootstrap_servers=self.broker.bootstrap_servers)
        try:
            assert admin.alter_user_scram_credentials([change]) == {user: None}
        finally:
            admin.close()


def _plain_login(users: Mapping[str, str]) -> str:
    known = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    return f"org.apache.kafka.common.security.plain.PlainLoginModule required {known};"


@contextmanager
def secure_broker(folder: Path, users: Mapping[str, str]) -> Iterator[SecureBroker]:
    """One broker; `users` are those of listener PLAIN.

    Listeners: PLAINTEXT for the test itself; TLS, MUTUAL (a client certificate is required), EXPIRED and ELSEWHERE (TLS
    with a certificate that ended, and with one for another host); SCRAM, OAUTH (SASL over TLS); PLAIN (SASL without).
    """
    authority = Authority(folder)
    right = authority.issue(HOST)
    listeners = {
        "TLS": ("SSL", right),
        "MUTUAL": ("SSL", right),
        "EXPIRED": ("SSL", authority.issue(HOST, days=-1, file_name="expired")),
        "ELSEWHERE": ("SSL", authority.issue("localhost")),
        "SCRAM": ("SASL_SSL", right),
        "OAUTH": ("SASL_SSL", right),
        "PLAIN": ("SASL_PLAINTEXT", None),
    }
    config = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Users of these listeners may do everything; ACLs are for the users of PLAIN.
        "super.users": "User:ANONYMOUS;User:certified;User:scram;User:for-a-while;User:oauth",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER,PLAIN",
        "connections.max.reauth.ms": str(REAUTHENTICATE_MS),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.truststore.type": "PEM",
        "listener.name.mutual.ssl.truststore.location": str(authority.cafile),
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^.*$/certified/",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        # There a session lives as long as its token.
        "listener.name.oauth.oauthbearer.connections.max.reauth.ms": "3600000",
        # Kafka's own validator of tokens that are not signed: times and subject are checked.
        "listener.name.oauth.oauthbearer.sasl.jaas.config": (
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
        ),
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": _plain_login(users),
    }
    for name, (_, certificate) in listeners.items():
        if certificate is not None:
            config |= {
                f"listener.name.{name.lower()}.ssl.keystore.type": "PEM",
                f"listener.name.{name.lower()}.ssl.keystore.location": str(certificate.keystore),
            }
    protocols = {name: protocol for name, (protocol, _) in listeners.items()}
    with running_broker(config=config, listeners=protocols, announce=print) as broker:
        yield SecureBroker(broker, authority, right, authority.issue("worker.example", key_password=KEY_PASSWORD))
