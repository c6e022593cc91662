"""``zuruf classify``: labels of texts from the command line or a file, as a table to read or as JSON lines for scripts."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from msgspec import Struct

from models.errors import Misconfigured
from models.labels import Classification
from models.triage import triage_of_text

NAMES: Final[dict[str, str]] = {
    "language": "language",
    "sentiment": "sentiment",
    "category": "category",
    "subject": "subject",
    "triage": "triage",
    "answer": "answer",
    "toxicity": "toxic",
}
"""What a label is called outside -> the classifier's head."""
TIERS: Final = ("fast", "deep")
LINE_BYTES_MAX: Final = 2 << 20  # A post of 256 KB, each byte of it escaped.
READ_BYTES: Final = 1 << 16
BATCH: Final = 64
FAILED: Final = 1


class Classifies(Protocol):
    """A tier."""

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """Return the labels of each text."""


class Line(Struct, frozen=True):
    """One line of a file: its text, or what is wrong with it."""

    number: int
    """From 1."""
    text: str = ""
    fault: str = ""


def tier_of(name: str) -> Classifies:
    """
    Load a tier.

    Raises:
        Misconfigured: If its weights are missing.
    """
    if name == "fast":
        from models.classifier import Classifier

        return Classifier()
    try:
        deep = import_module("models.deep")
    except ImportError as missing:
        raise Misconfigured(f"--tier deep: {missing}; this installation has the fast tier alone") from missing
    return Deep(deep.DeepClassifier())


class Deep:
    """The deep tier, asked as the fast one is."""

    def __init__(self, tier: Any) -> None:
        self._tier = tier
        self.card: Any = tier.card
        self.version: str = tier.version

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """Return the labels of each text."""
        found: list[Classification] = self._tier.label(texts)
        return found


# -- values ---------------------------------------------------------------------------------------------------------


def value_of(labels: Classification, name: str) -> str:
    """Return a label's value as a word."""
    value = getattr(labels, NAMES[name])
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def probability_of(labels: Classification, name: str) -> float:
    """Return the calibrated probability of a label's value, 0..1."""
    return float(getattr(labels.confidence, NAMES[name]))


def as_plain(labels: Classification) -> dict[str, Any]:
    """Return the labels as a script reads them: name -> value and its probability."""
    return {name: {"value": value_of(labels, name), "p": probability_of(labels, name)} for name in NAMES}


# -- a file ---------------------------------------------------------------------------------------------------------


def lines_of(descriptor: int, name: str) -> Iterator[list[Line]]:
    """
    Yield the lines of a file of JSON objects in groups, each as soon as it was written: a pipe is answered at once.

    Args:
        descriptor: Of the open file.
        name: As people know it, for messages.
    """
    number, rest, skipping = 0, b"", False
    while True:
        chunk = os.read(descriptor, READ_BYTES)
        *whole, rest = (rest + chunk).split(b"\n")
        found: list[Line] = []
        if not chunk and (rest or skipping):  # The last line has no end of its own.
            whole, rest = [*whole, rest], b""
        for raw in whole:
            number += 1
            if skipping:
                skipping = False
                found.append(Line(number, fault=_at(name, number, f"more than {LINE_BYTES_MAX} bytes", _MEANT)))
            elif raw.strip():
                found.append(line_of(raw, name, number))
        if len(rest) > LINE_BYTES_MAX:
            rest, skipping = b"", True
        yield from (found[start : start + BATCH] for start in range(0, len(found), BATCH))
        if not chunk:
            return


_MEANT: Final = 'a JSON object with "text", as in {"text": "..."}'


def _at(name: str, number: int, found: str, meant: str) -> str:
    return f"{name}:{number}: found {found}, meant {meant}"


