"""The words around a report's numbers: what they cover, what chose the epoch, what may not be concluded.

Markdown and HTML print all of it; a terminal prints ``in_short``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from eden_bench.contracts import PERCENT
from eden_bench.records import Record
from eden_bench.report import claim_text
from eden_bench.report.tables import Report, Table

RESEARCH_ONLY = (
    "For research only: these scores compare ways of pretraining. They do not say that a model may be used on "
    "patients, and no model here is a medical device."
)
_COVERS = (
    "95 % interval: Student's t interval of the mean over seeds; it holds for the one checkpoint, split and test set "
    "there is, not for another pretraining or other patients, and may reach beyond {limits}."
)
_TWO_LEVELS = (
    "A row whose n is for example 3 × 10 has 3 pretrainings with 10 seeds each: its s.d., interval and test are over "
    "the means of the pretrainings, and hold for the method's pretraining too, not for other patients."
)
_ONCE = "Where a task is done once a checkpoint, a row of one checkpoint has one score and no s.d."
_PAPERS_TEST = (
    "Independent two-sample t-test with pooled variance, two-sided, as in the paper. Its opponent is the best of the "
    "others, picked on these same scores, and p is not corrected for the number of tests: both make p smaller than it "
    "should be. Tests in this report: {count}."
)
_VERDICTS = (
    "Each compared pair of rows ends in one verdict. better or worse: the 95 % interval of the difference leaves 0 out "
    "and the corrected p is below 0.05 (by Holm in the family; outside it by the false discovery rate, by which one "
    "claim of twenty is expected to be false). equivalent: the difference lies within the margin that was set for the "
    "score beforehand. undecided: these cells cannot tell, which is no proof of equality. no claim: cells are missing "
    "or unequal.",
    "A verdict for these checkpoints covers other fine-tuning seeds and other patients like these; another pretraining "
    "of the same two methods may turn it round. A verdict for the methods covers that too, and is not asked where a "
    "method has fewer than three pretrainings.",
)
_BEST = (
    "best?: each row against the best of all others, whichever that is, with intervals that hold for all rows of all "
    "tables together, since the row on top was picked on these same scores; for these checkpoints, not for the "
    "methods. yes: above all others; may be: not told apart from the best; no: below it."
)
_MARKS = {
    "PHANTOM": "PHANTOM: made from synthetic images. The code is the real one, the numbers are toys and claim nothing "
    "of patients.",
    "QUICK": "QUICK: made with a small network and a recipe of minutes instead of the paper's. An order of methods "
    "found so need not be theirs.",
    "PART": "PART: made from a part of the images only. Scores of other parts, and of the whole, differ.",
}


class Passage(NamedTuple):
    """A heading and the sentences below it."""

    title: str
    sentences: tuple[str, ...]


def passages(report: Report) -> list[Passage]:
    """Return everything that a reader should know of the numbers of a report, only of what is in it."""
    found = [Passage(title, tuple(say(report))) for title, say in _SAID.items()]
    return [passage for passage in found if passage.sentences]


def legend(report: Report) -> str:
    """Return all passages as one text."""
    return " ".join(sentence for passage in passages(report) for sentence in passage.sentences)


def in_short(report: Report) -> list[str]:
    """Return the few words that a table on a terminal needs."""
    units = " or ".join(dict.fromkeys(table.score.unit or "bare numbers" for table in report.tables))
    over = "pretrainings where n is a × b, else seeds of one checkpoint" if _two_levels(report) else "seeds"
    tests = _tests(report)
    papers = f" t: the paper's test, p not corrected ({tests} in this report)." if tests and not _pairs(report) else ""
    return [f"Scores in {units}; s.d. and interval over {over}, not over patients.{papers} For research only."]


def marks(report: Report) -> list[str]:
    """Explain the marks that tables of a report have."""
    words = [word.partition(":")[0] for table in report.tables for word in table.marks.words]
    return [text for mark, text in _MARKS.items() if mark in words]


def budgets(report: Report) -> list[str]:
    """Return the few-shot budgets of a report's tables."""
    told: dict[str, list[str]] = {}
    for table in report.tables:
        if table.budget:
            told.setdefault(table.budget_text, []).append(f"{table.task} with {table.shots} images")
    return [f"{text[0].upper()}{text[1:]}: {', '.join(where)}." for text, where in told.items()]


