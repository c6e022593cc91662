"""Texts -> Classifications: the shell on a small artifact, and the labels of the real one."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.classifier import COLUMNS, HEADS, RUN_MAX, Classifier, by_letters, columns_of, decide
from models.errors import Misconfigured
from models.labels import GUESS_MIN
from models.text import LENGTH_MIN, code_points, normalise, normalised
from models.training.features import NORM_FLOOR, ORDERS, Floats, table_rows
from models.training.graph import Weights, packed
from tests.models.small import BITS, some_weights, write_artifact

TEXTS = [
    "Hallo @bahn, mein Zug kommt nicht!!!!",
    "",
    "👍",
    "a",
    "Где мой заказ? https://x.ru",
    "lang " * 100,
    "nul\0 mittendrin",
    "\ud800 kaputt",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_artifact(tmp_path)
    return tmp_path


def told(table: Floats, weights: Weights, clean: list[str]) -> Floats:
    sums = np.array([table[table_rows(code_points([text]), BITS)[0]].sum(axis=0) for text in clean])
    return np.asarray(sums[:, 1:] / np.sqrt(sums[:, :1] + NORM_FLOOR) * weights.scale + weights.shift)


def unpacked(weights: Weights) -> Floats:
    table = packed(weights.table)
    units = table.rows[:, : len(table.steps)] * table.steps.astype(np.float64)
    return np.concatenate([units[:, :2].sum(axis=1, keepdims=True), units[:, 2:]], axis=1)


def test_the_graph_computes_what_the_numpy_arithmetic_says(folder: Path) -> None:
    weights, clean = some_weights(), normalised(TEXTS)

    expected = told(unpacked(weights), weights, clean)

    np.testing.assert_allclose(Classifier(folder).logits(clean), expected, rtol=1e-4, atol=1e-4)


def test_a_table_in_int8_says_nearly_what_it_says_unrounded() -> None:
    weights, clean = some_weights(), normalised(TEXTS)

    exact, rounded = told(weights.table.astype(np.float64), weights, clean), told(unpacked(weights), weights, clean)

    # Of weights between -4 and 4 each is off by 4 / 127 / 2 at most, but for the one in ten thousand that is cut off.
    assert np.abs(exact - rounded).mean() < 0.02 * np.abs(exact - weights.shift).mean()


def test_rounding_keeps_squares_of_any_size_and_columns_of_nothing() -> None:
    table = np.zeros((6, 3), np.float32)
    table[1:, 0] = [0.04, 1.0, 36.0, 144.0, 600.0]
    table[1:, 1] = [-3, 1, 2, 3, 0]

    small = packed(table)

    units = small.rows[:, :4] * small.steps
    np.testing.assert_allclose(units[:, 0] + units[:, 1], table[:, 0], atol=600 / (1 << 15))
    np.testing.assert_allclose(units[:, 2], table[:, 1], atol=3 / 127)
    assert not units[:, 3].any()
    assert not small.rows[:, 4:].any()


def test_a_row_that_would_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="63 columns do not fit into rows of 64 bytes"):
        packed(np.zeros((2, 64), np.float32))


@given(st.lists(st.text(st.sampled_from("aA!@ \n\0&;hwtp:/.\u0130\ud800🙂\u0301"), max_size=30), max_size=20))
@example([""] * 10)
@example(["aaa", "aaaa", "!" * 2_000, "a" * 299 + "bbbb", "\n\n\n\n", "", "", "aaaa"])
def test_a_batch_is_normalised_as_each_text_is_alone(texts: list[str]) -> None:
    assert normalised(texts) == [normalise(text) for text in texts]


def test_a_text_is_labelled_alike_alone_and_in_any_company(folder: Path) -> None:
    classifier = Classifier(folder)
    texts = TEXTS * (3 * RUN_MAX // len(TEXTS))

    assert classifier.classify(texts) == [classifier.classify([text])[0] for text in texts]


def test_no_texts_give_no_labels(folder: Path) -> None:
    assert Classifier(folder).classify([]) == []


def test_confidence_is_the_softmax_and_the_value_its_peak() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (50, COLUMNS)).astype(np.float32)
    values, confidence = decide(logits)

    start = 0
    for place, (_, names) in enumerate(HEADS.items()):
        columns = logits[:, start : start + (len(names) if len(names) > 2 else 1)].astype(float)
        start += columns.shape[1]
        if columns.shape[1] == 1:
            columns = np.concatenate([np.zeros_like(columns), columns], axis=1)
        chances = np.exp(columns) / np.exp(columns).sum(axis=1, keepdims=True)
        assert values[:, place].tolist() == chances.argmax(axis=1).tolist()
        np.testing.assert_allclose(confidence[:, place], chances.max(axis=1))


def test_of_equal_logits_the_first_value_counts_and_a_logit_of_nothing_is_a_no() -> None:
    values, confidence = decide(np.zeros((2, COLUMNS), np.float32))

    assert not values.any()
    np.testing.assert_allclose(confidence, [[1 / len(names) for names in HEADS.values()]] * 2)


def test_the_least_that_a_logit_can_be_above_nothing_is_a_yes() -> None:
    logits = np.zeros((1, COLUMNS), np.float32)
    logits[:, columns_of("toxic")] = np.finfo(np.float32).smallest_subnormal

    assert decide(logits)[0].tolist() == [[0, 0, 0, 0, 0, 0, 1]]


def test_logits_as_high_as_float32_goes_make_no_nan() -> None:
    _, confidence = decide(np.full((1, COLUMNS), 3e38, np.float32))

    assert np.isfinite(confidence).all()


@pytest.mark.parametrize(("threshold", "unsure"), [(0.0, ()), (1.01, tuple(HEADS))])
def test_labels_below_their_threshold_are_unsure(tmp_path: Path, threshold: float, unsure: tuple[str, ...]) -> None:
    write_artifact(tmp_path, threshold=threshold)

    assert Classifier(tmp_path).classify(["irgendwas"])[0].unsure == unsure


def test_confidence_is_rounded_to_three_places(folder: Path) -> None:
    sure = Classifier(folder).classify(["irgendwas"])[0].confidence

    assert all(round(getattr(sure, head), 3) == getattr(sure, head) for head in HEADS)


def test_labels_survive_json(folder: Path) -> None:
    label = Classifier(folder).classify(["irgendwas"])[0]

    assert msgspec.json.decode(msgspec.json.encode(label), type=type(label)) == label


def test_the_version_is_that_of_the_content(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", some_weights(1))
    write_artifact(tmp_path / "b", some_weights(2))
    write_artifact(tmp_path / "c", some_weights(1))
    versions = [Classifier(tmp_path / name).version for name in "abc"]

    assert versions[0] == versions[2] != versions[1]
    assert len(versions[0]) == 12


@pytest.mark.parametrize("name", ["fast.onnx", "fast.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(Misconfigured, match=f"{name} is missing"):
        Classifier(folder)


def test_a_graph_that_is_not_the_cards_is_refused(folder: Path) -> None:
    graph = folder / "fast.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\x00")

    with pytest.raises(Misconfigured, match="SHA-256"):
        Classifier(folder)


def test_a_card_that_cannot_be_read_is_refused(folder: Path) -> None:
    (folder / "fast.json").write_text("{}")

    with pytest.raises(Misconfigured, match="no card"):
        Classifier(folder)


def test_a_card_of_other_labels_is_refused(folder: Path) -> None:
    path = folder / "fast.json"
    path.write_text(path.read_text().replace('"complaint"', '"rage"'))

    with pytest.raises(Misconfigured, match="rage"):
        Classifier(folder)


@pytest.fixture(scope="module")
def real() -> Classifier:
    return Classifier()


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (
            "Hilfe! Mein Konto wurde gehackt, da wird gerade Geld abgebucht!",
            {"language": "de", "category": "urgent", "triage": "at_once", "answer": True},
        ),
        (
            "My account was hacked and someone is taking money out right now, please help!",
            {"language": "en", "category": "urgent", "triage": "at_once", "answer": True},
        ),
        (
            "Vielen Dank für die schnelle Hilfe, ihr seid super!",
            {"language": "de", "category": "praise", "sentiment": "positive", "triage": "less", "answer": False},
        ),
        (
            "Thank you so much, your team was amazing and so helpful!",
            {"language": "en", "category": "praise", "sentiment": "positive", "triage": "less", "answer": False},
        ),
        ("Wie lange habt ihr am Samstag geöffnet?", {"language": "de", "category": "faq", "answer": True}),
        ("What time do you open on Saturday?", {"language": "en", "category": "faq", "answer": True}),
        (
            "Meine App stürzt seit dem Update ständig ab.",
            {"language": "de", "category": "technical", "subject": "product", "answer": True},
        ),
        (
            "@AppleSupport my phone keeps crashing after the update, how do I fix it?",
            {"language": "en", "category": "technical", "subject": "product", "answer": True},
        ),
        ("Ihr seid so dumme Idioten, verpisst euch!", {"language": "de", "sentiment": "negative", "toxic": True}),
        ("You are a bunch of fucking idiots", {"language": "en", "sentiment": "negative", "toxic": True}),
        ("Où est ma commande ? Je l'attends depuis une semaine.", {"language": "fr", "toxic": False}),
        ("Dove posso trovare il mio ordine?", {"language": "it"}),
        ("Waar blijft mijn pakket nou toch?", {"language": "nl"}),
        ("Gdzie jest moja paczka?", {"language": "pl"}),
        ("Πού είναι το δέμα μου;", {"language": "el"}),
    ],
)
def test_what_is_plain_to_a_reader_is_plain_to_the_real_artifact(
    real: Classifier, text: str, labels: dict[str, object]
) -> None:
    found = real.classify([text])[0]

    assert {head: getattr(found, head) for head in labels} == labels


@pytest.mark.parametrize("text", ["hi", "Hi!", "ja", "ok", "@fennkom hi"])
def test_what_has_next_to_no_letters_is_unsure_of_its_language(real: Classifier, text: str) -> None:
    assert "language" in real.classify([text])[0].unsure


@pytest.mark.parametrize(
    "text",
    ["?", "...", "", "@fennkom ???", "https://t.co/a 👍", "😡😡😡", "😀 " * 22, "@a @b @c @d @e @f @g @h ?"],
)
def test_what_has_no_letters_tells_no_language(real: Classifier, text: str) -> None:
    found = real.classify([text])[0]

    assert "language" in found.unsure and found.confidence.language < GUESS_MIN


@pytest.mark.parametrize(("text", "language"), [("нет", "ru"), ("नहीं", "hi"), ("danke", "de"), ("thanks", "en")])
def test_a_word_that_tells_its_language_still_does(real: Classifier, text: str, language: str) -> None:
    found = real.classify([text, "und noch ein Text daneben"])[0]

    assert found.language == language and "language" not in found.unsure


def test_letters_matter_to_the_language_alone(real: Classifier) -> None:
    plain = ["ok", "ich warte seit Tagen"]
    logits = real.logits(plain)
    read = by_letters(logits, plain)

    np.testing.assert_array_equal(read[1], logits[1])
    language = columns_of("language")
    np.testing.assert_allclose(read[0, language], logits[0, language] / 2)
    np.testing.assert_array_equal(read[0, language.stop :], logits[0, language.stop :])


@pytest.mark.parametrize("text", ["Kommt hier noch wer?", "Der Bus war heute blau.", "naja"])
def test_where_the_real_artifact_may_err_it_says_that_it_is_unsure(real: Classifier, text: str) -> None:
    assert "category" in real.classify([text])[0].unsure


def test_the_real_artifact_tells_fourteen_languages_by_a_sentence(real: Classifier) -> None:
    sentences = {
        "de": "Ich warte seit gestern auf eine Antwort.",
        "en": "I have been waiting for an answer since yesterday.",
        "fr": "J'attends une réponse depuis hier.",
        "es": "Estoy esperando una respuesta desde ayer.",
        "pt": "Estou à espera de uma resposta desde ontem.",
        "sv": "Jag har väntat på ett svar sedan i går.",
        "fi": "Olen odottanut vastausta eilisestä lähtien.",
        "hu": "Tegnap óta várok a válaszra.",
        "tr": "Dünden beri cevap bekliyorum.",
        "ro": "Aștept un răspuns de ieri.",
        "uk": "Я чекаю на відповідь з учорашнього дня.",
        "ru": "Я жду ответа со вчерашнего дня.",
        "bg": "Чакам отговор от вчера, кога ще ми пишете?",
        "ar": "أنا أنتظر الرد منذ أمس",
    }

    assert [label.language for label in real.classify(list(sentences.values()))] == list(sentences)


def test_the_real_artifact_fits_the_repository(real: Classifier) -> None:
    assert real.card.size_bytes < 26_000_000


def test_the_shortest_text_is_as_long_as_the_longest_n_gram() -> None:
    assert code_points([""]).shape == (1, LENGTH_MIN)
    assert max(ORDERS) == LENGTH_MIN
