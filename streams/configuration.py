"""The tables of zuruf.toml, read into tenants; every complaint names file, key, what was found and what was meant."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, NamedTuple, NoReturn
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from models.brands import (
    ALWAYS,
    DAYS,
    FORWARD_S,
    Account,
    Brand,
    DayHours,
    Minutes,
    ServiceHours,
    ServiceLevel,
    Shift,
    Tenant,
    Tone,
    handle_key,
    handles_used_twice,
    shifts_that_overlap,
)
from models.calendars import is_region, regions
from models.errors import Misconfigured
from models.labels import LANGUAGES, SUBJECTS
from models.reps import (
    AS_EVER,
    CAPACITY_DEFAULT,
    CAPACITY_MAX,
    LEVEL_MAX,
    LEVEL_MIN,
    SKILL_KINDS,
    TEAMS_MAX,
    RepProfile,
    SkillKind,
    Team,
    WideningStep,
    WorkKind,
)
from streams.answering import bot_rules, incident_rules, people_rules, persons_of
from streams.ordering import order_of

FILE_BYTES_MAX: Final = 4 * 1024 * 1024  # A thousand brands with a hundred words each are 1.5 MB.
TENANTS_MAX: Final = 1_000
BRANDS_MAX: Final = 1_000
REPS_MAX: Final = 10_000
ACCOUNTS_MAX: Final = 1_000
TENANT_TEAMS_MAX: Final = 1_000
KINDS_MAX: Final = 50
WIDENINGS_MAX: Final = 10  # Each multiplies the classes that a decision looks at.
DAY_S: Final = 86_400.0
REOPEN_H_MAX: Final = 7 * 24.0  # A closed case stays in the table for a week.
ANSWER_CHARS_MAX: Final = 20_000  # As long as a desk may write.
URL_CHARS_MAX: Final = 2_000
WORDS_MAX: Final = 1_000  # Of one list of one brand: all of them stand in one automaton in memory.
WORD_CHARS_MAX: Final = 100
MINUTES_MAX: Final = 365 * 24 * 60.0  # A promise of more than a year of service time is a slip of the pen.
DATES_MAX: Final = 1_000  # Of one brand: more than two a week for nine years.
DAYS_IN_ROW_MAX: Final = 366
SPAN_YEARS_MAX: Final = 5  # A promise that these hours take longer to keep is a slip of the pen.
TRIAGES_PROMISED: Final = ("at_once", "urgent", "important", "less")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_YEARLY = re.compile(r"\d\d-\d\d")
_SPAN = re.compile(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)")


class Keys:
    """One TOML table while it is read: hands out checked values, and complains about keys that nobody asked for."""

    def __init__(self, file: str, path: str, values: Mapping[str, object]) -> None:
        self.file = file
        self.path = path
        self._values = values
        self._known: set[str] = set()

    def key(self, name: str) -> str:
        """Return the full path of a key of this table."""
        return f"{self.path}.{name}" if self.path else name

    def fail(self, name: str, meant: str, found: object = None) -> NoReturn:
        """Raise Misconfigured about a key; ``found`` stands for the value where a part of it is at fault."""
        raise Misconfigured.at(self.file, self.key(name), self._values.get(name) if found is None else found, meant)

    def has(self, name: str) -> bool:
        """Return whether the key was given."""
        self._known.add(name)
        return name in self._values

    def raw(self, name: str) -> object:
        """Return what was given, unchecked; None if nothing was."""
        self._known.add(name)
        return self._values.get(name)

    def names(self) -> tuple[str, ...]:
        """Return all keys given, in the file's order."""
        return tuple(self._values)

    def text(self, name: str, default: str | None = None, chars_max: int = WORD_CHARS_MAX) -> str:
        """Return a text of 1 to ``chars_max`` characters, or the default; without a default it is required."""
        value = self.raw(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise Misconfigured(f"{self.file}: {self.key(name)}: missing, wanted a text")
        if not isinstance(value, str) or not value.strip() or len(value) > chars_max:
            self.fail(name, f"a text of 1 to {chars_max} characters")
        return value.strip()

    def id(self, name: str = "id") -> str:
        """Return an id: it becomes part of keys, addresses and names of metrics."""
        value = self.text(name)
        if not _ID.fullmatch(value):
            self.fail(name, "1 to 64 ASCII letters, digits, dots, dashes or underscores, first a letter or digit")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, without repetitions, in the file's order; empty if not given."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > WORDS_MAX:
            self.fail(name, f"a list of at most {WORDS_MAX} texts")
        for index, word in enumerate(value):
            if not isinstance(word, str) or not word.strip() or len(word) > WORD_CHARS_MAX:
                self.fail(f"{name}[{index}]", f"a text of 1 to {WORD_CHARS_MAX} characters", found=word)
        return tuple(dict.fromkeys(word.strip() for word in value))

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fail(name, "true or false")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a number of ``low`` to ``high``."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.fail(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number of ``low`` to ``high``."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fail(name, f"a whole number from {low} to {high}")
        return value

    def table(self, name: str) -> "Keys | None":
        """Return a table of this table, or None if not given."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail(name, f"a table, [{self._heading(name)}]")
        return Keys(self.file, self.key(name), value)

    def tables(self, name: str, count_max: int) -> "list[Keys]":
        """Return an array of tables; empty if not given."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.fail(name, f"an array of tables, [[{self._heading(name)}]]")
        if len(value) > count_max:
            self.fail(name, f"at most {count_max} of them", found=len(value))
        return [Keys(self.file, f"{self.key(name)}[{index}]", one) for index, one in enumerate(value)]

    def _heading(self, name: str) -> str:
        """Return a key as TOML's headings have it, without indexes."""
        return re.sub(r"\[\d+\]", "", self.key(name))

    def done(self) -> None:
        """Raise Misconfigured about the first key that nobody asked for, with the nearest that is known."""
        for name in self._values:
            if name not in self._known:
                near = get_close_matches(name, self._known, n=1, cutoff=0.5)
                meant = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(self._known))}"
                raise Misconfigured(f"{self.file}: {self.key(name)}: unknown key; {meant}")


