"""Tokens: what opens the door, what does not and why; the doors of this machine's own seats."""

import base64
import json
from typing import Any

import jwt
import pytest

from models.errors import Misconfigured
from streams.gateway.auth import AUDIENCE, ISSUER, Claims, Unauthorized, issue, verify
from streams.gateway.http import is_local, is_welcome

SECRET = "s" * 32
NOW = 1_700_000_000_000


def a_token(secret: str = SECRET, algorithm: str = "HS256", drop: str = "", **changes: Any) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "anna",
        "tenant": "acme",
        "role": "rep",
        "exp": NOW // 1000 + 60,
        **changes,
    }
    claims.pop(drop, None)
    return jwt.encode(claims, secret, algorithm=algorithm)


def test_an_issued_token_says_who_is_there() -> None:
    token = issue(SECRET, tenant="acme", subject="anna", role="supervisor", now=NOW, brands=("a", "b"))

    assert verify(token, SECRET, NOW) == Claims("acme", "anna", "supervisor", ("a", "b"), NOW + 600_000)


def test_a_token_holds_until_its_last_second_and_not_longer() -> None:
    token = issue(SECRET, tenant="acme", subject="anna", role="rep", now=NOW, lasts_s=600)

    assert verify(token, SECRET, NOW + 599_999).subject == "anna"
    with pytest.raises(Unauthorized, match="expired"):
        verify(token, SECRET, NOW + 600_000)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        pytest.param(a_token(secret="x" * 32), "signature", id="other secret"),
        pytest.param(a_token(algorithm="HS384", secret=SECRET * 2), "HS256", id="other algorithm"),
        pytest.param(a_token(iss="evil"), "issuer", id="other issuer"),
        pytest.param(a_token(aud="zuruf.chat"), "meant for", id="other audience"),
        pytest.param(a_token(role="king"), "role", id="unknown role"),
        pytest.param(a_token(sub=""), "sub", id="empty subject"),
        pytest.param(a_token(tenant=5), "tenant", id="tenant is no text"),
        pytest.param(a_token(exp="soon"), "exp", id="time is no number"),
        pytest.param(a_token(brands="a"), "brands", id="brands are no list"),
        pytest.param(a_token(nbf=NOW // 1000 + 5), "holds in", id="not yet"),
        *(
            pytest.param(a_token(drop=name), name, id=f"no {name}")
            for name in ("iss", "aud", "sub", "tenant", "role", "exp")
        ),
        pytest.param("", "JWT", id="empty"),
        pytest.param("a.b.c", "JWT", id="no JWT"),
    ],
)
def test_any_other_token_is_refused_with_its_reason(token: str, why: str) -> None:
    with pytest.raises(Unauthorized, match=why) as caught:
        verify(token, SECRET, NOW)
    assert not token or token not in str(caught.value)


def test_an_unsigned_token_is_refused() -> None:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    body = a_token().split(".")[1]
    with pytest.raises(Unauthorized):
        verify(f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.", SECRET, NOW)


def test_a_short_secret_is_the_operators_fault() -> None:
    with pytest.raises(Misconfigured, match="ZURUF_SECRET"):
        issue("short", tenant="acme", subject="anna", role="rep", now=NOW)


@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ({"Host": "127.0.0.1:8080"}, True),
        ({"Host": "localhost"}, True),
        ({"Host": "[::1]:80"}, True),
        ({"Host": "[::1]"}, True),
        ({"Host": "desk.evil.example:8080"}, False),
        ({"Host": "127.0.0.1.evil.example"}, False),
        ({"Host": ""}, False),
        ({}, False),
        ({"Host": "127.0.0.1:8080", "X-Forwarded-For": "203.0.113.5"}, False),
    ],
)
def test_only_a_request_meant_for_this_machine_is_local(headers: dict[str, str], local: bool) -> None:
    assert is_local(headers) is local


@pytest.mark.parametrize(
    ("origin", "none_allowed", "welcome"),
    [
        ("http://127.0.0.1:8080", False, True),
        ("http://127.0.0.1:9999", True, False),
        ("https://evil.example", True, False),
        ("https://desk.example", False, True),
        ("null", True, False),
        ("", True, False),
        (None, True, True),
        (None, False, False),
    ],
)
def test_a_page_of_another_origin_may_not_connect(origin: str | None, none_allowed: bool, welcome: bool) -> None:
    headers = {"Host": "127.0.0.1:8080"} | ({} if origin is None else {"Origin": origin})

    assert is_welcome(headers, frozenset({"https://desk.example"}), none_allowed=none_allowed) is welcome
