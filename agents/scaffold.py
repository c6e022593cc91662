"""What `zuruf init` writes: a commented zuruf.toml, from a list of brands or from a few questions."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from models.errors import Misconfigured
from models.watch import fold
from streams.configuration import BRANDS_MAX, WORD_CHARS_MAX, WORDS_MAX

LISTS: Final = ("handles", "aliases", "products", "misspellings", "exclusions")
"""Lists of texts that a brand may bring; ``name`` alone is required, ``id`` is made from it unless given."""
OFFICE: Final = "office"
ALWAYS: Final = "always"
_SOURCE: Final = "brands"

_HEAD: Final = """\
# The configuration of Zuruf: tenants, brands, what to watch for, what is promised, who answers.
# Check it with `zuruf check`. Secrets and addresses do not belong here: they are variables, ZURUF_SECRET and others.

[engine]
# Numbers of the engine; these are the defaults. A variable goes before them, as in ZURUF_OFFER_S=20.
# offer_s = 30            # seconds a case is shown to a rep before it goes to another
# grace_s = 30            # seconds a lost desk keeps its cases
# lease_s = 10            # seconds a gateway is believed after its last sign
# closed_keep_days = 7    # days a closed case can be reopened by a late post

[[tenant]]
id = "main"               # first part of every key: choose it once
name = {tenant}
"""

_LEVEL: Final = """
[tenant.brand.service_level]
# Minutes of service time until the first answer, by triage.
at_once_min = 5           # danger, abuse of an account, someone stranded
urgent_min = 15           # stuck today, very angry, or asked again without an answer
important_min = 60        # a question, fault or complaint that expects an answer
less_min = 240            # praise and small talk
# warn_share = 0.75       # share of the time after which desks and boards warn
# [tenant.brand.service_level.platforms.x]     # what differs on one platform
# urgent_min = 10
# [tenant.brand.service_level.resolution]      # until the case is closed; not promised unless it stands here
# important_min = 1440
"""

_OFFICE_HOURS: Final = """
[tenant.brand.hours]
# Clocks of promises stand still outside these hours. For no closing time at all, take this table away.
zone = "Europe/Berlin"
mon-fri = "08:00-20:00"   # split shifts: ["08:00-12:00", "13:00-20:00"]; "22:00-06:00" ends on the next day
# sat = "10:00-16:00"
# holidays = [2026-12-25, 2026-12-26]
"""

_ALWAYS_HOURS: Final = """
# Open at all times. For service hours write instead:
# [tenant.brand.hours]
# zone = "Europe/Berlin"
# mon-fri = "08:00-20:00"
"""

_REPS: Final = """
# Who answers. Skills have levels from 1 to 5; a rep without a skill is not given what needs it.

[[tenant.rep]]
id = "rep-1"
name = "Rep 1"
capacity = 4              # cases at a time
skills = { "lang:de" = 5, "lang:en" = 3 }