def read_toml(path: Path) -> Keys:
    """
    Return the top table of a TOML file.

    Raises:
        Misconfigured: If it is not there, not UTF-8 or not TOML; then with line and column.
    """
    try:
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise Misconfigured(f"{path}: found {size} bytes, wanted at most {FILE_BYTES_MAX}")
        return Keys(str(path), "", tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: not TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path}: not UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from error
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read: {error.strerror}; `zuruf init` writes one") from error


def tenants_of(top: Keys) -> tuple[Tenant, ...]:
    """Read every ``[[tenant]]``; at least one, with unique ids."""
    tables = top.tables("tenant", TENANTS_MAX)
    if not tables:
        raise Misconfigured(f"{top.file}: tenant: missing, wanted at least one [[tenant]]")
    tenants = tuple(_tenant(table) for table in tables)
    _check_unique(tables, [tenant.id for tenant in tenants], "id")
    return tenants


def _check_unique(tables: Sequence[Keys], values: Sequence[str], name: str) -> None:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(value.casefold(), index)
        if first != index:
            tables[index].fail(name, f"an id of its own; {tables[first].path} has it already, whatever the case")


def _tenant(keys: Keys) -> Tenant:
    tenant_id = keys.id()
    name = keys.text("name", default=tenant_id)
    brand_keys = keys.tables("brand", BRANDS_MAX)
    rep_keys = keys.tables("rep", REPS_MAX)
    account_keys = keys.tables("account", ACCOUNTS_MAX)
    people, persons = people_rules(keys), persons_of(keys)
    order = order_of(keys)
    team_keys = keys.tables("team", TENANT_TEAMS_MAX)
    kind_keys = keys.tables("kind", KINDS_MAX)
    widening = _widening(keys.tables("widening", WIDENINGS_MAX))
    forward_s = keys.number("forward_s", FORWARD_S, 10.0, DAY_S)
    reopen_h = keys.number("reopen_h", 0.0, 0.0, REOPEN_H_MAX)
    keys.done()
    if not brand_keys:
        raise Misconfigured(f"{keys.file}: {keys.key('brand')}: missing, wanted at least one [[tenant.brand]]")
    brands = tuple(_brand(one) for one in brand_keys)
    _check_unique(brand_keys, [brand.id for brand in brands], "id")
    for handle, first, second in handles_used_twice(brands):
        meant = f"a handle of its own; {brand_keys[first].path} ({brands[first].id}) has it already"
        brand_keys[second].fail("handles", meant, found=handle)
    teams = tuple(_team(one) for one in team_keys)
    _check_unique(team_keys, [team.id for team in teams], "id")
    kinds = tuple(_kind(one) for one in kind_keys)
    _check_unique(kind_keys, [kind.id for kind in kinds], "id")
    known = _Known(
        frozenset(brand.id for brand in brands), frozenset(one.id for one in teams), frozenset(one.id for one in kinds)
    )
    reps = tuple(_rep(one, known) for one in rep_keys)
    _check_unique(rep_keys, [rep.id for rep in reps], "id")
    accounts = tuple(_account(one, [brand.id for brand in brands]) for one in account_keys)
    _check_unique(account_keys, [account.id for account in accounts], "id")
    _check_chats(account_keys, accounts)
    return Tenant(
        id=tenant_id,
        name=name,
        brands=brands,
        reps=reps,
        accounts=accounts,
        teams=teams,
        kinds=kinds,
        widening=widening,
        forward_s=forward_s,
        reopen_h=reopen_h,
        people=people,
        persons=persons,
        order=order,
    )


