"""
The vocabulary, pruned: of 250,002 pieces for a hundred languages those that posts in our 29 need.

A Unigram tokenizer takes the likeliest way to cut a text. If all pieces of that way are kept, it stays the
likeliest, so a pruned vocabulary cuts every text as the whole one does, but for texts with a dropped piece.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.training.deep.base import Base

SPECIAL: Final = ("<s>", "<pad>", "</s>", "<unk>")
"""The first pieces of the base, in its order; their ids do not change."""

SCRIPTS: Final = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "DEVANAGARI")
"""Scripts that our languages are written in, by the first word of their letters' names in Unicode."""

_SPACE: Final = "\u2581"


def tokenizer(pieces: Sequence[str], scores: Iterable[float]) -> bytes:
    """
    Write a model for sentencepiece: Unigram, its rule nmt_nfkc, a space before the first word.

    Args:
        pieces: The first four are ``SPECIAL``; a piece's place is its id.
        scores: Logarithm of each piece's probability.
    """
    from sentencepiece import sentencepiece_model_pb2 as proto

    model: Any = proto.ModelProto()
    model.ParseFromString(_rules())
    del model.pieces[:]
    kinds = proto.ModelProto.SentencePiece
    for place, (piece, score) in enumerate(zip(pieces, scores, strict=True)):
        kind = kinds.NORMAL if place > 3 else kinds.UNKNOWN if piece == "<unk>" else kinds.CONTROL
        model.pieces.add(piece=piece, score=float(score), type=kind)
    spec = model.trainer_spec
    spec.Clear()
    spec.model_type = proto.TrainerSpec.UNIGRAM
    spec.vocab_size = len(pieces)
    spec.bos_id, spec.pad_id, spec.eos_id, spec.unk_id = 0, 1, 2, 3
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _rules() -> bytes:
    """Return a model of a few letters, for the compiled rules of normalisation in it."""
    import io

    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f"] * 9),
        model_writer=out,
        vocab_size=12,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    return out.getvalue()


def met(pieces: int, model: bytes, texts: Iterable[str]) -> NDArray[np.int64]:
    """Count how often each piece occurs in the texts. Shape (pieces,)."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    counted: Counter[int] = Counter()
    for text in texts:
        counted.update(processor.encode(text.encode("utf-8", "replace").decode()))
    out = np.zeros(pieces, np.int64)
    out[list(counted)] = list(counted.values())
    return out


_WORD: Final = re.compile(r"[^\W\d_]+")


def prune(base: Base, counted: NDArray[np.int64], pieces_max: int) -> NDArray[np.int64]:
    """
    Choose the pieces to keep, in the order of their ids.

    First all single characters of our scripts, so that every word can be spelled; then what occurs
    in ``counted``; then what is most frequent in the base's own corpus, until there are ``pieces_max``.
    """
    ours = np.array([_ours(piece) for piece in base.pieces])
    single = np.array([len(piece.lstrip(_SPACE)) <= 1 for piece in base.pieces])
    tier = np.select([single & ours, counted > 0, ours], [3, 2, 1], 0)
    tier[: len(SPECIAL)] = 4
    tier[base.pieces.index("<mask>")] = 0
    kept = np.lexsort((-base.scores, -tier))[:pieces_max]
    return np.sort(kept[tier[kept] > 0])


def _ours(piece: str) -> bool:
    """Return whether all letters of a piece are of our scripts; signs, digits and emoji are everyone's."""
    letters = "".join(_WORD.findall(piece.replace(_SPACE, "")))
    return all(unicodedata.name(letter, "").startswith(SCRIPTS) for letter in letters)