[[tenant.rep]]
id = "rep-2"
name = "Rep 2"
capacity = 4
skills = { "lang:de" = 3, "lang:en" = 5 }
"""

_WHY: Final[Mapping[str, str]] = {
    "handles": "accounts of the brand, without @",
    "aliases": "other names that people use",
    "products": "names of products",
    "misspellings": "beyond single slips in a long name, which are found without",
    "exclusions": "words that show another meaning; a * at an end stands for any letters",
}


def from_brands(brands: object, hours: str = OFFICE, tenant: str = "Main") -> str:
    """
    Return a zuruf.toml for a list of brands, with one tenant, two reps and the default promises.

    Args:
        brands: As JSON gives it: a list of objects with ``name`` and, if wanted, ``id`` and the texts of ``LISTS``.
        hours: ``office``: Monday to Friday 08:00 to 20:00, Europe/Berlin; ``always``: no closing time.
        tenant: The tenant's name, as people see it.

    Raises:
        Misconfigured: If an entry is not as described; it says which, as in ``brands[2].handles[0]``.
    """
    if hours not in (OFFICE, ALWAYS):
        raise Misconfigured.at(_SOURCE, "hours", hours, f"{OFFICE} or {ALWAYS}")
    if not isinstance(brands, list) or not 1 <= len(brands) <= BRANDS_MAX:
        found = len(brands) if isinstance(brands, list) else brands
        raise Misconfigured.at(_SOURCE, "the whole", found, f"a list of 1 to {BRANDS_MAX} objects")
    checked = [_checked(entry, at) for at, entry in enumerate(brands)]
    ids = _ids(checked)
    _check_handles(checked)
    parts = [_HEAD.replace("{tenant}", quoted(tenant))]
    for brand_id, (name, lists) in zip(ids, checked, strict=True):
        parts += [_brand(brand_id, name, lists), _LEVEL, _OFFICE_HOURS if hours == OFFICE else _ALWAYS_HOURS]
    return "".join([*parts, _REPS])


_Checked = tuple[str, Mapping[str, Sequence[str]]]


def _checked(entry: object, at: int) -> _Checked:
    where = f"{_SOURCE}[{at}]"
    if not isinstance(entry, dict):
        raise Misconfigured.at(_SOURCE, where, entry, 'an object, as in {"name": "Fennkom"}')
    unknown = sorted(set(map(str, entry)) - {"id", "name", *LISTS})
    if unknown:
        raise Misconfigured(f"{_SOURCE}: {where}.{unknown[0]}: unknown key; known are id, name, {', '.join(LISTS)}")
    name = _word(entry.get("name"), f"{where}.name")
    return name, {key: _words(entry.get(key), f"{where}.{key}") for key in LISTS} | _given_id(entry, where)


def _given_id(entry: Mapping[str, object], where: str) -> dict[str, Sequence[str]]:
    if entry.get("id") is None:
        return {}
    given = _word(entry["id"], f"{where}.id")
    if slug(given) != given.lower():
        raise Misconfigured.at(_SOURCE, f"{where}.id", given, "1 to 48 ASCII letters, digits or dashes")
    return {"id": (given,)}


def _word(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > WORD_CHARS_MAX:
        raise Misconfigured.at(_SOURCE, where, value, f"a text of 1 to {WORD_CHARS_MAX} characters")
    return value.strip()


def _words(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > WORDS_MAX:
        raise Misconfigured.at(_SOURCE, where, value, f"a list of at most {WORDS_MAX} texts")
    words = tuple(dict.fromkeys(_word(one, f"{where}[{at}]") for at, one in enumerate(value)))
    if not where.endswith("handles"):
        return words
    for at, handle in enumerate(words):
        if not handle.removeprefix("@") or any(char.isspace() for char in handle):
            raise Misconfigured.at(_SOURCE, f"{where}[{at}]", handle, "a handle without spaces")
    return tuple(dict.fromkeys(handle.removeprefix("@") for handle in words))


def _ids(brands: Sequence[_Checked]) -> list[str]:
    """Return an id for each brand: the given one, else made from the name; a number tells equal ones apart."""
    taken = {lists["id"][0].casefold() for _, lists in brands if "id" in lists}
    if len(taken) < sum("id" in lists for _, lists in brands):
        raise Misconfigured(f"{_SOURCE}: two brands have one id, wanted an id of its own for each, whatever the case")
    ids = []
    for at, (name, lists) in enumerate(brands):
        if "id" in lists:
            ids.append(lists["id"][0])
            continue
        base = slug(name) or f"brand-{at + 1}"
        tries = (base, *(f"{base}-{number}" for number in range(2, len(brands) + 2)))
        ids.append(next(one for one in tries if one not in taken))
        taken.add(ids[-1])
    return ids


def _check_handles(brands: Sequence[_Checked]) -> None:
    first: dict[str, int] = {}
    for at, (_, lists) in enumerate(brands):
        for handle in lists["handles"]:
            before = first.setdefault(handle.casefold(), at)
            if before != at:
                key = f"{_SOURCE}[{at}].handles"
                raise Misconfigured.at(_SOURCE, key, handle, f"a handle of its own; {_SOURCE}[{before}] has it already")


def slug(name: str) -> str:
    """Return a name as an id: ASCII letters, digits and dashes, at most 48; "" if nothing of it can be written so."""
    plain = unicodedata.normalize("NFKD", fold(name)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].rstrip("-")


def quoted(text: str) -> str:
    """Return a text as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(_escaped(char) for char in escaped) + '"'


def _escaped(char: str) -> str:
    return char if char >= " " and char != "\x7f" else f"\\u{ord(char):04x}"


def _brand(brand_id: str, name: str, lists: Mapping[str, Sequence[str]]) -> str:
    lines = ["", "[[tenant.brand]]", f"id = {quoted(brand_id)}", f"name = {quoted(name)}"]
    for key in LISTS:
        words = ", ".join(quoted(word) for word in lists[key])
        lines.append(f"{key} = [{words}]  # {_WHY[key]}")
    return "\n".join([*lines, ""])


def ask(input_fn: Callable[[str], str], print_fn: Callable[[str], object]) -> str:
    """
    Return a zuruf.toml made from the answers to a few questions; an empty answer takes what stands in brackets.

    Args:
        input_fn: As ``input``: shows a question, returns the answer; what it raises is passed on.
        print_fn: As ``print``.
    """
    print_fn("A few questions; Enter takes what stands in brackets. All of it can be changed in the file.")
    tenant = input_fn("Name of your company [Main]: ").strip()[:WORD_CHARS_MAX] or "Main"
    brands: list[object] = []
    while len(brands) < BRANDS_MAX:
        name = input_fn(f"Brand {len(brands) + 1}, its name [{'enough' if brands else tenant}]: ").strip()
        if not name and brands:
            break
        entry = _asked(name or tenant, input_fn)
        try:
            from_brands([*brands, entry])
        except Misconfigured as error:
            print_fn(f"{error}. Once more, please.")
            continue
        brands.append(entry)
    hours = input_fn("Hours, office (Mon-Fri 08:00-20:00, Europe/Berlin) or always [office]: ").strip().lower()
    while hours not in ("", OFFICE, ALWAYS):
        hours = input_fn(f"Found {hours!r}, wanted office or always [office]: ").strip().lower()
    return from_brands(brands, hours or OFFICE, tenant)


def _asked(name: str, input_fn: Callable[[str], str]) -> dict[str, object]:
    default = slug(name).replace("-", "")
    entry: dict[str, object] = {"name": name}
    handles = input_fn(f"Its handles, with commas between, - for none [{default}]: ").strip()
    entry["handles"] = [] if handles == "-" else _listed(handles or default)
    entry["aliases"] = _listed(input_fn("Other names that people use, products, misspellings [none]: "))
    entry["exclusions"] = _listed(input_fn("Words that show another meaning of its name [none]: "))
    return entry


def _listed(answer: str) -> list[str]:
    return [word.strip() for word in answer.split(",") if word.strip()]