def _brand(keys: Keys) -> Brand:
    brand = Brand(
        id=keys.id(),
        name=keys.text("name"),
        handles=_handles(keys, "handles"),
        aliases=keys.texts("aliases"),
        products=keys.texts("products"),
        misspellings=keys.texts("misspellings"),
        exclusions=keys.texts("exclusions"),
        languages=_languages(keys, "languages"),
        influence=keys.flag("influence", True),
        influence_cap=keys.number("influence_cap", 2.0, 1.0, 4.0),
        vip=_handles(keys, "vip"),
        weight=keys.number("weight", 1.0, 0.1, 10.0),
        horizon_days=keys.whole("horizon_days", 7, 1, 365),
        service_level=_service_level(keys),
        hours=_hours(keys),
        tone=_tone(keys),
        incidents=incident_rules(keys),
        bot=bot_rules(keys),
        approval=keys.flag("approval", False),
    )
    keys.done()
    _check_reach(keys, brand.service_level, brand.hours)
    return brand


def _handles(keys: Keys, name: str) -> tuple[str, ...]:
    handles = keys.texts(name)
    for index, handle in enumerate(handles):
        if not handle_key(handle) or any(char.isspace() for char in handle):
            keys.fail(f"{name}[{index}]", "a handle without spaces, with or without its @", found=handle)
    return tuple(dict.fromkeys(handle.removeprefix("@") for handle in handles))


def _languages(keys: Keys, name: str) -> tuple[str, ...]:
    languages = keys.texts(name)
    for index, language in enumerate(languages):
        if language not in LANGUAGES:
            keys.fail(f"{name}[{index}]", f"one of {' '.join(LANGUAGES)}", found=language)
    return languages


def _tone(keys: Keys) -> Tone:
    table = keys.table("tone")
    if table is None:
        return Tone()
    address = table.text("address", default="formal")
    if address not in ("formal", "informal"):
        table.fail("address", "formal or informal")
    said: Literal["formal", "informal"] = "informal" if address == "informal" else "formal"
    tone = Tone(address=said, greeting=table.text("greeting", ""), signature=table.text("signature", ""))
    table.done()
    return tone


# -- service levels -------------------------------------------------------------------------------------------------


