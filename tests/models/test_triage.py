import json
from pathlib import Path
from time import perf_counter_ns

import pytest

import dashboards
from models.bots import DANGER
from models.incidents import GRAVE
from models.labels import TRIAGES, Category, Classification, Confidence, Sentiment, Triage
from models.triage import (
    REPLY_NOW_MS,
    REPLY_SOON_MS,
    RULES,
    WORDS,
    TextRules,
    final_triage,
    triage_of_text,
)
from models.watch import fold

NOW = 1_800_000_000_000


def labels(
    triage: Triage = "important",
    category: Category = "technical",
    sentiment: Sentiment = "neutral",
    answer: bool = True,
    unsure: tuple[str, ...] = (),
) -> Classification:
    return Classification(
        language="de",
        sentiment=sentiment,
        category=category,
        subject="other",
        triage=triage,
        answer=answer,
        toxic=False,
        confidence=Confidence(),
        unsure=unsure,
    )


@pytest.mark.parametrize(("reason", "word"), [(reason, word) for reason, words in WORDS.items() for word in words])
def test_every_word_of_the_lists_is_found_in_a_sentence(reason: str, word: str) -> None:
    found = RULES.found_in(f"Hallo, {word.upper()}!")

    assert reason in found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Der Router qualmt!", "danger: qualmt"),
        ("Habe einen Stromschlag bekommen", "danger: stromschlag"),
        ("The charger caught fire", "danger: caught fire"),
        ("Mein Konto wurde gehackt", "abuse: gehackt"),
        ("my account was HACKED", "abuse: hacked"),
        ("There are unauthorized charges? An unauthorized charge!", "abuse: unauthorized charge"),
        ("Sitze fest in Hamm", "stranded: sitze fest"),
        ("We are stranded in Leeds", "stranded: stranded"),
        ("bloqués à l'aéroport d'Orly", "stranded: bloqués à l'aéroport"),
        ("bloqués à l\u2019aéroport", "stranded: bloqués à l'aéroport"),
    ],
)
def test_danger_abuse_and_being_stranded_are_at_once(text: str, why: str) -> None:
    assert triage_of_text(labels(), text) == ("at_once", (why,))


@pytest.mark.parametrize(
    "text",
    [
        "Ich bringe euch alle um",
        "Morgen zünde ich euren Laden an",
        "Ich weiß, wo ihr wohnt",
        "Wenn ihr mir nicht helft bringe ich mich um",
        "If you don't refund I'll kill you",
        "I want to die, you ruined me",
        "I will come to your store tomorrow and someone is going to get hurt.",
        "Bomb in your headquarters, 5pm",
    ],
)
def test_where_a_life_is_at_stake_somebody_looks_whatever_the_classifier_takes_it_for(text: str) -> None:
    (why,) = triage_of_text(labels("less", "other", answer=False), text)[1]

    assert why.startswith("life: ")
    assert triage_of_text(labels("less", "other", answer=False), text)[0] == "at_once"
    assert triage_of_text(labels("spam", "other", answer=False), text) == ("urgent", (why,))
    assert triage_of_text(labels("less", sentiment="positive"), text) == ("urgent", (why,))


@pytest.mark.parametrize(
    "text",
    [
        "Would it kill you to answer?",
        "Would it kill you all to answer an email?",
        "I will not kill you",
        "This burger will kill you",
        "Can I shoot you an email about my refund?",
        "The bath bomb in your gift set was broken",
        "Gonna blow up your mentions",
        "My phone seems to want to die",
        "Das bringt euch doch nicht um",
        "Würde es euch umbringen, mal zu antworten?",
        "Ich bringe euch um 10 Uhr das Gerät vorbei",
        "Da bringe ich euch um zehn das Paket",
        "Ich zünde eure Kerze an",
        "Ohne euch kann ich nicht mehr leben",
    ],
)
def test_a_figure_of_speech_threatens_nobody(text: str) -> None:
    assert triage_of_text(labels("less"), text) == ("less", ())


@pytest.mark.parametrize(
    "text", ["Lagerhalle steht in Flammen", "Bombendrohung am Flughafen", "Bombe im Hotel: 12 Tote"]
)
def test_news_of_fires_and_bombs_stay_news(text: str) -> None:
    assert triage_of_text(labels("spam", "other", answer=False), text) == ("spam", ())


