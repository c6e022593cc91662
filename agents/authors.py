"""
The authors of one partition: what dispatch remembers of who writes, in memory and in rows.

Only tenants that ask for it have any (``[tenant.people]``). Whoever has been silent for as long as is remembered leaves, and the
longest silent where there are too many.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from models.brands import PeopleRules, Tenant
from models.cases import Case, Known
from models.people import (
    AuthorRow,
    Contact,
    Directory,
    author_key,
    contacted,
    earlier,
    is_forgotten,
    known,
    linked,
    person_key,
)
from models.posts import Author
from streams.carry import Part
from tables.authors import AUTHORS, author_row_key

FORGOTTEN_MAX: Final = 500  # At one tick.


class Authors:
    """The authors of all tenants of one partition, by row key, the longest silent first."""

    def __init__(self, part: Part, tenants: Mapping[str, Tenant]) -> None:
        self._part = part
        self._rules = {tenant.id: tenant.people for tenant in tenants.values() if tenant.people.on}
        self._directories = {tenant.id: Directory(tenant.persons) for tenant in tenants.values()}
        rows = sorted(part.rows.all(AUTHORS), key=lambda one: (one[1].last_at, one[0])) if self._rules else []
        self._rows: OrderedDict[str, AuthorRow] = OrderedDict(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> dict[str, AuthorRow]:
        """Return all rows, the longest silent first."""
        return dict(self._rows)

    def rules(self, tenant: str) -> PeopleRules | None:
        """Return a tenant's rules, None where nothing is remembered."""
        return self._rules.get(tenant)

    def get(self, tenant: str, key: str) -> AuthorRow | None:
        """Return a row."""
        return self._rows.get(author_row_key(tenant, key))

    def contact(self, tenant: str, brand_id: str, platform: str, author: Author, at: int) -> tuple[Known | None, int]:
        """
        Note that somebody has begun a conversation.

        Returns:
            What was known of the author before, None of a new one, and how many earlier conversations with this brand
            count as repeated contact.
        """
        rules, key = self._rules.get(tenant), author_key(platform, author)
        if rules is None or not key:
            return None, 0
        person = self._directories[tenant].find(platform, author)
        account = self._living(tenant, key, rules, at)
        crm_id = person.crm_id if person is not None else ""
        whole = self._person_before(tenant, account, crm_id, rules, at) if crm_id else account
        told = known(whole, rules, at), earlier(whole, brand_id, rules, at)
        contact, vip = Contact(at, brand_id), person is not None and person.vip
        self._save(contacted(account, tenant, key, contact, platform, crm_id=crm_id, vip=vip), rules)
        if crm_id:
            self._save(contacted(whole, tenant, person_key(crm_id), contact, platform, vip=vip), rules)
        return told

    def _living(self, tenant: str, key: str, rules: PeopleRules, now: int) -> AuthorRow | None:
        row = self.get(tenant, key)
        return None if row is None or is_forgotten(row, rules, now) else row

    def _person_before(
        self, tenant: str, account: AuthorRow | None, crm_id: str, rules: PeopleRules, now: int
    ) -> AuthorRow | None:
        """Return what is known of a person, with an account's own history the first time that the CRM links it."""
        whole = self._living(tenant, person_key(crm_id), rules, now)
        if account is None or account.crm_id == crm_id:
            return whole
        return linked(whole, replace(account, crm_id=crm_id))

    def _save(self, row: AuthorRow, rules: PeopleRules) -> None:
        name = author_row_key(row.tenant, row.key)
        self._rows[name] = row
        self._rows.move_to_end(name)
        self._part.rows.set(AUTHORS, name, row)
        while len(self._rows) > rules.authors_max:
            self._remove(next(iter(self._rows)))

    def _remove(self, name: str) -> None:
        del self._rows[name]
        self._part.rows.delete(AUTHORS, name)

    def forget_silent(self, now: int) -> None:
        """Remove those whose time has passed, at most some hundreds."""
        for _ in range(FORGOTTEN_MAX):
            name, row = next(iter(self._rows.items()), ("", None))
            if row is None:
                return
            rules = self._rules.get(row.tenant)
            if rules is not None and not is_forgotten(row, rules, now):
                return
            self._remove(name)

    def forget(self, tenant: str, keys: frozenset[str]) -> int:
        """Remove these authors at once; return how many rows there were."""
        names = [author_row_key(tenant, key) for key in keys]
        there = [name for name in names if name in self._rows]
        for name in there:
            self._remove(name)
        return len(there)

    def accounts_of(self, tenant: str, crm_id: str) -> frozenset[str]:
        """Return the keys of all accounts that were linked to a person."""
        return frozenset(row.key for row in self._rows.values() if row.tenant == tenant and row.crm_id == crm_id)


def keys_of(case: Case) -> frozenset[str]:
    """Return all keys under which a case's author may be known."""
    author = case.author
    handle = f"{case.platform}:{author.handle.removeprefix('@').casefold()}" if author.handle else ""
    crm_id = author.crm_id or (case.known.crm_id if case.known is not None else "")
    person = person_key(crm_id) if crm_id else ""
    return frozenset(key for key in (author_key(case.platform, author), handle, person) if key)
