"""
How soon a person should look: the classifier's triage, raised by words that anybody can read here.

Words raise and never lower, since a word list that is wrong then costs a look and not a life. They are compared folded
(``models.watch.fold``), so dänger, DAENGER and Dänger are one, and they stand between word boundaries.

The lists were tried on our 4,980 labelled posts, which some words were taken from (so this is no test): of 2,749 that are
important or less they raise 25 too high; of 323 that are at_once they find 68 by themselves. The rest is the classifier's.
None of these posts threatens violence, so that of such posts the classifier knows next to nothing: there the lists stand alone.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import ahocorasick

from models.labels import TRIAGE_RANK, Classification, Triage, at_least
from models.watch import fold

Reason = Literal["life", "danger", "abuse", "stranded", "threat", "repeated", "now", "today", "calm"]

WORDS: Final[Mapping[Reason, Sequence[str]]] = MappingProxyType(
    {
        # Somebody's life, in the first or second person. Figures of speech are left out: "would it kill you to", "a bath bomb in
        # your box", "das bringt mich noch um".
        "life": (
            # de
            "bringe euch um", "bring euch um", "bringe euch alle um", "bring euch alle um", "bringe ich euch um",
            "bring ich euch um", "bringe dich um", "bring ich dich um", "ich euch umbringen", "ich euch alle umbringen",
            "werde euch umbringen", "werde euch alle umbringen", "töte euch", "euch töten", "euch alle töten",
            "erschieße euch", "erschieße ich euch", "knall euch ab", "knalle euch ab", "knall ich euch ab",
            "stech euch ab", "steche euch ab", "stech ich euch ab", "brenne euren laden", "brenne ich euren laden",
            "brenne eure filiale", "brenne ich eure filiale", "brenne euch nieder", "brenn ich euch nieder",
            "zünde euren laden", "zünde ich euren laden", "zünde eure filiale", "zünde ich eure filiale",
            "zünde euch an", "zünde ich euch an", "zünd ich euch an", "fackel euren laden", "fackel ich euch ab",
            "bombe in eurer", "bombe in eurem", "jage euch in die luft", "jag ich euch in die luft",
            "sprenge euch in die luft", "weiß wo ihr wohnt", "weiß, wo ihr wohnt", "wo eure mitarbeiter wohnen",
            "bringe mich um", "bring mich um", "bringe ich mich um", "bring ich mich um", "ich mich umbringen",
            "will mich umbringen", "werde mich umbringen", "nehme mir das leben", "nehm mir das leben",
            "nehme ich mir das leben", "ich will sterben", "ich möchte sterben", "will ich sterben",
            "will nicht mehr leben", "möchte nicht mehr leben", "mag nicht mehr leben",
            # en
            "kill all of you", "i'll kill you", "i will kill you", "i'm going to kill you", "i am going to kill you",
            "i'm gonna kill you", "gonna kill you all", "going to kill you all", "kill your staff", "shoot you all",
            "shoot up your", "i will stab you", "stab you all", "burn down your", "burn you down", "burn your store",
            "burn your shop", "burn your office", "bomb in your headquarters", "bomb in your office",
            "bomb in your building", "bomb in your store", "bomb in your shop", "bomb at your headquarters",
            "planted a bomb", "blow up your store", "blow up your shop", "blow up your office",
            "blow up your headquarters", "going to get hurt", "gonna get hurt", "people will get hurt",
            "someone will get hurt", "know where you live", "know where your staff",
            "kill myself", "end my life", "i want to die", "i wanna die", "don't want to live anymore", "hang myself",
            "take my own life", "harm myself",
            # fr, es, it, nl, pl
            "vais vous tuer", "voy a mataros", "os voy a matar", "los voy a matar", "vi ammazzo", "vi uccido",
            "maak jullie dood", "zabiję was", "me suicider", "suicidarme", "suicidarmi",
        ),
        # Figures of speech are left out: prices explode, an edge bleeds, a law is "verletzt".
        "danger": (
            # de
            "stichflamme", "schlägt funken",
            "es brennt", "fängt feuer", "feuer gefangen", "in flammen", "qualmt", "rauch kommt", "rauchentwicklung",
            "ist explodiert", "akku explodiert", "stromschlag", "gasgeruch", "riecht nach gas", "lebensgefahr",
            "lebensgefährlich",
            "wurde verletzt", "wurden verletzt", "bin verletzt", "ist verletzt", "sind verletzt", "schwer verletzt",
            "verletzte", "blutet", "bewusstlos", "notfall", "notarzt", "allergischer schock",
            "suizid", "wird bedroht", "bombendrohung", "wird es tote geben", "wird jemand sterben",
            # en
            "sparks flying", "is sparking",
            "caught fire", "catching fire", "burst into flames", "in flames", "smoke coming", "just exploded",
            "battery exploded",
            "electric shock", "electrocuted", "smell of gas", "smell gas", "life threatening", "life-threatening",
            "injured", "is bleeding", "am bleeding", "bleeding badly", "unconscious", "medical emergency",
            "allergic reaction", "in danger",
            "suicide", "suicidal", "hurt myself", "bomb threat", "there is a bomb", "there's a bomb",
            # fr, es, it, nl, pl
            "prend feu", "en feu", "danger de mort", "blessé", "blessée", "urgence médicale",
            "en llamas", "se incendió", "peligro de muerte", "herido", "herida", "emergencia médica",
            "prende fuoco", "in fiamme", "pericolo di vita", "ferito", "ferita", "emergenza medica",
            "staat in brand", "levensgevaar", "gewond", "noodgeval", "zelfmoord",
            "pali się", "zagrożenie życia", "ranny", "ranna", "samobójstwo",
            # What is needed at once whatever is said about it, in several languages.
            "insulin", "insuline", "insulina", "epipen", "krankenwagen", "rettungswagen", "ambulance", "chest pain",
            "chest pains", "umgekippt", "ohnmächtig", "bekommt keine luft", "kriegt keine luft", "can't breathe",
            "cannot breathe", "hissing", "zischt", "sprühen funken", "sprüht funken", "sparks", "scintille", "iskrzy",
        ),
        "abuse": (
            "gehackt", "gehackt worden", "konto übernommen", "account übernommen", "fremde buchung",
            "fremde abbuchung", "unberechtigte abbuchung", "abbuchungen die nicht von mir", "betrüger haben",
            "karte gestohlen", "identitätsdiebstahl", "konto leergeräumt", "konto leer geräumt",
            "hacked", "account taken over", "account was stolen", "stolen card", "card was stolen", "identity theft",
            "fraudulent charge", "fraudulent charges", "unauthorised charge", "unauthorized charge",
            "unauthorised transaction", "unauthorized transaction", "unauthorised payment", "unauthorized payment",
            "money is being taken", "drained my account", "someone is using my account",
            "piraté", "compte volé", "usurpation d'identité", "hackeado", "cuenta robada", "robo de identidad",
            "hackerato", "account rubato", "furto d'identità", "gehackt account", "account gestolen",
            "włamanie na konto", "zhakowano", "skradziono",
            "karte sperren", "konto sperren", "ich war das nicht", "das war ich nicht", "in meinem konto", "in meinem account",
            "block my card", "freeze my card", "freeze my account", "wasn't me", "got into my account", "into my account",
            "access my account without", "gekaapt",
        ),
        "stranded": (
            "gestrandet", "sitze fest", "sitzen fest", "stecke fest", "stecken fest", "komme nicht nach hause",
            "kommen nicht nach hause", "komme nicht rein", "ausgesperrt", "im aufzug gefangen", "eingesperrt",
            "stranded", "stuck at the airport", "stuck at the station", "stuck on the train", "stuck on the plane",
            "stuck on the tarmac", "stuck in the lift", "stuck in the elevator", "locked out of my house",
            "locked out of my flat", "locked out of my car", "no way home", "can't get home", "cannot get home",
            "bloqué à l'aéroport", "bloqués à l'aéroport", "bloqué à la gare", "bloqués à la gare",
            "tirado en", "tirados en", "atrapado en", "atrapados en", "bloccato in", "bloccati in",
            "bloccato all'aeroporto", "bloccati all'aeroporto", "vast op het vliegveld", "vast op schiphol",
            "utknąłem na", "utknęłam na", "utknęliśmy na",
            "wie komme ich jetzt heim", "wie komme ich hier weg", "wie kommen wir hier weg", "wie komm ich jetzt heim",
            "stuck in a tunnel", "stuck overnight", "nowhere to sleep", "wo schlafen wir",
        ),
        "threat": (
            "anwalt", "rechtsanwalt", "anzeige erstatten", "erstatte anzeige", "strafanzeige", "verklagen",
            "verklage euch", "klage einreichen", "vor gericht", "verbraucherzentrale", "bundesnetzagentur",
            "an die presse", "zur presse", "die presse einschalten",
            "my lawyer", "my solicitor", "legal action", "take you to court", "see you in court", "sue you",
            "will sue", "suing you", "go to the press", "going to the press", "contact the press", "ombudsman",
            "trading standards", "small claims",
            "mon avocat", "porter plainte", "en justice", "mi abogado", "voy a denunciar", "os denuncio",
            "il mio avvocato", "vi denuncio", "per vie legali", "mijn advocaat", "naar de rechter",
            "mój prawnik", "do sądu", "pozwę",
            "anwältin", "unterlassungsklage", "anzeige ist raus", "a lawyer", "mon avocate", "mi abogada", "mia avvocata",
            "regionalfernsehen",
        ),
        "repeated": (
            "immer noch keine antwort", "noch immer keine antwort", "keine antwort erhalten", "keine rückmeldung",
            "immer noch nichts gehört", "zum dritten mal", "zum vierten mal", "zum fünften mal", "zum x-ten mal",
            "zum wiederholten mal", "mehrfach geschrieben",
            "warte immer noch", "niemand antwortet", "reagiert niemand",
            "still no answer", "still no reply", "still no response", "still waiting", "third time", "fourth time",
            "fifth time", "no one replies", "no one answers", "nobody answers", "nobody replies", "no reply to my",
            "ignoring me",
            "toujours pas de réponse", "toujours aucune réponse", "sigo sin respuesta", "sigo esperando",
            "ancora nessuna risposta", "sto ancora aspettando", "nog steeds geen antwoord", "nog steeds geen reactie",
            "wciąż brak odpowiedzi", "nadal brak odpowiedzi",
        ),
        "now": (
            "sofort", "dringend", "dringende", "dringender", "dringendst", "eilig", "eilt", "umgehend",
            "schnellstmöglich", "so schnell wie möglich", "so bald wie möglich", "asap",
            "auf der stelle", "letzte chance", "läuft heute ab",
            "urgent", "urgently", "immediately", "as soon as possible",
            "this instant", "this minute", "boarding now", "expires today", "deadline today", "emergency",
            "d'urgence", "urgence", "tout de suite", "immédiatement", "au plus vite", "dès que possible",
            "urgente", "inmediatamente", "cuanto antes", "lo antes posible",
            "subito", "immediatamente", "il prima possibile",
            "dringend hulp", "spoed", "onmiddellijk", "zo snel mogelijk", "meteen",
            "pilne", "pilnie", "natychmiast", "jak najszybciej",
        ),
        "today": (
            "heute", "heute noch", "heute abend", "heute nacht", "in kürze", "morgen früh",
            "today", "tonight", "this morning", "this afternoon", "this evening", "tomorrow morning",
            "aujourd'hui", "ce soir", "hoy", "esta noche", "oggi", "stasera",
            "vandaag", "vanavond", "dzisiaj", "dziś",
            "right now", "gerade jetzt", "jetzt gerade", "in diesem moment", "en ce moment", "ahora mismo", "in questo momento",
            "op dit moment", "w tej chwili",
        ),
        "calm": (
            "nicht dringend", "nicht so dringend", "nicht eilig", "eilt nicht", "keine eile", "hat zeit",
            "kein stress", "kein notfall", "irgendwann", "wenn ihr zeit habt", "bei gelegenheit", "nicht sofort",
            "muss nicht sofort", "nicht akut",
            "no rush", "no hurry", "not urgent", "isn't urgent", "not an emergency", "no emergency", "not in a hurry",
            "whenever you can", "whenever you have time", "when you have time", "when you get a chance",
            "take your time", "not immediately", "not right now", "no pressure",
            "pas urgent", "rien d'urgent", "pas pressé", "rien ne presse", "no es urgente", "sin prisa",
            "non è urgente", "non urgente", "senza fretta", "niet dringend", "geen haast", "geen spoed",
            "nie pilne", "nie jest pilne", "bez pośpiechu",
        ),
    }
)  # fmt: skip
"""
Words by reason. ``now`` raises what expects an answer; ``today`` only where the classifier is unsure whether the author is
stuck; ``calm`` silences both.
"""

NEGATIONS: Final = frozenset(
    fold(word)
    for word in (
        "nicht nie kein keine keinen keiner keinem weder niemand ohne "
        "not no never isn't wasn't aren't weren't didn't don't nobody without neither "
        "pas jamais aucun aucune sans ningún ninguna nunca sin non nessun nessuna mai senza "
        "niet geen nooit zonder nie żaden bez"
    ).split()
)
"""One of them at most two words before, in the same clause, silences a word: "not hacked", "nicht mehr gestrandet"."""

# "in 20 Minuten", "in einer halben Stunde", "within the hour", "dans 2 heures": a number that a list cannot hold.
_SOON: Final = re.compile(
    r"\b(?:in|within|dans|en|entro|tra|binnen|za)\s+(?:den naechsten\s+|the next\s+)?"
    r"(?:[1-9]|[1-5]\d|an?|one|two|three|einer?|zwei|drei|half an|einer halben|une|un|una)\s*"
    r"(?:min(?:s|ute|utes|uten|uti|utos|uut|uten|ut|uty)?|hours?|hrs?|stunden?|std|heures?|horas?|ore|ora|uur|godzin\w?)\b"
)
_UNITS: Final = ("min", "hour", "hr", "std", "stund", "heure", "hora", "ore", "ora", "uur", "uti", "uut", "godzin")
_CLOCK: Final = re.compile(
    r"\s+(?:\d|ca\b|circa|etwa|kurz|punkt|halb|viertel|dreiviertel|mittag|mitternacht|die\b|eins\b|zwei\b|drei\b|vier\b|"
    r"fuenf\b|sechs\b|sieben\b|acht\b|neun\b|zehn\b|elf\b|zwoelf\b)"
)
_CLAUSE_END: Final = ".,;:!?\n\r()"
_SOFT: Final = ("now", "today")  # Reasons that "no rush" takes back.
_BY_TEXT: Final = ("life", "danger", "abuse", "stranded", "threat", "repeated", "now", "today")
"""In the order in which they are looked at and told."""

REPEATED_CONTACTS: Final = 2  # The third post without an answer between: the second may be an afterthought.
REPLY_SOON_MS: Final = 2 * 3_600_000  # A rep must find it, read it and answer before the platform shuts the door.
REPLY_NOW_MS: Final = 20 * 60_000


class _Found(NamedTuple):
    reason: Reason
    word: str
    start: int
    end: int


class TextRules:
    """Word lists in one automaton; built once and then only read."""

    def __init__(self, words: Mapping[Reason, Sequence[str]] = WORDS) -> None:
        """
        Build it.

        Args:
            words: By reason, in any case; a word of two reasons counts for the first of them.
        """
        self._automaton = ahocorasick.Automaton()
        for reason, phrases in words.items():
            for phrase in phrases:
                folded = fold(phrase)
                if folded not in self._automaton:
                    self._automaton.add_word(folded, (reason, phrase, len(folded)))
        self._automaton.make_automaton()

    def found_in(self, text: str) -> dict[Reason, str]:
        """Return the first word of each reason that stands in a text and is not negated, in the order of the text."""
        folded = fold(text).replace("\u2019", "'")
        hits = self._hits(folded)
        calm = [(hit.start, hit.end) for hit in hits if hit.reason == "calm"]
        found: dict[Reason, str] = {}
        for hit in hits:
            within_calm = any(start <= hit.start and hit.end <= end for start, end in calm)
            if hit.reason == "calm" or not (within_calm or _is_negated(folded, hit) or _is_clock(folded, hit)):
                found.setdefault(hit.reason, hit.word)
        # The expression costs more than all words together, and most texts hold none of its units.
        if any(unit in folded for unit in _UNITS):
            soon = _SOON.search(folded)
            if soon is not None:
                found.setdefault("now", soon.group())
        return found

    def _hits(self, folded: str) -> list[_Found]:
        return [
            _Found(reason, word, last + 1 - length, last + 1)
            for last, (reason, word, length) in self._automaton.iter(folded)
            if _stands_alone(folded, last + 1 - length, last + 1)
        ]


def _stands_alone(text: str, start: int, end: int) -> bool:
    left = start == 0 or not text[start - 1].isalnum()
    return left and (end == len(text) or not text[end].isalnum())


def _is_negated(text: str, hit: _Found) -> bool:
    """Return whether one of the two words before, in the same clause, says no; where a life is at stake, only the very last."""
    before = text[max(0, hit.start - 40) : hit.start]
    clause = max(before.rfind(end) for end in _CLAUSE_END) + 1
    most = 1 if hit.reason == "life" else 2  # "If you don't help I'll ..." denies nothing.
    return any(word in NEGATIONS for word in before[clause:].split()[-most:])


def _is_clock(text: str, hit: _Found) -> bool:
    """Return whether a word that ends in "um" is followed by a time: "ich bringe euch um zehn das Paket"."""
    return hit.word.endswith(" um") and _CLOCK.match(text, hit.end) is not None


RULES: Final = TextRules()


def triage_of_text(labels: Classification, text: str, rules: TextRules = RULES) -> tuple[Triage, tuple[str, ...]]:
    """
    Return the triage of a text: the classifier's, raised by what its words say.

    Args:
        labels: The classifier's.
        text: As written.
        rules: The word lists.

    Returns:
        The triage, and why it is above the classifier's: one entry for each reason that holds, as in
        ``danger: stromschlag``. Reasons that hold without raising are told too, so that a rep sees them.
    """
    found = rules.found_in(text)
    if labels.triage == "spam" and "triage" not in labels.unsure:
        # News and advertising are full of fires and of last chances; a life is looked after all the same.
        found = {reason: word for reason, word in found.items() if reason == "life"}
        if not found:
            return "spam", ()
    triage: Triage = labels.triage
    why: list[str] = []
    if labels.category == "urgent" and "category" not in labels.unsure:
        triage = at_least(triage, "urgent")
        why.append("category: urgent")
    for reason in _BY_TEXT:
        floor = _floor(reason, labels, calm="calm" in found) if reason in found else None
        if floor is not None:
            triage = at_least(triage, floor)
            why.append(f"{reason}: {found[reason]}")
    return triage, tuple(why)


def _floor(reason: str, labels: Classification, *, calm: bool) -> Triage | None:
    """Return the least triage that a reason asks for; None where the labels tell that it is not meant so."""
    if reason == "life":  # The classifier has met next to none, so that it may lower this by a step and no more.
        return "urgent" if labels.triage == "spam" or labels.sentiment == "positive" else "at_once"
    if labels.sentiment == "positive" or (reason in _SOFT and calm):
        return None  # "This app is exploding, love it", "jetzt geht alles, danke".
    match reason:
        case "danger" | "abuse" | "stranded":
            return _hard_floor(labels)
        case "threat":
            return "at_once" if labels.sentiment == "negative" and labels.triage != "spam" else "important"
        case "repeated":
            return "urgent" if labels.answer or labels.sentiment == "negative" else None
        case "now":
            return "urgent" if labels.answer else None
        case "today":
            return "urgent" if labels.answer and _may_be_stuck(labels) else None
    return None


def asks_for_somebody(triage: Triage, labels: Classification) -> bool:
    """Return whether a post opens a case: it wants an answer, or should be seen without."""
    return triage != "spam" and (labels.answer or TRIAGE_RANK[triage] >= TRIAGE_RANK["important"])


def _may_be_stuck(labels: Classification) -> bool:
    """Return whether "today" may mean that the author is stuck: most who write it tell when something happened."""
    unsure = "category" in labels.unsure or "triage" in labels.unsure
    return labels.category == "urgent" or (labels.category == "technical" and unsure)


def _hard_floor(labels: Classification) -> Triage:
    """Return at_once, unless the text is hardly meant for the brand; then a person looks, though not first."""
    chatter = labels.triage == "spam" or (labels.category == "other" and not labels.answer)
    return "urgent" if chatter else "at_once"


def final_triage(
    text_triage: Triage,
    *,
    unanswered: int,
    reply_until: int | None,
    now: int,
) -> tuple[Triage, tuple[str, ...]]:
    """
    Return the triage of a case: the text's, raised by what only its history and the platform tell.

    Args:
        text_triage: The highest of its posts' since the last answer. Spam stays spam.
        unanswered: Posts of the customer since the last answer, before this one; at least 0.
        reply_until: When the platform stops taking answers, Unix ms; None if never. A door that is shut raises nothing.
        now: Unix ms.

    Returns:
        The triage, and why it is above the text's.
    """
    if text_triage == "spam":
        return "spam", ()
    triage: Triage = text_triage
    why: list[str] = []
    if unanswered >= REPEATED_CONTACTS:
        # One step, and never to at_once: who writes often is not in danger for it.
        triage = at_least(triage, "urgent" if triage != "less" else "important")
        why.append(f"repeated: {unanswered + 1} posts without an answer")
    left_ms = None if reply_until is None else reply_until - now
    if left_ms is not None and 0 < left_ms <= REPLY_SOON_MS:
        triage = at_least(triage, _floor_at_door(text_triage, left_ms))
        why.append(f"reply window: closes in {max(1, left_ms // 60_000)} min")
    return triage, tuple(why)


def _floor_at_door(triage: Triage, left_ms: int) -> Triage:
    if triage == "less":
        return "important"
    return "at_once" if left_ms <= REPLY_NOW_MS else "urgent"
