"""OAUTHBEARER tokens: asked for properly, kept, renewed in time, and what happens when they are not to be had."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest
from kafka.errors import KafkaConnectionError, KafkaError, SaslAuthenticationFailedError

from worker.kafka.oauth import ClientCredentials, Token, TokenEndpointUnavailable, TokenProvider


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Issuer:
    """Gives out tokens one after another, or fails."""

    lifetime_s: float = 100.0
    failure: KafkaError | None = None
    issued: int = 0
    asked: int = 0

    def __call__(self) -> Token:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        self.issued += 1
        return Token(f"token-{self.issued}", self.lifetime_s)


def test_a_token_is_kept_until_a_fifth_of_its_life_is_left() -> None:
    clock, issuer = Clock(), Issuer(lifetime_s=100.0)
    provider = TokenProvider(issuer, clock)
    assert provider.token() == "token-1"
    clock.now_s += 79.9
    assert provider.token() == "token-1"
    clock.now_s += 0.1
    assert provider.token() == "token-2"
    assert issuer.asked == 2


def test_a_failed_renewal_leaves_the_living_token_and_is_tried_again_after_ten_seconds() -> None:
    clock, issuer = Clock(), Issuer(lifetime_s=100.0)
    provider = TokenProvider(issuer, clock)
    provider.token()
    clock.now_s += 85
    issuer.failure = KafkaConnectionError("away")
    assert provider.token() == "token-1"
    clock.now_s += 9
    assert provider.token() == "token-1"
    assert issuer.asked == 2
    clock.now_s += 1
    issuer.failure = None
    assert provider.token() == "token-2"


def test_without_a_living_token_the_failure_is_raised() -> None:
    clock, issuer = Clock(), Issuer(lifetime_s=100.0)
    provider = TokenProvider(issuer, clock)
    provider.token()
    clock.now_s += 101
    issuer.failure = SaslAuthenticationFailedError("no")
    with pytest.raises(SaslAuthenticationFailedError):
        provider.token()


def test_a_tokens_life_begins_before_it_was_asked_for() -> None:
    clock = Clock()
    issued: list[Token] = []

    def slow() -> Token:
        clock.now_s += 50
        issued.append(Token("slow", 100.0))
        return issued[-1]

    provider = TokenProvider(slow, clock)
    provider.token()
    clock.now_s += 30
    provider.token()
    assert len(issued) == 2


def test_neither_token_nor_secret_is_shown() -> None:
    assert "value" not in repr(Token("value", 1.0))
    assert "hunter2" not in repr(ClientCredentials("https://idp", "me", "hunter2", None))


@dataclass
class Endpoint:
    """A token endpoint with given answers that records the requests."""

    status: int = 200
    body: bytes = b'{"access_token":"abc","expires_in":60,"token_type":"Bearer"}'
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def credentials(self, scope: str | None = None) -> ClientCredentials:
        return ClientCredentials(self.url, "me:you", "hunter2/+", scope)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    answers = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            answers.requests.append((self.path, form, self.headers["Authorization"]))
            self.send_response(answers.status)
            for name, value in answers.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answers.body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_port}/token"
    yield answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_endpoint_is_asked_with_the_client_credentials_grant(endpoint: Endpoint) -> None:
    assert endpoint.credentials(scope="kafka read")() == Token("abc", 60.0)
    ((path, form, authorization),) = endpoint.requests
    assert path == "/token"
    assert parse_qs(form) == {"grant_type": ["client_credentials"], "scope": ["kafka read"]}
    # Each part is encoded first (RFC 6749, 2.3.1), or a colon in the id would move the border between the two.
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"me%3Ayou:hunter2%2F%2B"


def test_a_token_without_a_lifetime_lives_for_five_minutes(endpoint: Endpoint) -> None:
    endpoint.body = b'{"access_token":"abc"}'
    assert endpoint.credentials()() == Token("abc", 300.0)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"access_token":7}',
        b'{"access_token":""}',
        b'{"access_token":"a","expires_in":"x"}',
        b'{"access_token":"a","expires_in":0}',
        b'{"access_token":"a","expires_in":"nan"}',
        b"\xff",
    ],
)
def test_an_answer_without_a_token_is_a_refusal(endpoint: Endpoint, body: bytes) -> None:
    endpoint.body = body
    with pytest.raises(SaslAuthenticationFailedError, match=f"the token endpoint {endpoint.url} "):
        endpoint.credentials()()


def test_wrong_credentials_are_a_refusal_that_names_the_settings_and_no_secret(endpoint: Endpoint) -> None:
    endpoint.status = 401
    with pytest.raises(
        SaslAuthenticationFailedError, match=r"answered 401; check KAFKA_SASL_OAUTH_CLIENT_ID"
    ) as caught:
        endpoint.credentials()()
    assert "hunter2" not in str(caught.value)


def test_an_endpoint_in_trouble_is_away_and_not_refusing(endpoint: Endpoint) -> None:
    endpoint.status = 503
    with pytest.raises(KafkaConnectionError, match="answered 503"):
        endpoint.credentials()()


def test_an_endpoint_that_gave_a_token_before_and_is_none_for_now_is_away(endpoint: Endpoint) -> None:
    clock = Clock()
    provider = TokenProvider(endpoint.credentials(), clock)
    for status, body in ((404, b""), (302, b""), (200, b"<html>")):
        endpoint.status, endpoint.body = 200, Endpoint.body
        assert provider.token() == "abc"
        clock.now_s += 61
        endpoint.status, endpoint.body = status, body
        with pytest.raises(TokenEndpointUnavailable, match="check KAFKA_SASL_OAUTH_TOKEN_URL"):
            provider.token()


def test_an_endpoint_that_is_not_there_is_away() -> None:
    with pytest.raises(KafkaConnectionError, match="cannot be reached"):
        ClientCredentials("http://127.0.0.1:1/token", "me", "hunter2", None)()


def test_the_secret_does_not_follow_a_redirect(endpoint: Endpoint) -> None:
    endpoint.status, endpoint.headers = 302, {"Location": endpoint.url + "/elsewhere"}
    with pytest.raises(SaslAuthenticationFailedError, match="answered 302"):
        endpoint.credentials()()
    assert len(endpoint.requests) == 1
