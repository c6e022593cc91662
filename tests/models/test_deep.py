"""The deep tier: any text gets a label, alone or in company, and the artifact is what its card says."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.classifier import COLUMNS, HEADS, Classifier, decide
from models.deep import CARD_NAME, FOLDER, PIECES_NAME, TOKENS_MAX, WIDTH, DeepClassifier, clean
from models.errors import Misconfigured

HURTFUL = {
    "empty": "",
    "spaces": " \n\t ",
    "emoji": "😡🔥👍🏽👩‍👩‍👧‍👦" * 40,
    "nul": "Hilfe\0\0mein Zug",
    "only nul": "\0",
    "lone surrogate": "kaputt \ud800 hier \udfff",
    "right to left": "\u202eأين طلبي؟ \u202c my order",
    "zalgo": "H" + "\u0301\u0327\u035c" * 500 + "ilfe",
    "mentions": "@a " * 10_000,
    "hundred kilobytes": "Wo bleibt mein Paket? " * 4_600,
    "one long word": "x" * 100_000,
    "private use": "\ue000\uf8ff\U000f0000",
    "entities": "&amp;&lt;&#0;&#xd800;&#1114112;" * 50,
}


@pytest.fixture(scope="module")
def deep() -> DeepClassifier:
    return DeepClassifier()


@pytest.mark.parametrize("text", HURTFUL.values(), ids=HURTFUL)
def test_any_text_gets_a_label_and_a_vector_of_length_one(deep: DeepClassifier, text: str) -> None:
    labels, vectors = deep.read([text])

    assert all(getattr(labels[0], head) in (*HEADS[head], True, False) for head in HEADS)
    assert all(0 <= getattr(labels[0].confidence, head) <= 1 for head in HEADS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_a_text_is_read_alike_alone_and_in_any_company_and_order(deep: DeepClassifier) -> None:
    texts = [*HURTFUL.values(), "Danke für die schnelle Hilfe!", "My train is late again.", "Où est mon colis ?"]
    order = np.random.default_rng(5).permutation(len(texts))
    logits, vectors = deep.logits(texts)
    shuffled, moved = deep.logits([texts[at] for at in order])
    alone = np.concatenate([deep.logits([text])[0] for text in texts])

    # Sums of float32 end in other digits in another company; one step of int8 may fall to its other side by that.
    np.testing.assert_allclose(logits[order], shuffled, atol=0.02)
    np.testing.assert_allclose(vectors[order], moved, atol=0.005)
    np.testing.assert_allclose(logits, alone, atol=0.02)
    assert decide(logits)[0].tolist() == decide(alone)[0].tolist()


class _Fast:
    """Stands for the fast tier: says of every text that it is positive, so strongly."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        said = np.zeros((len(texts), COLUMNS), np.float32)
        said[:, POSITIVE] = self.strength
        return said


POSITIVE = len(HEADS["language"]) + HEADS["sentiment"].index("positive")


def test_what_the_fast_tier_says_of_a_text_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    deep, texts = DeepClassifier(), ["Mein Paket ist da.", "ok"]
    found = []
    for strength in (0.0, 1.0, 2.0):
        monkeypatch.setattr(deep, "_fast", _Fast(strength))
        found.append(deep.logits(texts)[0])
    once, twice = found[1] - found[0], found[2] - found[0]

    assert (once[:, POSITIVE] > 0.05).all()
    np.testing.assert_allclose(twice, 2 * once, atol=1e-4)
    assert np.delete(once, POSITIVE, axis=1) == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(deep.alone(texts)[0], found[0], atol=1e-4)


def test_it_was_fitted_with_the_fast_tier_that_comes_with_it(deep: DeepClassifier) -> None:
    assert deep.card.fast == Classifier().version


def test_one_that_was_fitted_with_another_fast_tier_is_refused(deep: DeepClassifier, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "deep")
    path = tmp_path / "deep" / CARD_NAME
    path.write_text(path.read_text().replace(deep.card.fast, "0011aabbccdd"))

    with pytest.raises(Misconfigured, match=f"fast tier 0011aabbccdd, meant the one that ships, {deep.card.fast}"):
        DeepClassifier(tmp_path / "deep")


def test_no_texts_give_no_labels(deep: DeepClassifier) -> None:
    labels, vectors = deep.read([])

    assert labels == []
    assert vectors.shape == (0, WIDTH)


def test_no_more_pieces_are_read_than_stated(deep: DeepClassifier) -> None:
    assert max(len(row) for row in deep.ids(list(HURTFUL.values()))) == TOKENS_MAX


