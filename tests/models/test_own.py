"""Posts labelled for the project beside data/triage: read, found by digest, kept apart from what is measured with."""

import csv
import os
from pathlib import Path

import pytest

from models.classifier import HEADS
from models.errors import Misconfigured
from models.text import normalise
from models.training import own
from models.training.data import TRIAGE, is_bound, load, near_keys, own_texts, read_own
from models.training.own import LABELS, READ, WRITTEN, own_posts
from models.training.soft import POOL, pool
from tests.models.small import write_data

SHARED = Path(os.environ.get("ZURUF_SHARED", Path(__file__).parents[3] / "shared")) / "data"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def rewrite(path: Path, change: dict[str, str]) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        first, *rest = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(first))
        rows.writeheader()
        rows.writerows([{**first, **change}, *rest])


def test_own_posts_are_learnt_from_and_never_measured_with(data: Path) -> None:
    mine = [example for example in load(data) if example.source in (WRITTEN, READ)]

    assert {(example.source, example.part, example.fold) for example in mine} == {
        (WRITTEN, "train", -1),
        (READ, "train", -1),
    }
    assert all(set(example.labels) == set(LABELS) for example in mine)
    assert [example.written for example in mine] == [True] * 12 + [False] * 6


def test_a_post_that_was_read_gets_its_text_from_its_set(data: Path) -> None:
    texts = [text for row, text in own_texts(data) if row.origin]

    assert len(texts) == 6
    assert all(text.startswith("sb10k train") for text in texts)


def test_a_text_that_its_set_lacks_is_named(data: Path) -> None:
    rewrite(data / "own" / "read.csv", {"digest": "00" * 16})

    with pytest.raises(Misconfigured, match="sb10k lacks 1 texts"):
        load(data)


def test_a_label_that_is_none_is_named_with_its_file(data: Path) -> None:
    rewrite(data / "own" / "written.csv", {"category": "rant"})

    with pytest.raises(Misconfigured, match=r"written\.csv: category is 'rant'; meant is one of urgent, technical"):
        load(data)


def test_a_missing_file_is_named(data: Path) -> None:
    (data / "own" / "read.csv").unlink()

    with pytest.raises(Misconfigured, match=r"read\.csv is missing"):
        load(data)


def test_what_triage_holds_too_is_not_learnt_twice(data: Path) -> None:
    twin = next(example.text for example in load(data) if example.source == TRIAGE)
    rewrite(data / "own" / "written.csv", {"text": twin})

    assert [example.source for example in load(data) if example.text == twin] == [TRIAGE]


def test_the_encoder_reads_what_was_written_too(data: Path) -> None:
    written = {text for row, text in own_texts(data) if row.text}

    assert written <= set(pool(data, load(data)))


def test_what_ships_is_well_formed_and_comes_from_sets_that_may_be_learnt_from() -> None:
    posts = own_posts(Path("nowhere"))
    read, written = [row for row in posts if row.digest], [row for row in posts if row.text]

    assert len(read) + len(written) == len(posts)
    assert len({row.digest for row in read}) == len(read)
    assert len({normalise(row.text) for row in written}) == len(written)
    assert {row.origin for row in read} <= {name for name, _, _ in POOL}
    assert all(row.labels[head] in HEADS[head] for row in posts for head in LABELS[1:])
    assert "text" not in csv.DictReader((own.FOLDER / "read.csv").open(encoding="utf-8")).fieldnames  # type: ignore[operator]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sets of shared/data are not here")
def test_no_post_that_ships_is_near_one_that_something_is_measured_with() -> None:
    held = {each for e in load(SHARED) if e.source == TRIAGE or e.part != "train" for each in near_keys(e.text)}
    mine = read_own(SHARED)

    assert not [example.text for example in mine if held.intersection(near_keys(example.text))]
    assert not [example.licence for example in mine if is_bound(example.licence)]
