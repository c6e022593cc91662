"""``zuruf train`` and ``zuruf evaluate``: progress on the standard error, figures on the standard output, one HTML report."""

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from agents.classify import Classifies, tier_of
from models.classifier import HEADS
from models.errors import Misconfigured

BAR: Final = 24
REPORT: Final = "report.html"
LABELLED_AT_ONCE: Final = 2_048


class Bar:
    """A progress bar where somebody looks, lines where nobody does."""

    def __init__(self, total: int, out: TextIO | None = None) -> None:
        """
        Args:
            total: Steps that are expected; more do no harm.
            out: Where to; None: the standard error.
        """
        self._total, self._out, self._done = total, out or sys.stderr, 0
        self._began = time.monotonic()
        self._live = self._out.isatty()

    def step(self, text: str) -> None:
        """A step is done; ``text`` says what came of it."""
        self._done += 1
        if self._live:
            self._out.write("\r\033[K")  # The bar's line becomes the step's.
        self._out.write(f"{self._lead()} {text}\n")
        if self._live and self._done < self._total:
            self._out.write(self._drawn())
        self._out.flush()

    def _lead(self) -> str:
        return f"{min(self._done, self._total):>3}/{self._total} {time.monotonic() - self._began:>6.1f} s "

    def _drawn(self) -> str:
        filled = BAR * min(self._done, self._total) // self._total
        return f"        [{'=' * filled}{' ' * (BAR - filled)}]"


def train(data: Path, out: Path, *, with_nc: bool, soft: Path | None = None) -> int:
    """Train the fast classifier, write it with its cards and a report; return the exit status."""
    from models.training import train as run
    from models.training.soft import SHIPPED

    soft = soft or SHIPPED
    if not soft.is_file():
        raise Misconfigured.at("command line", "--soft", str(soft), "soft.npz of the deep tier's training")
    _need_folder(out, out)
    bar = Bar(len(HEADS) + 6)
    run(data, out, bar.step, with_nc=with_nc, soft=soft)
    _report(data, out, "fast", out / REPORT, bar)
    return 0


def evaluate(data: Path, artifact: Path | None, tier: str, out: Path, *, as_json: bool) -> int:
    """
    Measure a tier on texts that it was not trained on, and write the report.

    Args:
        data: Folder of the sets.
        artifact: Of the fast tier; None for the one that ships.
        tier: fast or deep.
        out: The HTML file.
        as_json: Print the figures as one JSON object, else as a short table.

    Raises:
        Misconfigured: If a set, the weights or the packages of ``zuruf[train]`` are missing.
    """
    from models.training import need_extra

    need_extra()
    _need_folder(out.parent, out)
    if out.is_dir():
        raise Misconfigured.at("command line", "--out", str(out), "a file, as in report.html")
    if artifact is not None and tier != "fast":
        raise Misconfigured.at("command line", "--artifact", str(artifact), "with --tier fast alone")
    figures = _report(data, artifact, tier, out, Bar(5 if tier == "fast" else 4))
    print(json.dumps(figures, ensure_ascii=False) if as_json else _table(figures))  # noqa: T201  # the command's output
    return 0


def _need_folder(folder: Path, given: Path) -> None:
    """Make the folder, and refuse one that cannot be written into before the work and not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured.at(
            "command line", "--out", str(given), f"a place to write to ({error.strerror})"
        ) from error
    if not all(os.access(one, os.W_OK) for one in (folder, given) if one.exists()):
        raise Misconfigured.at("command line", "--out", str(given), "a place to write to")


def _report(data: Path, artifact: Path | None, tier: str, out: Path, bar: Bar) -> dict[str, Any]:
    from models.classifier import Classifier
    from models.training.data import load
    from models.training.evaluate import MEASURING
    from models.training.report import crossed_again, groups_of, page, scores_by_head

    classifier: Any = Classifier(artifact) if tier == "fast" else tier_of(tier)
    everything = load(data)
    examples = [example for example in everything if example.part in MEASURING]
    bar.step(f"{len(examples):,} texts to measure on")
    labelled = _labelled(classifier, [example.text for example in examples])
    bar.step(f"labelled by the {tier} tier")
    groups = groups_of(examples, labelled)
    if tier == "fast":
        groups += crossed_again(everything)
        bar.step("data/triage cross-validated for the plots")
    card = getattr(classifier, "card", None)
    crossed = card.scores.get("cross_validated", {}) if card is not None else {}
    learning = _learning(data, artifact) if tier == "fast" else None
    bar.step("a tenant's corrections replayed" if learning else "no tenant's corrections replayed")
    facts = {"version": str(classifier.version), "texts": f"{len(examples):,}, none of them trained on"}
    thresholds = card.thresholds if card is not None else {}
    html = page(f"Zuruf: the {tier} tier", facts, groups, crossed, thresholds, learning)
    out.write_text(html, encoding="utf-8")
    bar.step(f"{out} is written, {len(html.encode()) / 1e6:.1f} MB")
    measured = scores_by_head(groups)
    return {"version": classifier.version, "measured": measured, "cross_validated": crossed, "learning": learning}


def _labelled(classifier: Classifies, texts: Sequence[str]) -> list[Any]:
    out: list[Any] = []
    for start in range(0, len(texts), LABELLED_AT_ONCE):
        out += classifier.classify(texts[start : start + LABELLED_AT_ONCE])
    return out


def _learning(data: Path, artifact: Path | None) -> dict[str, Any] | None:
    """Return the learning curve; None, said aloud, where its set is not there."""
    from models.training.learn_curve import curve

    try:
        return curve(data, artifact)
    except Misconfigured as missing:
        sys.stderr.write(f"zuruf: no learning curve: {missing}\n")
        return None


def _share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _table(figures: dict[str, Any]) -> str:
    """Return the figures as lines to read: a head, a set and its measures."""
    lines = [f"version {figures['version']}"]
    for how in ("cross_validated", "measured"):
        for head, groups in figures[how].items():
            lines += [
                "",
                f"{head}, {how.replace('_', ' ')}",
                f"  {'set':<44}{'texts':>8}{'accuracy':>10}{'macro-F1':>10}",
            ]
            lines += [
                f"  {name:<44}{row['texts']:>8,.0f}{row['accuracy']:>10.3f}{_share(row.get('macro_f1')):>10}"
                for name, row in groups.items()
            ]
    return "\n".join(lines)
