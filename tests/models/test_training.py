"""From sets to an artifact, on a small folder of made-up sets."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.classifier import HEADS, Classifier
from models.errors import Misconfigured
from models.text import code_points, normalise
from models.training import need_extra, train
from models.training.calibrate import calibrate, calibration_error, probabilities, threshold
from models.training.data import SOURCES, TRIAGE, Example, is_bound, key, load, near_keys, read_triage
from models.training.evaluate import evaluate, macro_f1, macro_recall
from models.training.features import WORD_WEIGHT, bucket_ids, counts, hashes, idf_of, size, weigh, word_hashes
from models.training.run import run
from tests.models.small import BITS, a_post, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def trained(data: Path, told: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    run(data, out, told.append, bits=BITS)
    return out


def test_an_artifact_that_was_just_trained_finds_what_its_words_give_away(trained: Path) -> None:
    posts = [a_post(number, "neu", "written") for number in range(90, 180)]
    found = Classifier(trained).classify([post["text"] for post in posts])

    for head in ("sentiment", "category", "subject", "triage"):
        right = [getattr(label, head) == post[head] for label, post in zip(found, posts, strict=True)]
        assert sum(right) / len(right) > 0.9, head
    assert [label.answer for label in found] == [post["answer"] == "yes" for post in posts]


def test_training_again_gives_the_same_bytes(data: Path, trained: Path, tmp_path: Path) -> None:
    run(data, tmp_path, lambda line: None, bits=BITS)

    for name in ("fast.onnx", "fast.json", "fast.md"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_evaluating_gives_scores_of_sets_that_were_not_trained_on(data: Path, trained: Path) -> None:
    scores = evaluate(data, trained)

    assert scores["version"] == Classifier(trained).version
    assert scores["measured"]["sentiment"]["tweeteval_sentiment val"]["macro_f1"] > 0.9
    assert scores["cross_validated"]["category"]["triage"]["macro_f1"] > 0.9
    assert not [name for head in scores["measured"].values() for name in head if "train" in name]


def test_the_card_names_what_was_trained_on_and_under_which_licence(trained: Path) -> None:
    sources = {
        (source["set"], source["licence"]) for source in json.loads((trained / "fast.json").read_text())["sources"]
    }

    assert ("triage", "own") in sources
    assert ("davidson_hate", "MIT") in sources
    assert "twitter_us_airline" not in {name for name, _ in sources}
    assert "90 posts of data/triage" in (trained / "fast.md").read_text()


def test_sets_that_forbid_commercial_use_are_trained_on_only_if_asked_for(data: Path) -> None:
    def bound(examples: list[Example]) -> set[str]:
        return {e.source for e in examples if e.part == "train" and e.source != TRIAGE and is_bound(e.licence)}

    assert bound(load(data)) == set()
    assert bound(load(data, with_nc=True)) == {"germeval2017", "twitter_us_airline"}


def test_what_has_labels_of_chance_teaches_its_language_alone() -> None:
    read = next(source.read for source in SOURCES if source.name == "umsab_tweet_sentiment")

    assert read({"lang": "hi", "sentiment": "positive"}) == {"language": "hi"}
    assert read({"lang": "pt", "sentiment": "positive"}) == {"language": "pt", "sentiment": "positive"}


def test_posts_of_triage_are_trained_on_whatever_the_licence_of_their_texts(data: Path) -> None:
    posts = [example for example in load(data) if example.source == TRIAGE]

    assert {example.part for example in posts} == {"train"}
    assert any(is_bound(example.licence) for example in posts)


def test_weights_that_must_not_ship_say_so(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path, lambda line: None, with_nc=True, bits=BITS)

    assert "must not be shipped" in (tmp_path / "fast.md").read_text()


def test_progress_tells_each_head(trained: Path, told: list[str]) -> None:
    assert [line.split(":")[0] for line in told[1:]] == list(HEADS)


def test_a_missing_set_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"posts\.jsonl is missing"):
        train(tmp_path / "nowhere", tmp_path, lambda line: None)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.training.find_spec", lambda name: None if name == "onnx" else object())

    with pytest.raises(Misconfigured, match=r"training needs onnx: pip install 'zuruf\[train\]'"):
        need_extra()


def test_no_text_of_a_measuring_part_is_trained_on(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    held = (data / "tweeteval_sentiment" / "val.csv").read_text().splitlines()[1]
    for name in ("potts", "davidson_hate"):
        with (data / name / "train.csv").open("a") as file:
            file.write(held.upper().replace("TWEETEVAL", "@someone TWEETEVAL") + "\n")
    examples = load(data)
    measured = {key(example.text) for example in examples if example.part not in ("train", "held")}

    assert not [
        e for e in examples if e.part == "train" and e.source != "language_id_lingua" and key(e.text) in measured
    ]


def test_posts_of_triage_are_in_no_other_training_part(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    text = read_triage(data)[0].text
    with (data / "potts" / "train.csv").open("a") as file:
        file.write(f"{text},de,negative,OTHER,0,hate,hate,lost_card,,true,sentences\n")

    assert [example.source for example in load(data) if example.text == text] == ["triage"]


def test_a_post_of_triage_that_another_set_measures_with_is_scored_and_not_trained_on(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    text = read_triage(data)[0].text
    with (data / "sb10k" / "test.csv").open("a") as file:
        file.write(f"{text},de,negative,OTHER,0,hate,hate,lost_card,,true,sentences\n")

    assert [example.part for example in load(data) if example.text == text] == ["held", "test"]


def test_folds_are_blocks_of_neighbouring_ids_of_equal_size(data: Path) -> None:
    folds = [example.fold for example in read_triage(data)]

    assert folds == sorted(folds[:90]) + sorted(folds[90:])
    assert np.bincount(folds).tolist() == [36] * 5


@pytest.mark.parametrize("other", ["Danke , @b : toll !", "danke, toll http://x.de", "DANKE: TOLL"])
def test_two_copies_of_a_text_have_one_key_whatever_a_set_did_to_it(other: str) -> None:
    assert key(normalise(other)) == key(normalise("@a Danke, toll"))


def test_a_long_text_with_another_end_is_nearly_the_same() -> None:
    text = "Seit drei Wochen warte ich auf die Antwort eurer Abteilung wegen der Rechnung"

    assert set(near_keys(f"{text} @user eins")) & set(near_keys(f"{text} noch etwas anderes"))
    assert set(near_keys(f"rt @user {text}")) & set(near_keys(text))
    assert not set(near_keys("danke euch")) & set(near_keys("danke euch sehr"))


def test_a_training_text_that_is_nearly_one_of_a_measuring_part_is_left_out(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    text = "ein langer satz der in der prüfung steht und den man an seinem anfang auch wiedererkennt ohne ende"
    for name, part, end in (("sb10k", "test", " eins"), ("potts", "train", " zwei und drei")):
        with (data / name / f"{part}.csv").open("a") as file:
            file.write(f"{text}{end},de,negative,OTHER,0,hate,hate,lost_card,,true,sentences\n")

    assert [(e.source, e.part) for e in load(data) if e.text.startswith("ein langer satz")] == [("sb10k", "test")]


def test_padding_adds_no_bucket() -> None:
    alone = bucket_ids(code_points(["ab"]), BITS)
    padded = bucket_ids(code_points(["ab", "long enough to pad"]), BITS)[0]

    assert sorted(alone[alone > 0]) == sorted(padded[padded > 0])


def test_a_text_counts_each_of_its_ngrams() -> None:
    # " ab " has 4 + 3 + 2 + 1 n-grams of one to four characters and none of five, and one word.
    assert counts(["ab", ""], 20).sum(axis=1).tolist() == [[11.0], [3.0]]


def test_an_ngram_may_begin_or_end_with_a_space_and_reaches_over_none() -> None:
    # " a bc ": six of one character, five of two; of three " a ", " bc" and "bc ", of four " bc ".
    assert [int((order > 0).sum()) for order in hashes(code_points(["a bc"]))] == [6, 5, 3, 1, 0]


def test_a_word_is_the_same_wherever_it_stands_and_its_letters_in_another_order_are_not() -> None:
    singles, pairs = word_hashes(code_points(["der zug, der zug", "guz red der", "zug"]))

    assert singles[0, 0] == singles[0, 2] == singles[1, 2] != singles[1, 1]
    assert singles[0, 1] == singles[2, 0] != singles[1, 0]
    assert pairs[0, 0] == pairs[0, 2] != pairs[0, 1]
    assert not singles[2, 1:].any() and not pairs[2].any()


def test_words_lie_behind_the_characters_and_weigh_more() -> None:
    counted = counts(["ab cd", "ab cd"], 12)
    words = counted[:, 1 << 12 :]

    assert counted.shape == (2, size(12))
    assert words.sum(axis=1).tolist() == [[3.0], [3.0]]
    assert idf_of(counted)[[*words.indices + (1 << 12)]].tolist() == [WORD_WEIGHT] * 6


def test_ngrams_of_one_text_alone_weigh_nothing() -> None:
    counted = counts(["aa", "aa", "zz"], 20)
    idf = idf_of(counted)

    assert idf[counts(["aa"], 20).indices].min() > 0
    only = set(counts(["zz"], 20).indices) - set(counts(["aa"], 20).indices)
    assert not idf[list(only)].any()
    assert np.isfinite(weigh(counts(["", "qqq"], 20), idf).toarray()).all()


def test_calibration_undoes_what_margins_overstate() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(0, 1.5, (6000, 3))
    labels = np.array([rng.choice(3, p=row) for row in probabilities(true)])
    found = calibrate(true * 7 + [0, 3, -2], labels, np.ones(6000))
    chances = probabilities(found.logits(true * 7 + [0, 3, -2]))

    assert calibration_error(chances.max(axis=1), chances.argmax(axis=1) == labels) < 0.03
    np.testing.assert_allclose(found.scale, 1 / 7, rtol=0.15)


def test_calibration_of_one_column_is_a_probability_of_the_second_value() -> None:
    margins = np.array([[-1.0], [1.0]] * 50)
    labels = np.array([0, 1] * 45 + [1, 0] * 5)
    chances = probabilities(calibrate(margins, labels, np.ones(100)).logits(margins))

    assert chances[1, 1] == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(chances.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param(0.5, 0.0, id="all together are good enough"),
        pytest.param(0.75, 0.6, id="the surer part is"),
        pytest.param(1.0, 0.9, id="the surest are"),
    ],
)
def test_the_threshold_is_the_lowest_that_reaches_the_target(target: float, expected: float) -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    right = np.array([True, False, True, True, False, False])

    assert threshold(confidence, right, np.ones(6), target) == expected


def test_a_target_that_nothing_reaches_makes_all_unsure() -> None:
    assert threshold(np.array([0.9, 0.8]), np.array([False, False]), np.ones(2), 0.9) == 1.0


def test_the_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    assert calibration_error(np.array([0.9, 0.9]), np.array([True, False])) == pytest.approx(0.4)


def test_macro_measures_count_each_value_alike() -> None:
    labels, found = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])

    assert macro_recall(labels, found) == 0.5
    assert macro_f1(labels, found) == pytest.approx((6 / 7) / 2)