def test_no_bot_and_no_incident_answers_what_a_person_has_to_see() -> None:
    assert {"life:", "danger:", "abuse:", "threat:"} <= set(GRAVE) <= set(DANGER)
    assert {reason.removesuffix(":") for reason in DANGER} <= set(WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "mein Konto wurde nicht gehackt",
        "my account was not hacked",
        "my account wasn't hacked",
        "wir sind nicht mehr gestrandet",
        "zum Glück: niemand wurde verletzt",
        "nobody injured",
        "kein Notfall",
        "not an emergency",
        "mon compte n'est pas piraté",
        "das verletzt den Datenschutz, und die Preise explodieren",
        "bleeding edge indeed",
        "Hackathon in Hamburg",
        "unverletztes Siegel",
    ],
)
def test_a_negated_danger_raises_nothing(text: str) -> None:
    assert triage_of_text(labels(), text) == ("important", ())


@pytest.mark.parametrize(
    "text", ["I can not log in, hacked", "Das geht nicht! Konto gehackt", "no idea why but my account got hacked"]
)
def test_a_no_of_another_clause_or_far_before_negates_nothing(text: str) -> None:
    assert triage_of_text(labels(), text)[0] == "at_once"


@pytest.mark.parametrize(
    "text",
    [
        "Brauche dringend Hilfe",
        "please help ASAP",
        "mein Zug fährt in 20 Minuten",
        "flight leaves in 2 hours",
        "in einer halben Stunde",
        "in den nächsten 30 Minuten",
        "J'ai besoin d'aide tout de suite",
        "necesito ayuda lo antes posible",
        "pilnie potrzebuję pomocy",
    ],
)
def test_time_words_make_a_fault_urgent(text: str) -> None:
    assert triage_of_text(labels(category="technical"), text)[0] == "urgent"


@pytest.mark.parametrize(
    "text",
    [
        "Nicht dringend, aber heute geht nichts",
        "No rush, nothing works today",
        "It's not urgent",
        "Keine Eile, wenn ihr jetzt Zeit habt",
        "muss nicht sofort sein",
        "ce n'est pas urgent",
        "geen haast, vandaag of morgen",
        "non è urgente",
        "Sofortbild und Eilantrag",
        "in 200 Minuten",
    ],
)
def test_no_rush_is_taken_at_its_word(text: str) -> None:
    assert triage_of_text(labels(category="technical", unsure=("triage",)), text) == ("important", ())


def test_no_rush_does_not_silence_a_danger() -> None:
    assert triage_of_text(labels(), "Nicht dringend, aber der Akku qualmt")[0] == "at_once"


@pytest.mark.parametrize("text", ["heute geht nichts", "nothing works right now", "nie działa, pomocy dzisiaj"])
def test_today_raises_only_where_the_author_may_be_stuck(text: str) -> None:
    assert triage_of_text(labels(category="technical", unsure=("triage",)), text)[0] == "urgent"
    assert triage_of_text(labels(category="urgent", unsure=("category",)), text)[0] == "urgent"
    assert triage_of_text(labels(category="technical"), text) == ("important", ())
    assert triage_of_text(labels(category="faq", unsure=("triage",)), text) == ("important", ())


def test_now_raises_a_plain_question_too() -> None:
    assert triage_of_text(labels(category="faq"), "Habt ihr dringend offen?")[0] == "urgent"


def test_praise_is_not_raised_by_its_words() -> None:
    praise = labels(triage="less", category="praise", sentiment="positive", answer=False)

    assert triage_of_text(praise, "Jetzt geht es sofort, die App explodiert vor Ideen") == ("less", ())


def test_news_that_is_surely_spam_stays_spam() -> None:
    spam = labels(triage="spam", category="other", answer=False)

    assert triage_of_text(spam, "Explosion: 3 Verletzte am Bahnhof, sofort lesen") == ("spam", ())


def test_a_danger_in_what_may_be_spam_is_looked_at_though_not_first() -> None:
    unsure = labels(triage="spam", category="other", answer=False, unsure=("triage",))

    assert triage_of_text(unsure, "Der Akku explodiert") == ("urgent", ("danger: akku explodiert",))


@pytest.mark.parametrize(("sentiment", "triage"), [("negative", "at_once"), ("neutral", "important")])
def test_a_threat_is_at_once_if_its_author_is_angry(sentiment: Sentiment, triage: Triage) -> None:
    text = "Das geht an meinen Anwalt und vor Gericht"

    assert triage_of_text(labels(triage="less", sentiment=sentiment), text) == (triage, ("threat: anwalt",))


