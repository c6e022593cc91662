"""
Brand watch: whether a post concerns one of a tenant's brands, by one pass over its text.

All words of all brands stand in one Aho-Corasick automaton. Texts and words are compared folded: whatever the case, and
with ä, ö, ü, ß as ae, oe, ue, ss. What a post that matches nothing costs, a firehose costs.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import ahocorasick
from msgspec import Struct

from models.brands import Brand, Tenant, handle_key

FUZZY_LETTERS_MIN: Final = 6  # Of five letters, one edit makes too many other words: Katze, Tatze.
_HANDLE_CHARS_MAX: Final = 64  # Longer handles are rare, and without a bound a_a_a_... costs the square of its length.
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_HIT_MAX: Final = 1_000  # Hits looked at in one post: a text of names alone must not hold up the run.

# German and English words that a misspelt name must not be taken for. Six letters and more, as names are; the common
# ones suffice, since a rare word is rarely written.
_COMMON: Final = frozenset(
    (
        "wieder nichts leider einfach immer schon heute morgen gestern bitte danke warten wartet gewartet kunden kunde "
        "service konto rechnung vertrag internet telefon handy nummer preise preis kosten bezahlen zahlen bestellt "
        "bestellung lieferung paket pakete sendung fahren fahrer fahrten flieger fliegen fluege verspaetung zuege "
        "bahnhof strasse wetter sommer winter fruehling herbst woche wochen monat monate minuten stunden jahre "
        "menschen kinder eltern freunde frauen maenner mutter vater bruder schwester familie arbeit schule "
        "deutsch deutsche deutschland europa berlin hamburg muenchen wollen sollen koennen muessen duerfen machen "
        "sagen gehen kommen sehen wissen denken finden geben nehmen bleiben leben stehen liegen heissen halten "
        "werden wurden worden waren haben hatten seinen seiner meinen meiner deiner ihrer unsere unserer andere "
        "anderen anderer welche welcher dieser diesen dieses keiner keinen gegen zwischen waehrend sonst besser "
        "besten schnell langsam lange kurze kleine kleiner grosse grosser gutes guten schlecht schoen richtig "
        "falsch moeglich unmoeglich fertig offen frueher spaeter oben unten hinten vorne ueberall nirgends "
        "wagen motor strom energie wasser feuer sterne sonne himmel garten haeuser wohnung zimmer fenster tische "
        "stuehle blumen kranke kranken kragen kanister kraniche federn voegel tierchen "
        "please thanks really always never nothing something anything everything people person friend friends "
        "family mother father brother sister school office number amount prices charge charged charges account "
        "service services support customer customers delivery delivered package packages parcel parcels order "
        "orders ordered flight flights flying airport station trains travel ticket tickets refund refunds "
        "waiting waited minute minutes weeks months years morning evening tonight yesterday tomorrow summer "
        "winter spring autumn street garden window windows orange oranges purple yellow silver golden better "
        "faster slower longer shorter bigger smaller should would could might cannot because before after again "
        "against between during without within another others little things thing think thought making made "
        "taking taken giving given going coming getting having being doing working worked phones mobile online "
        "offline system systems update updates answer answers question questions problem problems letter letters "
        "matter master monster sister circle single simple sample market marker planet planer nature future"
    ).split()
)

_Kind = Literal["handle", "word", "near", "exclusion"]


class Sighting(Struct, frozen=True):
    """Which brand a post concerns, and by what."""

    brand_id: str
    addressed: Literal["mention", "keyword"]
    others: tuple[str, ...] = ()
    """Ids of the tenant's other brands in the post: those addressed by a handle, then the rest, each as they come."""
    term: str = ""
    """The word as the configuration has it; for a near misspelling the name that was meant."""


class _Word(NamedTuple):
    """What a folded word means to one brand."""

    brand: int
    """Its place in the tenant."""
    kind: _Kind
    term: str
    open_left: bool = False
    """Whether letters may stand before it."""
    open_right: bool = False


class _Hit(NamedTuple):
    """A word found at its place, ordered as the brands are to be named: handles first, then by place."""

    rank: int
    start: int
    length_neg: int
    """The longer word first: "Fennkom Mobil" before "Fennkom"."""
    brand: int
    term: str


