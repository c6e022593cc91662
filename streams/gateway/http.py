"""Plain GETs at the gateway's door: pages, health, figures, and this machine's own seats. No socket, no clock."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from msgspec import Struct

from models.brands import Tenant, rep_of
from models.pages import Page, answer_of
from streams.gateway.auth import SEAT_LASTS_S, issue
from streams.settings import Settings, is_loopback

NO_STORE: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
FORWARDED: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
CUSTOM_HEADER: Final = "X-Zuruf"
"""A foreign page cannot send it without asking first, and we never answer such questions."""


class Answer(Struct, frozen=True):
    """What a GET is answered with."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = NO_STORE


class Seat(Struct, frozen=True):
    """A rep of the configuration, as the sign-in page of this machine lists it."""

    tenant: str
    tenant_name: str
    rep_id: str
    name: str
    simulated: bool
    free: bool
    """Not simulated, and nobody is connected."""


class Door:
    """Answers GETs."""

    def __init__(
        self,
        settings: Settings,
        pages: Callable[[str], Page | None],
        *,
        ready: Callable[[], bool],
        figures: Callable[[], bytes],
        seated: Callable[[str, str], bool],
    ) -> None:
        self._settings = settings
        self._tenants = {tenant.id: tenant for tenant in settings.tenants}
        self._pages = pages
        self._ready = ready
        self._figures = figures
        self._seated = seated
        self._here_only = is_loopback(settings.gateway_host)

    def get(self, target: str, headers: Mapping[str, str], now: int) -> Answer:
        """
        Answer a GET.

        Args:
            target: Path and query, as they stand in the request.
            headers: By name, whatever the case; each at most once.
            now: Unix ms.
        """
        path, _, query = target.partition("?")
        match path:
            case "/healthz":
                return _text(HTTPStatus.OK, "alive\n")
            case "/readyz":
                return _text(HTTPStatus.OK, "ready\n") if self._ready() else _text(503, "not ready\n")
            case "/metrics":
                return Answer(200, self._figures(), "text/plain; version=0.0.4; charset=utf-8")
        if path.startswith("/api/"):
            return self._api([unquote(part) for part in path.split("/")[2:]], query, headers, now)
        page = self._pages(path)
        if page is None:
            return _text(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        status, body, more = answer_of(page, headers)
        return Answer(status, body, page.content_type, more)

    def _api(self, parts: list[str], query: str, headers: Mapping[str, str], now: int) -> Answer:
        if not self._here_only:
            return _text(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        if not is_local(headers):
            return _text(HTTPStatus.FORBIDDEN, "Seats are given on this machine only, without a proxy between.\n")
        match parts:
            case ["seats"]:
                return _json([seat for tenant in self._settings.tenants for seat in self._seats(tenant)])
            case ["seats", tenant, rep_id, "token"]:
                return self._seat_token(tenant, rep_id, headers, now)
            case ["board-token"]:
                return self._board_token(query, headers, now)
        return _text(HTTPStatus.NOT_FOUND, "There is nothing here.\n")

    def _seats(self, tenant: Tenant) -> list[Seat]:
        return [
            Seat(
                tenant=tenant.id,
                tenant_name=tenant.name,
                rep_id=rep.id,
                name=rep.name,
                simulated=rep.simulated,
                free=not rep.simulated and not self._seated(tenant.id, rep.id),
            )
            for rep in tenant.reps
        ]

    def _seat_token(self, tenant_id: str, rep_id: str, headers: Mapping[str, str], now: int) -> Answer:
        """Give a token for a seat. One that is taken too: a page that reloads asks before its old connection has ended."""
        if headers.get(CUSTOM_HEADER) != "1":
            return _text(HTTPStatus.FORBIDDEN, f"The header {CUSTOM_HEADER}: 1 is missing.\n")
        tenant = self._tenants.get(tenant_id)
        rep = rep_of(tenant, rep_id) if tenant else None
        if tenant is None or rep is None:
            return _text(HTTPStatus.NOT_FOUND, "No tenant has this rep.\n")
        if rep.simulated:
            return _text(HTTPStatus.FORBIDDEN, "This seat is simulated.\n")
        secret = self._settings.secret.reveal()
        token = issue(secret, tenant=tenant.id, subject=rep.id, role="rep", now=now, lasts_s=SEAT_LASTS_S)
        return _json({"token": token})

    def _board_token(self, query: str, headers: Mapping[str, str], now: int) -> Answer:
        """Give a supervisor's token for the tenant that ``?tenant=`` names, or for the first one."""
        if headers.get(CUSTOM_HEADER) != "1":
            return _text(HTTPStatus.FORBIDDEN, f"The header {CUSTOM_HEADER}: 1 is missing.\n")
        tenant_id = parse_qs(query).get("tenant", [self._settings.tenants[0].id])[-1]
        if tenant_id not in self._tenants:
            return _text(HTTPStatus.NOT_FOUND, "There is no such tenant.\n")
        secret = self._settings.secret.reveal()
        token = issue(secret, tenant=tenant_id, subject="board", role="supervisor", now=now, lasts_s=SEAT_LASTS_S)
        return _json({"token": token})


def is_local(headers: Mapping[str, str]) -> bool:
    """
    Return whether a request that came over loopback was meant for this machine.

    A page whose name was pointed at 127.0.0.1 sends its own name as Host; a proxy leaves its marks.
    """
    host = headers.get("Host", "")
    bare = host[: host.rindex(":")] if host.rpartition(":")[2].isdecimal() else host
    return is_loopback(bare) and not any(name in headers for name in FORWARDED)


def is_welcome(headers: Mapping[str, str], allowed: frozenset[str], *, none_allowed: bool) -> bool:
    """
    Return whether a page of this origin may open a websocket.

    Args:
        allowed: Origins beside our own, as in ``https://desk.example``.
        none_allowed: Whether clients that are no browsers may come too.
    """
    origin = headers.get("Origin")
    if origin is None:
        return none_allowed
    return origin in allowed or (urlsplit(origin).netloc.lower() == headers.get("Host", "").lower() != "")


def _text(status: int, text: str) -> Answer:
    return Answer(int(status), text.encode())


def _json(value: object) -> Answer:
    return Answer(200, msgspec.json.encode(value), "application/json")