def line_of(raw: bytes, name: str, number: int) -> Line:
    """Read one line. Lone surrogates, which broken programs write, are text like any other."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return Line(number, fault=_at(name, number, f"{_shown(raw)} ({error})", _MEANT))
    text = value.get("text") if isinstance(value, dict) else None
    if isinstance(text, str):
        return Line(number, text)
    if isinstance(value, dict):
        found = f'"text" {json.dumps(text)[:60]}' if "text" in value else f"the fields {_shown(', '.join(value))}"
    else:
        found = _shown(raw)
    return Line(number, fault=_at(name, number, found, _MEANT))


def _shown(raw: bytes | str) -> str:
    text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
    text = text.encode(errors="replace").decode()
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


# -- what is printed ------------------------------------------------------------------------------------------------

Reasons = Callable[[str, str], Sequence[str]]
"""Text and name of a label -> what speaks for its value."""


def fast_reasons(classifier: Any) -> Reasons:
    """Return the reasons that the fast tier can give."""
    from models.reasons import reasons

    def told(text: str, name: str) -> Sequence[str]:
        return [reason.text for reason in reasons(text, NAMES[name], classifier, 3)]

    return told


def table(text: str, labels: Classification, reasons: Reasons | None) -> str:
    """Return one text's labels as an aligned table, with what the stream's word lists raise its triage to."""
    rows = [(name, value_of(labels, name), probability_of(labels, name)) for name in NAMES]
    wide = max(len(value) for _, value, _ in rows)
    lines = [_short(text)]
    raised, _ = triage_of_text(labels, text)
    for name, value, chance in rows:
        note = "unsure" if NAMES[name] in labels.unsure else ""
        if name == "triage" and raised != labels.triage:
            note = f"raised to {raised}"
        why = " · ".join(reasons(text, name)) if reasons is not None else ""
        lines.append(f"  {name:<10}{value:<{wide + 2}}{chance:>5.0%}  {note:<7} {why}".rstrip())
    return "\n".join(lines)


def _short(text: str) -> str:
    line = " ".join(text.encode(errors="replace").decode().split())
    shown = "".join(one if one.isprintable() else "\ufffd" for one in line)
    return shown if len(shown) <= 110 else f"{shown[:107]}..."


class Printer:
    """Prints labels in the order of their lines, each group at once."""

    def __init__(
        self, tier: Classifies, reasons: Reasons | None, *, as_json: bool, out: TextIO, errors: TextIO
    ) -> None:
        """
        Args:
            tier: Labels texts.
            reasons: None: no reasons are given.
            as_json: One JSON object a line, else tables.
        """
        self._tier, self._reasons, self._as_json = tier, reasons, as_json
        self._out, self._errors = out, errors
        self.faults = 0

    def print(self, lines: Sequence[Line]) -> None:
        """Print a group; where a line is no good, its fault stands in its place and on the standard error too."""
        good = [line for line in lines if not line.fault]
        labelled = iter(self._tier.classify([line.text for line in good]))
        for line in lines:
            self._out.write((self._bad(line) if line.fault else self._good(line.text, next(labelled))) + "\n")
        self._out.flush()

    def _good(self, text: str, labels: Classification) -> str:
        if not self._as_json:
            return table(text, labels, self._reasons) + "\n"
        plain = as_plain(labels)
        if self._reasons is not None:
            for name, label in plain.items():
                label["reasons"] = list(self._reasons(text, name))
        return json.dumps(plain)

    def _bad(self, line: Line) -> str:
        self.faults += 1
        self._errors.write(f"zuruf classify: {line.fault}\n")
        self._errors.flush()
        return json.dumps({"error": line.fault}) if self._as_json else f"{line.fault}\n"


def run(
    texts: Sequence[str], file: Path | None, tier: str, *, as_json: bool, reasons: bool, out: TextIO | None = None
) -> int:
    """
    Label texts and print them.

    Args:
        texts: From the command line.
        file: JSON lines; ``-`` is standard input; None: there are texts.
        tier: fast or deep.
        as_json: One JSON object a line.
        reasons: With what speaks for each label; the fast tier alone can say that.
        out: Where to; None: the standard output.

    Returns:
        0, or 1 if a line was no good.

    Raises:
        Misconfigured: If there is neither text nor file, or both, or the tier cannot be loaded.
    """
    if bool(texts) == (file is not None):
        raise Misconfigured(
            "command line: found " + ("texts and --file" if texts else "no text") + ", meant TEXT... or --file F"
        )
    with_reasons = reasons if as_json else tier == "fast"
    if as_json and reasons and tier != "fast":
        raise Misconfigured.at("command line", "--reasons", tier, "--tier fast: the deep tier cannot name its reasons")
    classifier = tier_of(tier)
    told = fast_reasons(classifier) if with_reasons else None
    printer = Printer(classifier, told, as_json=as_json, out=out or sys.stdout, errors=sys.stderr)
    for group in _groups(texts, file):
        printer.print(group)
    return FAILED if printer.faults else 0


def _groups(texts: Sequence[str], file: Path | None) -> Iterable[list[Line]]:
    if file is None:
        return [[Line(number, text) for number, text in enumerate(texts, 1)]]
    return _read(file)


def _read(file: Path) -> Iterator[list[Line]]:
    if str(file) == "-":
        if sys.stdin is None:
            raise Misconfigured.at("command line", "--file", "-", "a standard input that is open")
        yield from lines_of(sys.stdin.fileno(), "standard input")
        return
    try:
        opened = file.open("rb", buffering=0)
    except OSError as error:
        raise Misconfigured.at(
            "command line", "--file", str(file), f"a file of JSON lines ({error.strerror})"
        ) from error
    with opened:
        yield from lines_of(opened.fileno(), str(file))