def _service_level(keys: Keys) -> ServiceLevel:
    table = keys.table("service_level")
    if table is None:
        meant = "wanted a table of minutes by triage, [tenant.brand.service_level]; it may be empty"
        raise Misconfigured(f"{keys.file}: {keys.key('service_level')}: missing, {meant}")
    level = _level(table, ServiceLevel())
    overrides = table.table("platforms")
    table.done()
    if overrides is None:
        return level
    platforms: dict[str, ServiceLevel] = {}
    for platform in overrides.names():
        override = overrides.table(platform)
        if override is not None:
            platforms[platform] = _level(override, level)
            override.done()
    return ServiceLevel(level.first_answer, level.next_answer, level.resolution, level.warn_share, platforms)


def _level(table: Keys, base: ServiceLevel) -> ServiceLevel:
    """Read the minutes of a level; what is left out is the base's, and in next_answer the first answer's."""
    first = _minutes(table, base.first_answer)
    following, resolution = table.table("next_answer"), table.table("resolution")
    return ServiceLevel(
        first_answer=first,
        next_answer=base.next_answer if following is None else _whole_table(following, base.next_answer or first),
        resolution=base.resolution if resolution is None else _whole_table(resolution, base.resolution or Minutes()),
        warn_share=table.number("warn_share", base.warn_share, 0.1, 1.0),
    )


def _whole_table(table: Keys, base: Minutes) -> Minutes:
    minutes = _minutes(table, base)
    table.done()
    return minutes


def _minutes(table: Keys, base: Minutes) -> Minutes:
    """Read the four keys ``<triage>_min``; a key of that form with another word names the triages there are."""
    for name in table.names():
        if name.endswith("_min") and name.removesuffix("_min") not in (*TRIAGES_PROMISED, "warn_before"):
            near = get_close_matches(name, [f"{triage}_min" for triage in TRIAGES_PROMISED], n=1, cutoff=0.0)
            known = ", ".join(f"{triage}_min" for triage in TRIAGES_PROMISED)
            raise Misconfigured(
                f"{table.file}: {table.key(name)}: unknown triage; did you mean {near[0]}? Promised are {known}"
            )
    given = {triage: _one_minutes(table, f"{triage}_min") for triage in TRIAGES_PROMISED}
    minutes = Minutes(
        at_once=base.at_once if given["at_once"] is None else given["at_once"],
        urgent=base.urgent if given["urgent"] is None else given["urgent"],
        important=base.important if given["important"] is None else given["important"],
        less=base.less if given["less"] is None else given["less"],
        warn_before=_one_minutes(table, "warn_before_min") or base.warn_before,
    )
    _check_warning(table, minutes)
    return minutes


def _check_warning(table: Keys, minutes: Minutes) -> None:
    """Refuse a warning that would come at the arrival itself: it says nothing."""
    shortest = min((value for _, value in _promised(minutes)), default=None)
    if minutes.warn_before is not None and shortest is not None and minutes.warn_before >= shortest:
        meant = f"less than the shortest promise here, {shortest:g} minutes"
        raise Misconfigured.at(table.file, table.key("warn_before_min"), minutes.warn_before, meant)


def _promised(minutes: Minutes) -> list[tuple[str, float]]:
    """Return the triages that are promised something, with the minutes."""
    given = ((triage, getattr(minutes, triage)) for triage in TRIAGES_PROMISED)
    return [(triage, value) for triage, value in given if value is not None]


def _check_reach(keys: Keys, level: ServiceLevel, hours: ServiceHours) -> None:
    """Refuse a promise that so few hours a week take years to keep."""
    week_min = 7 * 1440 if hours.always else sum(shift.end_min - shift.start_min for shift in hours.week)
    for where, here in [("", level), *((f".platforms.{name}", one) for name, one in level.platforms.items())]:
        tables = {"": here.first_answer, ".next_answer": here.next_answer, ".resolution": here.resolution}
        for name, minutes in tables.items():
            for triage, value in _promised(minutes) if minutes is not None else ():
                weeks = value / week_min
                if weeks > SPAN_YEARS_MAX * 52:
                    key = keys.key(f"service_level{where}{name}.{triage}_min")
                    meant = f"at most what is open in {SPAN_YEARS_MAX} years; of these hours it is {weeks / 52:.0f}"
                    raise Misconfigured.at(keys.file, key, value, meant)


