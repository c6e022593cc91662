"""
Who writes: how often somebody has come, where, and who comes again too soon.

A contact is a conversation that somebody begins; what goes on in it is not counted again. Accounts on several platforms are
one person only where the brand's CRM says so: a post brings its id, or the operator lists the accounts. Nobody is linked by
name, face or guess.

Repeated contact raises the triage by one level, and never to ``at_once``: who comes again is not in danger for it; who is in
danger is there already by what the text says. It raises only what expects an answer, since a fan who praises every day is
not in need.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from models.brands import PeopleRules, Person
from models.cases import Known
from models.labels import Triage
from models.posts import Author

RECENT_MAX: Final = 16  # Contacts with their time: as many as a rule may ask for.
PLATFORMS_MAX: Final = 16
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

_RAISED: Final[Mapping[Triage, Triage]] = {"less": "important", "important": "urgent"}
"""One level; urgent and at_once stay, spam is no contact."""


class Contact(Struct, frozen=True, gc=False, array_like=True):
    """One conversation that was begun."""

    at: int
    brand_id: str


class AuthorRow(Struct, frozen=True, gc=False, omit_defaults=True):
    """What is remembered of one account, or of one person whom the CRM knows."""

    tenant: str
    key: str
    """``author_key`` of an account, or ``crm:<id>``."""
    first_at: int
    last_at: int
    contacts: int = 0
    recent: tuple[Contact, ...] = ()
    """The last ones, oldest first."""
    platforms: tuple[str, ...] = ()
    crm_id: str = ""
    """Of an account: the person it belongs to."""
    vip: bool = False


def author_key(platform: str, author: Author) -> str:
    """Return what names an account for good: its address, else its id or handle at the platform; "" if there is none."""
    if author.uri:
        return author.uri
    if author.native_id:
        return f"{platform}#{author.native_id}"
    return f"{platform}:{author.handle.removeprefix('@').casefold()}" if author.handle else ""


def person_key(crm_id: str) -> str:
    """Return the key of a person's row."""
    return f"crm:{crm_id}"


class Directory:
    """The persons that an operator lists, by account."""

    def __init__(self, persons: Iterable[Person]) -> None:
        self._by_account = {account_key(account): person for person in persons for account in person.authors}
        self._by_id = {person.crm_id: person for person in persons}

    def find(self, platform: str, author: Author) -> Person | None:
        """Return the person whom an account belongs to."""
        if author.crm_id:
            return self._by_id.get(author.crm_id) or Person(crm_id=author.crm_id, vip=author.vip)
        if not self._by_account:
            return None
        handle = f"{platform}:{author.handle}" if author.handle else ""
        for account in (author.uri, handle):
            if account and (found := self._by_account.get(account_key(account))) is not None:
                return found
        return None


def introduced(directory: Directory, platform: str, author: Author) -> Author:
    """Return an author with what the operator's list of persons says of him: the CRM's number, and whether a VIP."""
    person = directory.find(platform, author)
    if person is None or (person.crm_id == author.crm_id and person.vip == author.vip):
        return author
    return replace(author, crm_id=person.crm_id, vip=author.vip or person.vip)


def account_key(account: str) -> str:
    """Return an account as it is compared: ``platform:handle`` whatever its case and with or without @; addresses as they are."""
    platform, colon, handle = account.partition(":")
    return account if not colon or handle.startswith("//") else f"{platform}:{handle.removeprefix('@').casefold()}"


def contacted(
    row: AuthorRow | None,
    tenant: str,
    key: str,
    contact: Contact,
    platform: str,
    *,
    crm_id: str = "",
    vip: bool = False,
) -> AuthorRow:
    """Return a row after one more contact; None begins one."""
    if row is None:
        row = AuthorRow(tenant=tenant, key=key, first_at=contact.at, last_at=contact.at)
    return replace(
        row,
        last_at=max(row.last_at, contact.at),
        contacts=row.contacts + 1,
        recent=(*row.recent, contact)[-RECENT_MAX:],
        platforms=tuple(dict.fromkeys((*row.platforms, platform)))[-PLATFORMS_MAX:],
        crm_id=crm_id or row.crm_id,
        vip=vip or row.vip,
    )


def linked(person: AuthorRow | None, account: AuthorRow) -> AuthorRow:
    """Return the row of a person with what was known of an account before the CRM linked it; counted once."""
    key = person_key(account.crm_id)
    if person is None:
        return replace(account, key=key, crm_id="")
    recent = sorted((*person.recent, *account.recent), key=lambda one: one.at)
    return replace(
        person,
        first_at=min(person.first_at, account.first_at),
        last_at=max(person.last_at, account.last_at),
        contacts=person.contacts + account.contacts,
        recent=tuple(recent[-RECENT_MAX:]),
        platforms=tuple(dict.fromkeys((*person.platforms, *account.platforms)))[-PLATFORMS_MAX:],
        vip=person.vip or account.vip,
    )


def is_forgotten(row: AuthorRow, rules: PeopleRules, now: int) -> bool:
    """Whether an author has been silent for so long that nothing is remembered."""
    return row.last_at < now - rules.keep_days * DAY_MS


def known(row: AuthorRow | None, rules: PeopleRules, now: int) -> Known | None:
    """Return what a rep is told of an author before this contact; None of a new one."""
    if row is None or is_forgotten(row, rules, now):
        return None
    return Known(
        contacts=row.contacts,
        last_at=row.last_at,
        platforms=row.platforms,
        active=row.contacts >= rules.active_contacts,
        crm_id=row.key.removeprefix("crm:") if row.key.startswith("crm:") else row.crm_id,
        vip=row.vip,
    )


def earlier(row: AuthorRow | None, brand_id: str, rules: PeopleRules, now: int) -> int:
    """Return how many conversations with a brand somebody has begun within the time that counts as repeated, before now."""
    if row is None:
        return 0
    since = now - int(rules.repeat_within_h * HOUR_MS)
    return sum(1 for one in row.recent if one.brand_id == brand_id and one.at >= since)


def raised(triage: Triage, count: int, rules: PeopleRules, *, wants_answer: bool) -> tuple[Triage, tuple[str, ...]]:
    """
    Return the triage after repeated contact: one level up, and never above urgent.

    Args:
        triage: The text's.
        count: As ``earlier`` tells.
        wants_answer: Whether the post expects one; else nothing is raised.

    Returns:
        The triage, and why it is above the text's.
    """
    if not wants_answer or count < rules.repeat_contacts or triage not in _RAISED:
        return triage, ()
    return _RAISED[triage], (f"repeated contact: number {count + 1} in {rules.repeat_within_h:g} h",)