def selection(report: Report) -> list[str]:
    """Say which images chose the weights that were scored, in fine-tuning and in pretraining."""
    records = [record for table in report.tables for row in table.rows for record in row.cells.values()]
    return [*_chosen_in_tuning(records), *_chosen_in_pretraining(records)]


def _the_table(report: Report) -> list[str]:
    if not report.tables:
        return []
    units = dict.fromkeys(table.score.unit or "bare numbers" for table in report.tables)
    limits = "0 to 100" if list(units) == [PERCENT] else "a score's bounds"
    first = [
        f"Scores in {' or '.join(units)}.",
        "s.d.: of the scores over seeds, ddof 1.",
        _COVERS.format(limits=limits),
    ]
    levels = [_TWO_LEVELS] if _two_levels(report) else []
    return [*first, *levels, *([_ONCE] if any(table.once for table in report.tables) else [])]


def _the_papers_test(report: Report) -> list[str]:
    count = _tests(report)
    return [_PAPERS_TEST.format(count=count)] if count else []


def _verdicts(report: Report) -> list[str]:
    if not _pairs(report):
        return []
    best = [_BEST] if any(table.best for table in report.tables) else []
    return [*_VERDICTS, *([report.family] if report.family else []), *best]


def _probes(report: Report) -> list[str]:
    text = claim_text.legend(report.tables).strip()
    return [text] if text else []


def _tests(report: Report) -> int:
    return sum(comparison.test is not None for table in report.tables for comparison in table.comparisons)


def _pairs(report: Report) -> bool:
    return any(table.pairs for table in report.tables)


def _two_levels(report: Report) -> bool:
    return any(row.levels == 2 for table in report.tables for row in table.rows)


def _chosen_in_tuning(records: Iterable[Record]) -> list[str]:
    """Say what chose the step of fine-tuning that was scored."""
    told = [record.content.get("training") for record in records]
    trained = [each for each in told if isinstance(each, dict) and type(each.get("best_step")) is int]
    counts = sorted({each["validation_images"] for each in trained if type(each.get("validation_images")) is int})
    if not trained:
        return []
    if not counts or counts == [0]:
        return ["Fine-tuning: the last step is scored; no images chose it."]
    images = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return [
        f"Fine-tuning: of each run the step with the lowest loss on validation images ({images} of them) is scored; "
        "test images chose nothing."
    ]


def _chosen_in_pretraining(records: Iterable[Record]) -> list[str]:
    """Say what chose the epoch of pretraining that was handed on, by rule."""
    rules: dict[str, list[str]] = {}
    for record in records:
        selected = record.checkpoint.card.selected
        if selected is not None:
            rules.setdefault(str(selected.get("rule")), []).append(record.label)
    text = {
        "best": "the epoch with the lowest loss on validation images of the pretraining set",
        "last": "the last epoch, which no images chose",
    }
    named = {rule: ", ".join(dict.fromkeys(labels)) for rule, labels in sorted(rules.items())}
    return [f"Pretraining: {text.get(rule, rule)} was handed on ({labels})." for rule, labels in named.items()]


def _research(report: Report) -> list[str]:
    return [RESEARCH_ONLY]


_SAID: dict[str, Callable[[Any], Iterable[str]]] = {
    "The marks": marks,
    "The table": _the_table,
    "The verdicts": _verdicts,
    "The paper's own test": _the_papers_test,
    "Probes": _probes,
    "What chose the weights": selection,
    "Few-shot budget": budgets,
    "What it is for": _research,
}


def of_table(table: Table) -> list[str]:
    """Return the notes of a table that a terminal has room for: not where each row's weights come from."""
    long = {f"{row.label}: {row.origin}" for row in table.rows}
    return [note for note in table.notes if note not in long and not note.startswith("pretraining compared, equal")]