def _one_minutes(table: Keys, name: str) -> float | None:
    if not table.has(name):
        return None
    value = table.number(name, 0.0, 0.0, MINUTES_MAX)
    if value == 0:
        table.fail(name, "minutes above 0")
    return value


# -- service hours --------------------------------------------------------------------------------------------------


def _hours(keys: Keys) -> ServiceHours:
    given = keys.raw("hours")
    if given is None or given == "always":
        return ALWAYS
    if not isinstance(given, dict):
        keys.fail("hours", '"always" or a table, [tenant.brand.hours]')
    table = Keys(keys.file, keys.key("hours"), given)
    zone = table.text("zone")
    _check_zone(table, zone)
    week: list[Shift] = []
    for name in table.names():
        if name not in ("zone", "holidays", "exceptions"):
            week += _day(table, name)
    dates, keeps = _holidays(table)
    exceptions = _exceptions(table)
    table.done()
    if not week:
        keys.fail("hours", 'at least one day, as in mon-fri = "08:00-20:00"')
    clash = shifts_that_overlap(week)
    if clash is not None:
        keys.fail("hours", "shifts that do not overlap", found=" and ".join(map(_shown, clash)))
    return ServiceHours(zone=zone, week=tuple(sorted(week)), holidays=dates, regions=keeps, exceptions=exceptions)


