"""An evaluation as one HTML file: tables and plots, no script, nothing fetched, light and dark."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.classifier import HEADS, width
from models.labels import Classification
from models.training import plots
from models.training.calibrate import calibrate, probabilities
from models.training.data import FOLDS, TRIAGE, Example
from models.training.evaluate import grouped, score
from models.training.features import counts, idf_of, weigh
from models.training.fit import fit, label_ids
from models.training.run import BITS

Ids = NDArray[np.int64]

PLOTS_MAX: Final = 3
"""Groups of a head that are drawn; the others stand in its table."""
MATRIX_MAX: Final = 9
"""Values that a matrix shows; of more, the commonest mistakes are listed."""
MISTAKES_MAX: Final = 12

CROSSED: Final = ("category", "subject", "triage", "answer")
"""Heads that data/triage alone labels."""

MEASURES: Final = {
    "texts": "texts",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "macro_recall": "macro-recall",
    "calibration_error": "calibration error",
}


class Group(Struct, frozen=True):
    """What a classifier said of a head on the texts of one set."""

    head: str
    name: str
    labels: Ids
    """True values, places in the head's. Shape (n,)."""
    found: Ids
    confidence: NDArray[np.float64]
    how: str = "held out"
    """Or ``cross-validated``."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each text was labelled as it should."""
        return np.asarray(self.labels == self.found)

    @property
    def scores(self) -> dict[str, float]:
        """All measures."""
        return score(self.labels, self.found, self.confidence)


def groups_of(examples: Sequence[Example], labelled: Sequence[Classification]) -> list[Group]:
    """Return the groups of all heads: what a tier has said of texts that it was not trained on, by set and language."""
    out: list[Group] = []
    for head, values in HEADS.items():
        place = {value: at for at, value in enumerate(values)}
        rows = [at for at, example in enumerate(examples) if head in example.labels]
        true = np.array([place[examples[row].labels[head]] for row in rows], np.int64)
        found = np.array([place[_word(getattr(labelled[row], head))] for row in rows], np.int64)
        sure = np.array([getattr(labelled[row].confidence, head) for row in rows], np.float64)
        out += [
            Group(head, name, true[places], found[places], sure[places])
            for name, places in sorted(grouped(examples, rows).items())
        ]
    return out


def crossed_again(examples: Sequence[Example]) -> list[Group]:
    """
    Return what heads say of the posts of data/triage, each fitted on the other four fifths of them.

    The artifact has seen these posts, so its own word on them says nothing. Here the same heads are fitted anew on
    data/triage alone, which is quick and within a point or two of the card's figures: for the plots.
    """
    posts = [example for example in examples if example.source == TRIAGE]
    counted = counts([example.text for example in posts], BITS)
    features = weigh(counted, idf_of(counted)).tocsr()
    folds = np.array([example.fold for example in posts])
    out: list[Group] = []
    for head in CROSSED:
        labels = label_ids(posts, head)
        margins = np.zeros((len(posts), width(head)))
        for fold in range(FOLDS):
            seen, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            margins[unseen] = fit(head, features[seen], [posts[row] for row in seen]).margins(features[unseen])
        out.append(_calibrated(head, labels, margins, folds))
    return out


def _calibrated(head: str, labels: Ids, margins: NDArray[np.float64], folds: Ids) -> Group:
    """Return a head's group, each fold calibrated on the others."""
    found, sure = np.zeros(len(labels), np.int64), np.zeros(len(labels))
    for fold in range(FOLDS):
        inside = folds == fold
        fitted = calibrate(margins[~inside], labels[~inside], np.ones(int((~inside).sum())))
        chances = probabilities(fitted.logits(margins[inside]))
        found[inside], sure[inside] = chances.argmax(axis=1), chances.max(axis=1)
    return Group(
        head,
        f"{TRIAGE}, fitted to it alone for the plots",
        labels,
        found,
        sure,
        "cross-validated; what ships learnt from more",
    )


def _word(value: str | bool) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else value


