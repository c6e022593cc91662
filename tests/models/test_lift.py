"""What a deep encoder teaches the n-grams; the encoder is a fixed function of the letters here."""

from pathlib import Path

import numpy as np
import pytest

from models.classifier import Classifier
from models.errors import Misconfigured
from models.text import normalise
from models.training import soft
from models.training.data import TRIAGE, key, load
from models.training.features import counts, idf_of, weigh
from models.training.lift import SCALE, SCALE_MARGINS, learn
from models.training.own import own_posts
from models.training.run import run
from models.training.soft import DIRECTIONS
from tests.models.small import BITS, COLUMNS_TAUGHT, a_post, say, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def vectors(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("soft") / "soft.npz"
    soft.write(data, load(data), say, path, lambda line: None)
    return path


def test_no_text_of_a_measuring_part_or_of_triage_is_in_the_pool(data: Path) -> None:
    examples = load(data)
    held = {key(e.text) for e in examples if e.part != "train" or e.source == TRIAGE}
    texts = soft.pool(data, examples)

    assert len(texts) > 100
    assert not held & {key(normalise(text)) for text in texts}
    assert len({key(normalise(text)) for text in texts}) == len(texts)


def test_no_set_that_forbids_commercial_use_is_in_the_pool() -> None:
    names = {name for name, _, _ in soft.POOL}

    assert not names & {
        "twcs_spotify_unlabelled",
        "twcs_labelled",
        "twitter_us_airline",
        "germeval2017",
        "support_tickets_de_en",
    }


def test_vectors_are_found_by_their_text_and_the_file_holds_none(data: Path, vectors: Path) -> None:
    held = soft.read(vectors)
    text = normalise(soft.pool(data, load(data))[0])

    assert [said.shape for said in held.of([text])] == [(1, DIRECTIONS), (1, COLUMNS_TAUGHT)]
    assert text.encode() not in vectors.read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK not a zip", None])
def test_a_file_that_holds_no_vectors_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "soft.npz"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(Misconfigured, match=r"--soft: .*soft\.npz is no file of what a deep net says"):
        soft.read(path)


def test_what_is_folded_into_the_table_says_what_it_said_beside_it(data: Path, vectors: Path) -> None:
    held = soft.read(vectors)
    texts = [text for text in map(normalise, soft.pool(data, load(data))) if soft.mark(text) in held.place]
    counted = counts(texts, BITS)
    features = weigh(counted, idf_of(counted)).tocsr()
    lift = learn(features, texts, held, features, lambda line: None)
    weights = np.random.default_rng(1).normal(0, 1, (features.shape[1] + DIRECTIONS + COLUMNS_TAUGHT, 3))

    np.testing.assert_allclose(lift.features(features) @ weights, features @ lift.folded(weights), atol=1e-4)
    spread = (features @ lift.map).std(axis=0)
    # A letter that is nowhere says nothing, and what is said of so few texts has fewer directions than it may have.
    assert set(np.round(spread[:DIRECTIONS], 3)) <= {0.0, SCALE}
    assert (spread[:DIRECTIONS] > 0).sum() > 30
    assert set(np.round(spread[DIRECTIONS:], 3)) <= {0.0, SCALE_MARGINS}


def test_training_with_vectors_gives_the_same_bytes_again_and_labels_that_are_right(
    data: Path, vectors: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        run(data, tmp_path / name, lambda line: None, soft=vectors, bits=BITS)
    posts = [a_post(number, "neu", "written") for number in range(90, 180)]
    found = Classifier(tmp_path / "a").classify([post["text"] for post in posts])

    assert (tmp_path / "a" / "fast.onnx").read_bytes() == (tmp_path / "b" / "fast.onnx").read_bytes()
    assert sum(label.category == post["category"] for label, post in zip(found, posts, strict=True)) > 80


def test_what_was_said_of_other_texts_teaches_nothing(data: Path, vectors: Path, tmp_path: Path) -> None:
    with np.load(vectors) as held:
        others = {name: held[name] for name in held.files}
    others["keys"] = others["keys"] ^ 1
    np.savez(tmp_path / "other.npz", **others)
    lines: list[str] = []
    card = run(data, tmp_path / "out", lines.append, soft=tmp_path / "other.npz", bits=BITS)

    assert not card.lifted
    assert any("0 of its texts" in line for line in lines)


def test_the_file_that_ships_knows_the_posts_that_were_written_for_the_project(tmp_path: Path) -> None:
    held = soft.read(soft.SHIPPED)
    written = [post.text for post in own_posts(tmp_path) if post.text]
    known = sum(soft.mark(normalise(text)) in held.place for text in written)

    assert held.vectors.shape[1] == DIRECTIONS
    assert known > 0.9 * len(written)


def test_the_base_was_asked_of_the_same_posts_and_has_no_word_on_labels() -> None:
    base, net = soft.read(soft.BASE), soft.read(soft.SHIPPED)

    assert base.place == net.place
    assert base.vectors.shape == net.vectors.shape
    assert base.margins.shape == (len(net.margins), 0)