def _check_zone(table: Keys, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:  # not there; not a name; a folder such as Europe
        raise Misconfigured.at(table.file, table.key("zone"), zone, "an IANA zone, as in Europe/Berlin") from error


def _day(table: Keys, name: str) -> list[Shift]:
    """Read ``mon = "08:00-20:00"``, ``mon-fri = [...]`` or ``sat, sun = ...``."""
    days = _days_of(name)
    if not days:
        near = get_close_matches(name, [*DAYS, "zone", "holidays", "exceptions"], n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else "wanted zone, holidays, exceptions."
        raise Misconfigured(f"{table.file}: {table.key(name)}: unknown key; {hint} Days are {' '.join(DAYS)}, mon-fri")
    value = table.raw(name)
    spans = [value] if isinstance(value, str) else value
    if not isinstance(spans, list) or not all(isinstance(span, str) for span in spans):
        table.fail(name, 'hours as in "08:00-20:00", or a list of them')
    shifts = [_span(table, name, span) for span in spans]
    return [Shift(day, start, end) for day in days for start, end in shifts]


def _days_of(name: str) -> list[int]:
    """Return the weekdays that a key names, Monday 0; none if it names something else."""
    first, _, last = name.lower().partition("-")
    if first not in DAYS or (last and last not in DAYS):
        return []
    start, end = DAYS.index(first), DAYS.index(last or first)
    return [(start + step) % 7 for step in range((end - start) % 7 + 1)]


def _span(table: Keys, name: str, span: str) -> tuple[int, int]:
    """Return start and end in minutes; an end at or before the start is on the next day."""
    match = _SPAN.fullmatch(span.strip())
    meant = 'hours as in "08:00-20:00"; "22:00-06:00" ends on the next day, "00:00-24:00" is the whole day'
    if match is None:
        table.fail(name, meant, found=span)
    h1, m1, h2, m2 = (int(part) for part in match.groups())
    start, end = h1 * 60 + m1, h2 * 60 + m2
    if m1 > 59 or m2 > 59 or start >= 1440 or end > 1440 or start == end:
        table.fail(name, meant, found=span)
    return start, end if end > start else end + 1440


def _shown(shift: Shift) -> str:
    """Return a shift as it is written in the file, as in ``mon 22:00-06:00``."""
    end = shift.end_min if shift.end_min <= 1440 else shift.end_min - 1440
    times = f"{shift.start_min // 60:02}:{shift.start_min % 60:02}-{end // 60:02}:{end % 60:02}"
    return f"{DAYS[shift.weekday]} {times}"


def _holidays(table: Keys) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read dates, as TOML dates or as ISO texts, and regions whose public holidays are kept."""
    value = table.raw("holidays")
    if value is None:
        return (), ()
    if not isinstance(value, list) or len(value) > DATES_MAX:
        table.fail("holidays", f'a list of at most {DATES_MAX} dates and regions, as in ["DE-BY", 2026-12-24]')
    dates: set[str] = set()
    keeps: set[str] = set()
    for index, one in enumerate(value):
        if isinstance(one, str) and one[:1].isalpha():
            keeps.add(_region(table, index, one))
        else:
            dates.add(_holiday(table, index, one))
    return tuple(sorted(dates)), tuple(sorted(keeps))


def _region(table: Keys, index: int, found: str) -> str:
    """Return a region as the library of holidays writes it; to a wrong one say what there is."""
    if is_region(found):
        return found
    country = found.partition("-")[0].upper()
    hint = f"; of {country} there are {' '.join(regions()[country])}" if regions().get(country) else ""
    if is_region(found.upper()):
        hint = f"; did you mean {found.upper()}?"
    table.fail(f"holidays[{index}]", f"a date, or a region as in DE or DE-BY{hint}", found=found)


def _holiday(table: Keys, index: int, found: object) -> str:
    try:
        # A datetime is a date too, but its type is its own.
        return found.isoformat() if type(found) is date else date.fromisoformat(str(found)).isoformat()
    except ValueError as error:
        key = table.key(f"holidays[{index}]")
        raise Misconfigured.at(table.file, key, found, "a date, as in 2026-12-25, or a region, as in DE-BY") from error


def _exceptions(table: Keys) -> tuple[DayHours, ...]:
    """Read the table of dates with other hours: ``2026-12-24 = "08:00-12:00"``, ``12-31 = "closed"``, ``A/B = ...``."""
    given = table.table("exceptions")
    if given is None:
        return ()
    found: dict[str, DayHours] = {}
    for name in given.names():
        spans, usual = _hours_of_day(given, name)
        for day in _dates_of(given, name):
            if found.setdefault(day, DayHours(day, spans, usual)) != DayHours(day, spans, usual):
                raise Misconfigured(f"{given.file}: {given.key(name)}: {day} has other hours already, wanted one rule")
    if len(found) > DATES_MAX:
        table.fail("exceptions", f"at most {DATES_MAX} dates", found=len(found))
    return tuple(sorted(found.values()))


def _dates_of(given: Keys, name: str) -> list[str]:
    """Return the dates that a key names: one, one of every year, or all from one to another."""
    first, slash, last = name.partition("/")
    try:
        if _YEARLY.fullmatch(name):
            date.fromisoformat(f"2000-{name}")  # A leap year: 02-29 is a date of some years.
            return [name]
        start = date.fromisoformat(first)
        days = (date.fromisoformat(last) - start).days if slash else 0
    except ValueError:
        start, days = date.min, -1
    if not 0 <= days < DAYS_IN_ROW_MAX or start.isoformat() != first:
        meant = (
            f"a date (2026-12-24), one of every year (12-24), or up to {DAYS_IN_ROW_MAX} days (2026-12-27/2026-12-30)"
        )
        raise Misconfigured(f"{given.file}: {given.key(name)}: found {name!r}, wanted {meant}")
    return [(start + timedelta(days=step)).isoformat() for step in range(days + 1)]


def _hours_of_day(given: Keys, name: str) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Return the openings of an exception, and whether its weekday's hold."""
    value = given.raw(name)
    if value in ("closed", "usual"):
        return (), value == "usual"
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        given.fail(name, '"closed", "usual" (open though a holiday), hours as in "08:00-12:00", or a list of them')
    spans = sorted(_span(given, name, text) for text in texts)
    for (_, end), (start, _) in pairwise(spans):
        if start < end:
            given.fail(name, "hours that do not overlap")
    return tuple(spans), False


# -- reps -----------------------------------------------------------------------------------------------------------


class _Known(NamedTuple):
    """Ids of a tenant that its reps may name."""

    brands: frozenset[str]
    teams: frozenset[str]
    kinds: frozenset[str]


def _rep(keys: Keys, known: _Known) -> RepProfile:
    rep_id = keys.id()
    rep = RepProfile(
        id=rep_id,
        name=keys.text("name", default=rep_id),
        skills=_skills(keys, known.brands),
        capacity=keys.whole("capacity", CAPACITY_DEFAULT, 1, CAPACITY_MAX),
        simulated=keys.flag("simulated", False),
        teams=_named(keys, "teams", known.teams, "a team"),
        kind_units=_kind_units(keys, known.kinds),
        approval=keys.flag("approval", False),
        approves=keys.flag("approves", False),
        pulls=keys.flag("pulls", True),
    )
    keys.done()
    if len(rep.teams) > TEAMS_MAX:
        keys.fail("teams", f"at most {TEAMS_MAX} teams")
    return rep


def _named(keys: Keys, name: str, known: frozenset[str], what: str) -> tuple[str, ...]:
    """Return a list of ids of this tenant."""
    given = keys.texts(name)
    for index, one in enumerate(given):
        if one not in known:
            keys.fail(f"{name}[{index}]", _one_of(what, known), found=one)
    return given


def _one_of(what: str, known: frozenset[str]) -> str:
    there = f"one of {' '.join(sorted(known))}" if known else "of which there is none"
    return f"{what} of this tenant, {there}"


def _kind_units(keys: Keys, known: frozenset[str]) -> dict[str, int]:
    table = keys.table("kind_units")
    if table is None:
        return {}
    for name in table.names():
        if name not in known:
            meant = _one_of("a kind", known)
            raise Misconfigured(f"{table.file}: {table.key(name)}: found {name!r}, wanted {meant}")
    return {name: table.whole(name, 0, 0, CAPACITY_MAX) for name in table.names()}


def _team(keys: Keys) -> Team:
    team_id = keys.id()
    team = Team(
        id=team_id,
        name=keys.text("name", default=team_id),
        department=keys.text("department", default=""),
        site=keys.text("site", default=""),
    )
    keys.done()
    return team


def _kind(keys: Keys) -> WorkKind:
    kind = WorkKind(
        id=keys.id(),
        platforms=keys.texts("platforms"),
        visibility=_visibility(keys),
        units=keys.whole("units", 1, 1, CAPACITY_MAX),
        idle_frees_s=keys.number("idle_frees_s", 0.0, 0.0, DAY_S),
        wrapup_s=keys.number("wrapup_s", 0.0, 0.0, 3600.0),
    )
    keys.done()
    return kind


def _visibility(keys: Keys) -> Literal["public", "private", ""]:
    match keys.text("visibility", default="both"):
        case "public":
            return "public"
        case "private":
            return "private"
        case "both":
            return ""
    keys.fail("visibility", "public, private or both")


def _widening(tables: Sequence[Keys]) -> tuple[WideningStep, ...]:
    """Read the steps by which more reps come into question; they begin at 0 and ask for less from step to step."""
    steps = tuple(_widening_step(one) for one in tables)
    for index, step in enumerate(steps):
        if index == 0 and step.after_s != 0:
            tables[0].fail("after_s", "0: the first step says what holds when a post comes")
        if index and step.after_s <= steps[index - 1].after_s:
            tables[index].fail("after_s", f"more than the {steps[index - 1].after_s:g} of the step before")
    return steps or AS_EVER


def _widening_step(keys: Keys) -> WideningStep:
    after_s = keys.number("after_s", 0.0, 0.0, DAY_S)
    levels: dict[SkillKind, int] = {
        kind: keys.whole(f"{kind}_level", LEVEL_MIN, LEVEL_MIN, LEVEL_MAX)
        for kind in SKILL_KINDS
        if keys.has(f"{kind}_level")
    }
    keys.done()
    return WideningStep(after_s, levels)


def _is_platform(name: str) -> bool:
    return bool(_ID.fullmatch(name))


def _skills(keys: Keys, brand_ids: frozenset[str]) -> dict[str, int]:
    table = keys.table("skills")
    if table is None:
        return {}
    known: Mapping[str, tuple[Callable[[str], bool], str]] = {
        "lang": (LANGUAGES.__contains__, f"a language, one of {' '.join(LANGUAGES)}"),
        "subject": (set[str](SUBJECTS).__contains__, f"a subject, one of {' '.join(SUBJECTS)}"),
        "brand": (brand_ids.__contains__, f"a brand of this tenant, one of {' '.join(sorted(brand_ids))}"),
        "platform": (_is_platform, "a platform, as in platform:x"),
    }
    skills: dict[str, int] = {}
    for name in table.names():
        kind, _, value = name.partition(":")
        if kind not in known:
            kinds = " or ".join(f'"{one}:..."' for one in SKILL_KINDS)
            raise Misconfigured(f"{table.file}: {table.key(name)}: unknown kind of skill, wanted {kinds}")
        is_known, meant = known[kind]
        if not is_known(value):
            raise Misconfigured(f"{table.file}: {table.key(name)}: found {value!r}, wanted {meant}")
        skills[name] = table.whole(name, LEVEL_MIN, LEVEL_MIN, LEVEL_MAX)
    return skills


# -- accounts -------------------------------------------------------------------------------------------------------


def _account(keys: Keys, brand_ids: Sequence[str]) -> Account:
    account_id = keys.id()
    connector = _connector(keys)
    brand = keys.text("brand", default="")
    if brand and brand not in brand_ids:
        keys.fail("brand", f"a brand of this tenant, one of {' '.join(brand_ids)}")
    account = Account(
        id=account_id,
        connector=connector,
        brand=brand,
        callback=_callback(keys),
        secret_env=_secret_env(keys),
        text_max=keys.whole("text_max", 0, 0, ANSWER_CHARS_MAX),
    )
    keys.done()
    _check_account(keys, account)
    return account


def _connector(keys: Keys) -> Literal["webhook", "chat"]:
    found = keys.text("connector")
    if found == "webhook":
        return "webhook"
    if found == "chat":
        return "chat"
    keys.fail("connector", "webhook or chat")


def _callback(keys: Keys) -> str:
    """Return an address that answers may go to."""
    url = keys.text("callback", default="", chars_max=URL_CHARS_MAX)
    if not url:
        return url
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or not url.isascii() or not url.isprintable() or " " in url:
        keys.fail("callback", "an address as in https://example.org/answers")
    return url


def _secret_env(keys: Keys) -> str:
    name = keys.text("secret_env", default="", chars_max=128)
    if name and not _VARIABLE.fullmatch(name):
        # What stands here by mistake may be the secret itself: it is not shown.
        keys.fail("secret_env", "the name of an environment variable, not the secret", found="something else")
    return name


def _check_account(keys: Keys, account: Account) -> None:
    """Refuse what a connector cannot use, or cannot do without."""
    if account.connector == "webhook" and not account.secret_env:
        meant = "wanted the name of the variable that holds whsec_<base64>: a webhook takes signed posts only"
        raise Misconfigured(f"{keys.file}: {keys.key('secret_env')}: missing, {meant}")
    if account.connector == "chat":
        if not account.brand:
            raise Misconfigured(f"{keys.file}: {keys.key('brand')}: missing, wanted the brand whose chat it is")
        for name in ("callback", "secret_env"):
            if keys.has(name):
                keys.fail(name, "nothing: a chat has no such thing", found="" if name == "secret_env" else None)


def _check_chats(tables: Sequence[Keys], accounts: Sequence[Account]) -> None:
    """Refuse two chats of one brand: its page would not know which."""
    seen: dict[str, str] = {}
    for table, account in zip(tables, accounts, strict=True):
        if account.connector == "chat" and seen.setdefault(account.brand, account.id) != account.id:
            table.fail("brand", f"a brand without a chat; {seen[account.brand]} is its chat already")