def fold(text: str) -> str:
    """Return a text as it is compared: NFC, casefolded, ä as ae, ö as oe, ü as ue, ß as ss."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFC", text).casefold()
    return text.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")


def near_spellings(name: str) -> Iterator[str]:
    """
    Yield what is one edit away from a folded name and keeps its first letter, possibly repeatedly.

    An edit is a letter or hyphen put in, a letter left out, a letter exchanged for another, two neighbours swapped.
    Edits touch letters only; a name with fewer than six of them has none.
    """
    if sum(char in _LETTERS for char in name) < FUZZY_LETTERS_MIN:
        return
    for at in range(1, len(name) + 1):
        head, tail = name[:at], name[at:]
        yield from (f"{head}{letter}{tail}" for letter in _LETTERS)
        if tail and tail[0] in _LETTERS:
            yield f"{head}-{tail}"
            yield f"{head}{tail[1:]}"
            yield from (f"{head}{letter}{tail[1:]}" for letter in _LETTERS)
            if len(tail) > 1 and tail[1] in _LETTERS:
                yield f"{head}{tail[1]}{tail[0]}{tail[2:]}"


class BrandWatch:
    """The automaton of one tenant. It is built once and then only read."""

    def __init__(self, tenant: Tenant) -> None:
        """Build it: some milliseconds for ten brands, about 500 words for each long name."""
        self._ids = tuple(brand.id for brand in tenant.brands)
        self._handles = {handle_key(h): (at, h) for at, brand in enumerate(tenant.brands) for h in brand.handles}
        words: dict[str, list[_Word]] = {}
        for at, brand in enumerate(tenant.brands):
            for folded, word in _words_of(at, brand):
                if word not in words.setdefault(folded, []):
                    words[folded].append(word)
        words.update(_near_words(tenant, words))
        automaton = ahocorasick.Automaton()
        for folded, meanings in words.items():
            automaton.add_word(folded, (len(folded), tuple(meanings)))
        automaton.make_automaton()
        self._iter = automaton.iter if words else lambda _text: iter(())
        self.words = len(words)
        """How many words it holds."""

    def find(self, text: str, mentions: Sequence[str] = ()) -> Sighting | None:
        """
        Return the brand that a post concerns: the one addressed by a handle, else the first named; None if none is.

        Args:
            text: As written; never changed.
            mentions: Handles that the platform says are mentioned, with or without @; they count as the text's own.
        """
        folded = text.lower() if text.isascii() else fold(text)
        hits: list[_Hit] = []
        vetoed: set[int] = set()
        for last, (length, meanings) in self._iter(folded):
            _judge(folded, last + 1 - length, last + 1, meanings, hits, vetoed)
            if len(hits) >= _HIT_MAX:
                break
        if mentions:
            hits += self._mentioned(mentions, len(folded))
        if not hits:
            return None
        return self._sighting(hits, vetoed)

    def _mentioned(self, mentions: Sequence[str], after: int) -> Iterator[_Hit]:
        """Yield the brands that the platform says are mentioned; they stand behind the handles in the text."""
        for place, mention in enumerate(mentions):
            found = self._handles.get(handle_key(mention))
            if found is not None:
                yield _Hit(0, after + place, 0, found[0], found[1])

    def _sighting(self, hits: list[_Hit], vetoed: set[int]) -> Sighting | None:
        hits = sorted(hit for hit in hits if hit.rank == 0 or hit.brand not in vetoed)
        if not hits:
            return None
        first = hits[0]
        others = tuple(dict.fromkeys(hit.brand for hit in hits if hit.brand != first.brand))
        return Sighting(
            brand_id=self._ids[first.brand],
            addressed="keyword" if first.rank else "mention",
            others=tuple(self._ids[brand] for brand in others),
            term=first.term,
        )


def _words_of(at: int, brand: Brand) -> Iterator[tuple[str, _Word]]:
    """Yield all that is watched for one brand, but for near misspellings."""
    for handle in brand.handles:
        folded = fold(handle.removeprefix("@"))
        yield f"@{folded}", _Word(at, "handle", handle)
        yield f"u/{folded}", _Word(at, "handle", handle)  # As Reddit writes it.
        yield f"#{folded}", _Word(at, "word", handle)
    for term in (brand.name, *brand.aliases, *brand.products, *brand.misspellings):
        yield fold(term), _Word(at, "word", term)
        if " " in term:
            yield f"#{fold(term).replace(' ', '')}", _Word(at, "word", term)
    for term in brand.exclusions:
        bare = term.strip("*")
        if bare:
            yield fold(bare), _Word(at, "exclusion", term, term.startswith("*"), term.endswith("*"))


def _near_words(tenant: Tenant, words: dict[str, list[_Word]]) -> dict[str, list[_Word]]:
    """Return near misspellings of long names that mean nothing else: no word of a brand, no common one, one brand."""
    near: dict[str, _Word | None] = {}
    for at, brand in enumerate(tenant.brands):
        name = fold(brand.name)
        if name in _COMMON:
            continue
        for spelling in near_spellings(name):
            held = near.setdefault(spelling, _Word(at, "near", brand.name))
            if held is not None and held.brand != at:
                near[spelling] = None
    return {
        spelling: [word]
        for spelling, word in near.items()
        if word is not None and spelling not in words and spelling not in _COMMON
    }


def _judge(text: str, start: int, end: int, meanings: tuple[_Word, ...], hits: list[_Hit], vetoed: set[int]) -> None:
    """Note a word found at ``start``..``end`` of the folded text if it stands there by itself."""
    left, right = _is_bound_left(text, start), _is_bound_right(text, end)
    for word in meanings:
        if not (left or word.open_left) or not (right or word.open_right):
            continue
        if word.kind == "exclusion":
            vetoed.add(word.brand)
        elif word.kind == "handle":
            if _is_handle_end(text, end):
                hits.append(_Hit(0, start, start - end, word.brand, word.term))
        elif not _is_in_handle(text, start, end):
            hits.append(_Hit(1, start, start - end, word.brand, word.term))


def _is_bound_left(text: str, start: int) -> bool:
    """Return whether no letter or digit runs into what begins at ``start``, where that is a letter or digit or @."""
    return start == 0 or not text[start - 1].isalnum()


def _is_bound_right(text: str, end: int) -> bool:
    return end == len(text) or not text[end].isalnum()


def _is_handle_end(text: str, end: int) -> bool:
    """Return whether a handle ends here: neither a longer one, nor one of that name at another server."""
    if end == len(text):
        return True
    following = text[end]
    return following != "_" and not (following == "@" and text[end + 1 : end + 2].isalnum())


def _is_in_handle(text: str, start: int, end: int) -> bool:
    """Return whether a word is only a part of somebody's handle, as kranich is in @kranich_fan and @my_kranich."""
    at, stop = start, max(0, start - _HANDLE_CHARS_MAX)
    while at > stop and (text[at - 1].isalnum() or text[at - 1] == "_"):
        at -= 1
    if at == 0 or text[at - 1] != "@" or (at > 1 and text[at - 2].isalnum()):
        return False
    return at < start or text[end : end + 1] == "_"
