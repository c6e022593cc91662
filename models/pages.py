"""A page as bytes, and how it answers a GET: whole, packed, or not at all where the browser has it."""

from collections.abc import Mapping

from msgspec import Struct


class Page(Struct, frozen=True):
    """
    One answer to a GET.

    ``headers`` holds all but Content-Type and Content-Length, ETag among them.
    """

    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    packed: bytes = b""
    """The body by gzip; empty where that would not be smaller."""


def answer_of(page: Page, asked: Mapping[str, str]) -> tuple[int, bytes, tuple[tuple[str, str], ...]]:
    """
    Return status, body and headers (without Content-Type) for a request.

    Args:
        page: What lies at the address.
        asked: The request's headers; a mapping that does not mind their case.
    """
    tag = dict(page.headers).get("ETag")
    if tag is not None and asked.get("If-None-Match") == tag:
        return 304, b"", page.headers
    if page.packed and "gzip" in asked.get("Accept-Encoding", ""):
        return 200, page.packed, (*page.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return 200, page.body, page.headers