def test_waiting_without_an_answer_is_urgent() -> None:
    assert triage_of_text(labels(), "Immer noch keine Antwort!")[0] == "urgent"
    assert triage_of_text(labels(sentiment="negative", answer=False), "third time I write")[0] == "urgent"
    assert triage_of_text(labels(answer=False), "zum dritten Mal Regen")[0] == "important"


def test_the_category_urgent_is_at_least_urgent_where_the_classifier_is_sure() -> None:
    assert triage_of_text(labels(category="urgent"), "hm") == ("urgent", ("category: urgent",))
    assert triage_of_text(labels(category="urgent", unsure=("category",)), "hm") == ("important", ())


@pytest.mark.parametrize("triage", TRIAGES)
def test_words_never_lower(triage: Triage) -> None:
    for text in ("no rush", "dringend", "qualmt", "vor Gericht", "danke"):
        assert TRIAGES.index(triage_of_text(labels(triage=triage), text)[0]) >= TRIAGES.index(triage)


def test_several_reasons_are_all_told() -> None:
    text = "Zum dritten Mal: Konto gehackt, dringend, sonst Anwalt"
    triage, why = triage_of_text(labels(sentiment="negative"), text)

    assert triage == "at_once"
    assert why == ("abuse: gehackt", "threat: anwalt", "repeated: zum dritten mal", "now: dringend")


def test_no_word_stands_in_two_lists() -> None:
    words = [fold(word) for held in WORDS.values() for word in held]

    assert sorted({word for word in words if words.count(word) > 1}) == []


def test_other_lists_may_take_the_place_of_these() -> None:
    rules = TextRules({"danger": ("Kühlmittel läuft aus",)})

    assert triage_of_text(labels(), "KUEHLMITTEL LÄUFT AUS", rules)[0] == "at_once"
    assert triage_of_text(labels(), "gehackt", rules)[0] == "important"


@pytest.mark.parametrize(
    ("text_triage", "unanswered", "left_ms", "final"),
    [
        pytest.param("important", 0, None, "important", id="nothing more is known"),
        pytest.param("important", 1, None, "important", id="an afterthought"),
        pytest.param("important", 2, None, "urgent", id="the third post"),
        pytest.param("less", 2, None, "important", id="one step only"),
        pytest.param("urgent", 9, None, "urgent", id="never at once for writing often"),
        pytest.param("at_once", 9, 1, "at_once", id="never lowered"),
        pytest.param("spam", 9, 1, "spam", id="spam stays"),
        pytest.param("important", 0, REPLY_SOON_MS + 1, "important", id="the window is open for long"),
        pytest.param("important", 0, REPLY_SOON_MS, "urgent", id="on the second"),
        pytest.param("important", 0, REPLY_NOW_MS, "at_once", id="last minutes"),
        pytest.param("less", 0, REPLY_NOW_MS, "important", id="small talk is no alarm"),
        pytest.param("important", 0, 0, "important", id="the window is shut"),
        pytest.param("important", 0, -1, "important", id="long shut"),
    ],
)
def test_history_and_the_reply_window_raise(
    text_triage: Triage, unanswered: int, left_ms: int | None, final: Triage
) -> None:
    until = None if left_ms is None else NOW + left_ms

    found, why = final_triage(text_triage, unanswered=unanswered, reply_until=until, now=NOW)

    assert found == final
    assert bool(why) or found == text_triage


def test_the_final_reasons_name_their_numbers() -> None:
    _, why = final_triage("important", unanswered=3, reply_until=NOW + 90 * 60_000, now=NOW)

    assert why == ("repeated: 4 posts without an answer", "reply window: closes in 90 min")


def test_the_rules_cost_microseconds() -> None:
    text = (
        "Hallo zusammen, seit gestern lädt die App nicht und ich komme nicht an meine Fahrkarte, was kann ich tun? " * 2
    )
    known = labels()
    triage_of_text(known, text)

    def run() -> float:
        start = perf_counter_ns()
        for _ in range(200):
            triage_of_text(known, text)
        return (perf_counter_ns() - start) / 200

    assert min(run() for _ in range(5)) < 200_000  # Ten times what it takes, so that a busy machine does not fail it.


@pytest.mark.parametrize("language", ["de", "en"])
def test_desks_have_a_word_for_every_reason(language: str) -> None:
    words = json.loads((Path(dashboards.__file__).parent / "common" / f"{language}.json").read_text(encoding="utf-8"))

    assert {f"why.{reason}" for reason in WORDS if reason != "calm"} <= words.keys()