def scores_by_head(groups: Iterable[Group]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the figures as plain values: head -> set -> measure -> value."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for group in groups:
        out.setdefault(group.head, {})[group.name] = group.scores
    return out


def page(
    title: str,
    facts: Mapping[str, str],
    groups: Sequence[Group],
    crossed: Mapping[str, Mapping[str, Mapping[str, float]]],
    thresholds: Mapping[str, float],
    learning: Mapping[str, Any] | None = None,
) -> str:
    """
    Return the report.

    Args:
        title: Its heading.
        facts: Shown below the heading, in order.
        groups: Of all heads.
        crossed: Figures by cross-validation that the card brings: head -> set -> measure -> value.
        thresholds: Of each head: below it a label is unsure.
        learning: What ``learn_curve.curve`` gives; None where its set is absent.
    """
    heads = [head for head in HEADS if head in crossed or any(group.head == head for group in groups)]
    links = "".join(f'<a href="#{head}">{_name(head)}</a>' for head in heads)
    if learning is not None:
        links += '<a href="#learning">learning</a>'
    body = [f"<header><h1>{escape(title)}</h1>{_facts(facts)}<nav>{links}</nav></header>"]
    for head in heads:
        mine = [group for group in groups if group.head == head]
        body.append(_head(head, mine, crossed.get(head, {}), thresholds.get(head, 0.0)))
    if learning is not None:
        body.append(_learning(learning))
    return _html(title, "\n".join(body))


def _name(head: str) -> str:
    return "toxicity" if head == "toxic" else head


def _facts(facts: Mapping[str, str]) -> str:
    return (
        "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()) + "</dl>"
    )


def _head(head: str, groups: Sequence[Group], crossed: Mapping[str, Mapping[str, float]], threshold: float) -> str:
    rows = [(group.name, group.how, group.scores) for group in groups]
    rows += [
        (name, "cross-validated", dict(row)) for name, row in crossed.items() if name not in {g.name for g in groups}
    ]
    parts = [f'<section id="{head}"><h2>{_name(head)}</h2>', _scores(rows)]
    # The largest sets first, and of one set and its languages the whole alone.
    drawn: list[Group] = []
    for group in sorted(groups, key=lambda one: -len(one.labels)):
        if len(drawn) < PLOTS_MAX and not any(group.name.startswith(f"{one.name} ") for one in drawn):
            drawn.append(group)
    parts += [_plots(head, group, threshold) for group in drawn]
    return "".join([*parts, "</section>"])


def _scores(rows: Sequence[tuple[str, str, Mapping[str, float]]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in MEASURES.values())
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td>{how}</td>"
        + "".join(f"<td>{_figure(m, row)}</td>" for m in MEASURES)
        + "</tr>"
        for name, how, row in rows
    )
    return f'<div class="wide"><table><thead><tr><th>set</th><th>how</th>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _figure(measure: str, row: Mapping[str, float]) -> str:
    if measure not in row:
        return "–"
    return f"{row[measure]:,.0f}" if measure == "texts" else f"{row[measure]:.3f}"


def _plots(head: str, group: Group, threshold: float) -> str:
    kind = f"{escape(group.name)} · {len(group.labels):,} texts, {group.how}"
    figures = [_figure_of("which value is taken for which", _confusion(head, group))]
    figures.append(
        _figure_of("whether a probability means what it says", plots.reliability(group.confidence, group.right))
    )
    figures.append(
        _figure_of(
            f"how good the surest labels are; threshold {threshold:.2f}",
            plots.coverage(group.confidence, group.right, threshold),
        )
    )
    return f'<h3>{kind}</h3><div class="plots">{"".join(figures)}</div>'


def _figure_of(caption: str, drawn: str) -> str:
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _confusion(head: str, group: Group) -> str:
    """Draw the matrix of the values that occur; of many, list the commonest mistakes."""
    occurring = np.union1d(group.labels, group.found)
    if len(occurring) > MATRIX_MAX:
        return _mistakes(head, group)
    names = [HEADS[head][value] for value in occurring]
    return plots.confusion(np.searchsorted(occurring, group.labels), np.searchsorted(occurring, group.found), names)


def _mistakes(head: str, group: Group) -> str:
    wrong = ~group.right
    pairs, counts = np.unique(np.stack([group.labels[wrong], group.found[wrong]], axis=1), axis=0, return_counts=True)
    totals = np.bincount(group.labels, minlength=len(HEADS[head]))
    lines = "".join(
        f"<tr><td>{HEADS[head][pairs[at][0]]}</td><td>{HEADS[head][pairs[at][1]]}</td><td>{counts[at]:,}</td>"
        f"<td>{counts[at] / totals[pairs[at][0]]:.1%}</td></tr>"
        for at in np.argsort(-counts, kind="stable")[:MISTAKES_MAX]
    )
    head_row = "".join(f"<th>{name}</th>" for name in ("is", "found", "texts", "of its own"))
    return f"<table><thead><tr>{head_row}</tr></thead><tbody>{lines}</tbody></table>"


# -- learning -------------------------------------------------------------------------------------------------------


_OF_LEARNING: Final = {
    "accuracy": "accuracy",
    "macro_recall": "macro-recall",
    "accuracy_both": "both tiers",
    "accuracy_deep": "deep",
}


def _learning(found: Mapping[str, Any]) -> str:
    steps = found["learning"]
    series = {
        "accuracy": [(step["corrections"], step["accuracy"]) for step in steps],
        "macro-recall": [(step["corrections"], step["macro_recall"]) for step in steps],
    }
    columns, twice = ["accuracy", "macro_recall"], ""
    if all("accuracy_both" in step for step in steps):
        series["accuracy of both tiers"] = [(step["corrections"], step["accuracy_both"]) for step in steps]
        columns += ["accuracy_both", "accuracy_deep"]
        twice = " Both tiers: what stands where posts that are worth a second reading had one."
    heads = "".join(f"<th>{_OF_LEARNING[column]}</th>" for column in columns)
    rows = "".join(
        f"<tr><td>{step['corrections']:,}</td>{''.join(f'<td>{step[column]:.3f}</td>' for column in columns)}"
        f"<td>{step['kind']}</td></tr>"
        for step in steps
    )
    poison = "".join(
        f"<tr><td>{escape(one['poison'])}</td><td>{one['honest_before']:,}</td><td>{one['poisoned']:,}</td>"
        f"<td>{one['accuracy_before']:.3f}</td><td>{one['accuracy_after']:.3f}</td><td>{one['promotions']}</td></tr>"
        for one in found["poisoned"]
    )
    return f"""<section id="learning"><h2>learning from reps</h2>
<p>A tenant that the classifier has not seen: the US airline set, sentiment, {found["test_texts"]:,} texts that no
correction is about. A challenger takes over only where it is better on corrections that it was not fitted on.{twice}</p>
<div class="plots">{_figure_of("a new tenant's corrections", plots.curves(series, "corrections", "share"))}
<div class="wide"><table class="second"><thead><tr><th>corrections</th>{heads}<th>head</th></tr></thead>
<tbody>{rows}</tbody></table></div></div>
<h3>Poisoned corrections</h3><div class="wide"><table class="second"><thead><tr><th>labels</th><th>honest before</th>
<th>poisoned</th><th>accuracy before</th><th>after</th><th>promotions</th></tr></thead>
<tbody>{poison}</tbody></table></div></section>"""


# -- the page -------------------------------------------------------------------------------------------------------

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2230; --faint: #5d6675; --paper: #fbfbf9; --card: #fff; --rule: #d5d9df;
  --one: #1f6f8b; --two: #c2571a; --three: #5b7f2b; --four: #7a4fa3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --faint: #a2abb8; --paper: #14171c; --card: #1c2027;
  --rule: #3a414c; --one: #58b4d1; --two: #ec8c4f; --three: #9cc46a; --four: #b893dd; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 3.5rem) 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .75rem; } h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
h2::first-letter { text-transform: uppercase; }
h3 { font-size: .95rem; font-weight: 600; color: var(--faint); margin: 1.5rem 0 .5rem; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 1.25rem 1.5rem; margin-top: 1.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0; }
dt { color: var(--faint); } dd { margin: 0; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; margin-top: 1rem; } a { color: var(--one); }
.wide { overflow-x: auto; max-width: 100%; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--faint); }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--rule); }
td:nth-child(n+3), th:nth-child(n+3), .second :is(td, th):nth-child(2) { text-align: right; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; overflow-x: auto; } figcaption { color: var(--faint); font-size: .85rem; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .faint { fill: var(--faint); font-size: 10.5px; }
svg .strong { font-weight: 600; } p { max-width: 70ch; }
@media (max-width: 480px) { body { padding-inline: .5rem; } section { padding-inline: .65rem; } }
"""


def _html(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body>{body}</body></html>\n"
    )