# As the vocabulary of 250,002 pieces cuts them, read off the original.
PIECES = {
    "Mein Zug fällt schon wieder aus, danke @db_bahn! https://t.co/x": "▁Mein ▁Zug ▁fällt ▁schon ▁wieder ▁aus , ▁danke ▁@ user ! ▁http",
    "My parcel hasn't arrived & nobody answers 😡": "▁My ▁parcel ▁has n ' t ▁arrived ▁& ▁no body ▁answer s ▁ 😡",
    "Où est ma commande ? Je l'attends depuis une semaine.": "▁O ù ▁est ▁ma ▁commande ▁? ▁Je ▁l ' attend s ▁depuis ▁une ▁semaine .",
    "¿Cuándo llega mi pedido? Llevo dos semanas esperando.": "▁¿ Cu á ndo ▁llega ▁mi ▁pedido ? ▁Lle vo ▁dos ▁semanas ▁esperando .",
    "Gdzie jest moja paczka?": "▁Gdzie ▁jest ▁moja ▁pa czka ?",
    "Πού είναι το δέμα μου;": "▁Π ού ▁είναι ▁το ▁ δέ μα ▁μου ;",
    "أين طلبي؟ أنتظر منذ أسبوع": "▁أين ▁طلب ي ؟ ▁أ نتظر ▁منذ ▁أسبوع",
    "Dünden beri cevap bekliyorum.": "▁D ünden ▁beri ▁cevap ▁bekliyor um .",
    "Jag har väntat på ett svar sedan i går.": "▁Jag ▁har ▁vänta t ▁på ▁ett ▁svar ▁sedan ▁i ▁går .",
    "Aștept un răspuns de ieri.": "▁A ște pt ▁un ▁răspuns ▁de ▁ieri .",
    "１２３ ﬁne ＡＢＣ": "▁123 ▁fine ▁ABC",
}


@pytest.mark.parametrize(("text", "pieces"), PIECES.items(), ids=range(len(PIECES)))
def test_the_pruned_vocabulary_cuts_as_the_whole_one(deep: DeepClassifier, text: str, pieces: str) -> None:
    assert deep._pieces.encode(clean(text), out_type=str) == pieces.split()


def test_cleaning_keeps_the_case_of_letters_and_masks_names_and_links() -> None:
    assert (
        clean("@Bahn_Info  IHR SEID &amp; bleibt soooooo\nlahm HTTPS://t.co/x")
        == "@user IHR SEID & bleibt sooo lahm http"
    )
    assert clean("Siehe WwW.Bahn.de, HTTP und www") == "Siehe http http und www"


def test_near_copies_are_nearer_than_other_texts(deep: DeepClassifier) -> None:
    first, copy, other = deep.vectors(
        [
            "Seit heute Morgen ist das Internet in Köln komplett ausgefallen!",
            "das internet in Köln ist seit heute morgen komplett ausgefallen",
            "Vielen Dank für die nette Beratung in der Filiale.",
        ]
    )

    assert first @ copy > 0.8
    assert first @ other < 0.4


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (
            "Hilfe! Mein Konto wurde gehackt, da wird gerade Geld abgebucht!",
            {"language": "de", "category": "urgent", "triage": "at_once", "answer": True},
        ),
        (
            "Thank you so much, your team was amazing and so helpful!",
            {"language": "en", "category": "praise", "sentiment": "positive", "triage": "less", "answer": False},
        ),
        ("Wie lange habt ihr am Samstag geöffnet?", {"language": "de", "category": "faq", "answer": True}),
        (
            "@AppleSupport my phone keeps crashing after the update, how do I fix it?",
            {"language": "en", "category": "technical", "subject": "product", "answer": True},
        ),
        ("Ihr seid so dumme Idioten, verpisst euch!", {"language": "de", "sentiment": "negative", "toxic": True}),
        ("Gdzie jest moja paczka?", {"language": "pl", "answer": True}),
    ],
)
def test_what_is_plain_to_a_reader_is_plain_to_the_artifact(
    deep: DeepClassifier, text: str, labels: dict[str, object]
) -> None:
    found = deep.label([text])[0]

    assert {head: getattr(found, head) for head in labels} == labels


def test_the_card_names_every_file_with_its_hash_and_each_is_small(deep: DeepClassifier) -> None:
    for part in (*deep.card.parts, deep.card.pieces):
        assert hashlib.sha256((FOLDER / part.name).read_bytes()).hexdigest() == part.sha256
        assert (FOLDER / part.name).stat().st_size < 16_000_000
    whole = b"".join((FOLDER / part.name).read_bytes() for part in deep.card.parts)
    assert hashlib.sha256(whole).hexdigest() == deep.card.sha256
    assert deep.version == deep.card.sha256[:12]
    assert len(whole) == deep.card.size_bytes < 50_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "deep"))


@pytest.mark.parametrize("name", [CARD_NAME, PIECES_NAME, "deep.onnx.1"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(Misconfigured, match=f"{name} is missing"):
        DeepClassifier(folder)


@pytest.mark.parametrize("name", [PIECES_NAME, "deep.onnx.0"])
def test_a_file_that_is_not_the_cards_is_refused(folder: Path, name: str) -> None:
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))

    with pytest.raises(Misconfigured, match=f"{name} has the SHA-256"):
        DeepClassifier(folder)


def test_a_card_of_other_labels_is_refused(folder: Path) -> None:
    path = folder / CARD_NAME
    path.write_text(path.read_text(encoding="utf-8").replace('"complaint"', '"rage"'), encoding="utf-8")

    with pytest.raises(Misconfigured, match="rage"):
        DeepClassifier(folder)
