"""Authors by tenant and key: accounts, and persons whom the CRM knows."""

from typing import Final

from models.people import AuthorRow
from streams.rows import Kind

AUTHORS: Final = Kind("author", AuthorRow)


def author_row_key(tenant: str, key: str) -> str:
    """Return an author's key."""
    return f"{tenant}|{key}"
