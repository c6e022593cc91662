"""
The pages as bytes: read once from this package, served by whoever holds the socket.

Lookup is an exact match in a dictionary made at start, so no address can name a file outside the package.
"""

from collections.abc import Callable, Iterator, Mapping
from gzip import compress
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final

from models.pages import Page

__all__ = ["Page", "load"]

HERE: Final = Path(__file__).parent
ROOMS: Final = ("start", "desk", "board", "chat")
STATIC: Final = ("common", *ROOMS, "vendor")
"""Folders whose files of a known type are served below ``/static/``."""

TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)
"""Own scripts only; the one Trusted Types policy is lit-html's, which makes templates of constant strings."""


def load(addresses: Mapping[str, str] | None = None) -> Callable[[str], Page | None]:
    """
    Read all pages and return their lookup by path; None means that there is no such page.

    Args:
        addresses: Path of a page (``/chat``) -> where it is found if another process serves it; the start page
            links there.
    """
    pages = dict(_pages(addresses or {}))

    def page(path: str) -> Page | None:
        """Return what lies at ``path``; a query or fragment does not matter."""
        return pages.get(path.partition("?")[0].partition("#")[0])

    return page


def _pages(addresses: Mapping[str, str]) -> Iterator[tuple[str, Page]]:
    for room in ROOMS:
        body = (HERE / room / "index.html").read_bytes()
        if room == "start":
            body = _linked(body, addresses)
        yield "/" if room == "start" else f"/{room}", _page(body, ".html")
    for folder in STATIC:
        for path in sorted((HERE / folder).rglob("*")):
            if path.suffix in TYPES and path.suffix != ".html":
                yield f"/static/{path.relative_to(HERE).as_posix()}", _page(path.read_bytes(), path.suffix)
    yield "/favicon.svg", _page((HERE / "common" / "favicon.svg").read_bytes(), ".svg")


def _linked(body: bytes, addresses: Mapping[str, str]) -> bytes:
    """Point the start page's links to the processes that serve them."""
    for path, address in addresses.items():
        body = body.replace(f'href="{path}"'.encode(), f'href="{escape(address)}"'.encode())
    return body


def _page(body: bytes, suffix: str) -> Page:
    headers = (
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        # Pages change with the engine's version only; the tag makes asking again cheap.
        ("Cache-Control", "no-cache"),
        ("ETag", f'"{sha256(body).hexdigest()[:32]}"'),
    )
    packed = compress(body, mtime=0)
    shorter = packed if len(packed) < len(body) else b""
    return Page(body=body, content_type=TYPES[suffix], headers=headers, packed=shorter)
