"""OAUTHBEARER tokens: fetched with the client's credentials, renewed before they expire."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from kafka.errors import KafkaConnectionError, KafkaError
from kafka.net.sasl.oauth import AbstractTokenProvider

from worker.errors import is_temporary
from worker.kafka.errors import AuthenticationFailed

# The token is fetched on the client's network thread, which also sends heartbeats: far below the session timeout.
TOKEN_TIMEOUT_S = 4.0
_TOKEN_REPLY_MAX_BYTES = 256 * 1024
# A token is renewed when this share of its lifetime is left, so that a few failed attempts do no harm.
_RENEW_SHARE = 0.2
_RETRY_AFTER_S = 10.0
# RFC 6749 lets a server leave the lifetime out.
_DEFAULT_LIFETIME_S = 300.0


class NotATokenEndpoint(AuthenticationFailed):
    """The answer is not that of a token endpoint; if it issued a token before, it is probably being replaced."""


class TokenEndpointUnavailable(KafkaConnectionError):  # type: ignore[misc]  # kafka-python ships no types
    """The token endpoint does not answer now, but may later."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and how long it lives, in seconds from when it was asked for."""

    value: str
    lifetime_s: float

    def __repr__(self) -> str:
        return f"Token(<secret>, {self.lifetime_s})"


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python ships no types
    """The current OAUTHBEARER token, renewed after four fifths of its lifetime; shared by several clients.

    A renewal that fails while the old token is still valid changes nothing and is retried after 10 s; without a valid
    token the error of `fetch` is raised. An endpoint that issued a token before is unavailable, whatever it answers.
    """

    def __init__(
        self,
        fetch: Callable[[], Token],
        clock: Callable[[], float] = time.monotonic,
        extensions: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._fetch = fetch
        self._extensions = dict(extensions or {})
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._fetched_at_s = 0.0
        self._not_again_before_s = 0.0

    def token(self) -> str:
        """The token to log in with now."""
        return self.token_and_lifetime()[0]

    def extensions(self) -> dict[str, str]:
        """The SASL extensions that are sent with each token (RFC 7628, 3.1)."""
        return self._extensions

    def token_and_lifetime(self) -> tuple[str, float]:
        """The token to log in with now, and for how many seconds it is valid."""
        with self._lock:
            now_s = self._clock()
            held = self._token
            if held is not None:
                left_s = self._fetched_at_s + held.lifetime_s - now_s
                fresh = left_s > held.lifetime_s * _RENEW_SHARE
                if fresh or (left_s > 0 and now_s < self._not_again_before_s):
                    return held.value, left_s
            try:
                renewed = self._fetch()
            except KafkaError as error:
                now_s = self._clock()
                self._not_again_before_s = now_s + _RETRY_AFTER_S
                if held is not None and (left_s := self._fetched_at_s + held.lifetime_s - now_s) > 0:
                    return held.value, left_s
                if held is not None and isinstance(error, NotATokenEndpoint):
                    raise TokenEndpointUnavailable(error.line) from error
                raise
            # Counted from before the request: the server's clock started at some moment after it.
            self._token, self._fetched_at_s = renewed, now_s
            return renewed.value, renewed.lifetime_s


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Fetches a token with the client credentials grant (RFC 6749, 4.4); the client authenticates by HTTP Basic."""

    url: str
    client_id: str
    client_secret: str
    scope: str | None

    def __repr__(self) -> str:
        return f"ClientCredentials({self.url!r}, {self.client_id!r}, <secret>)"

    def __call__(self) -> Token:
        """A new token.

        Raises AuthenticationFailed when the endpoint refuses this client, TokenEndpointUnavailable when it does not
        answer now; both name the endpoint, the reason and the setting, never a secret.
        """
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
        form = {"grant_type": "client_credentials"} | ({} if self.scope is None else {"scope": self.scope})
        request = Request(  # noqa: S310  # the settings allow http and https only
            self.url,
            data=urlencode(form).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
        )
        try:
            with build_opener(_NoRedirect).open(request, timeout=TOKEN_TIMEOUT_S) as reply:
                body: object = json.loads(reply.read(_TOKEN_REPLY_MAX_BYTES))
        except HTTPError as error:
            error.close()  # the error is the response, too, with its connection
            raise self._answered(error.code) from error
        except (OSError, HTTPException) as error:
            raise self._not_reached(error.reason if isinstance(error, URLError) else error) from error
        except ValueError as error:
            raise self._not_an_endpoint("did not answer with JSON") from error
        return self._parse(body)

    def _parse(self, body: object) -> Token:
        value = body.get("access_token") if isinstance(body, dict) else None
        lifetime_s = body.get("expires_in", _DEFAULT_LIFETIME_S) if isinstance(body, dict) else None
        with contextlib.suppress(TypeError, ValueError):
            lifetime_s = float(str(lifetime_s))
        if not isinstance(value, str) or not value or not isinstance(lifetime_s, float) or not lifetime_s > 0:
            raise self._not_an_endpoint("answered without a usable access_token and expires_in")
        return Token(value, lifetime_s)

    def _answered(self, code: int) -> KafkaError:
        if is_temporary(code):
            return TokenEndpointUnavailable(f"the token endpoint {self.url} answered {code}")
        # RFC 6749, 5.2: 401 for a wrong client or secret, 400 also for that and for a scope that it does not grant.
        if code in {400, 401, 403}:
            settings = "KAFKA_SASL_OAUTH_CLIENT_ID, KAFKA_SASL_OAUTH_CLIENT_SECRET and KAFKA_SASL_OAUTH_SCOPE"
            return AuthenticationFailed(f"the token endpoint {self.url} answered {code}; check {settings}")
        return self._not_an_endpoint(f"answered {code}")

    def _not_reached(self, reason: object) -> KafkaError:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return AuthenticationFailed(
                f"the certificate of the token endpoint {self.url} is not trusted ({reason.verify_message}); check "
                "KAFKA_SASL_OAUTH_TOKEN_URL, or name a PEM file of the authorities to trust in SSL_CERT_FILE"
            )
        return TokenEndpointUnavailable(f"the token endpoint {self.url} cannot be reached ({reason})")

    def _not_an_endpoint(self, what: str) -> NotATokenEndpoint:
        return NotATokenEndpoint(f"the token endpoint {self.url} {what}; check KAFKA_SASL_OAUTH_TOKEN_URL")


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the client's secret to another address; without one, the answer is an HTTPError."""

    def redirect_request(self, *_: object) -> None:
        return None
