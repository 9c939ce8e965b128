"""A report computed by several processes is the report computed by one."""

import os
from pathlib import Path

import numpy as np

from eden_bench.cli.report_files import rendered
from eden_bench.contracts import ScoreDefinition
from eden_bench.figures import style
from eden_bench.report import analysis, workers
from eden_bench.report.build import build
from tests.eden_bench.stored import patients, store

AUC = ScoreDefinition(name="auc", text="", statistic="auc")


def stored():
    """Return cells of three tasks with a score that is a mean, and of one with probabilities."""
    draw = np.random.default_rng(0)
    made = [
        store(None, method, float(values.mean()), seed, task=task, cases=patients(values.tolist()))
        for task in ("scr-heart", "scr-lung", "scr-clavicle")
        for method in ("adam", "densecl", "random")
        for seed in range(3)
        for values in [draw.normal(0.8, 0.05, 12)]
    ]
    for method, seed in ((method, seed) for method in ("adam", "densecl") for seed in range(3)):
        films, target = draw.random(40), np.arange(40) % 2
        columns = {"probability_mass": films.tolist(), "target_mass": target.tolist()}
        names = [f"p{number:02}" for number in range(40)]
        value = float(np.mean(films[target == 1][:, None] > films[target == 0][None]))
        kind = {"task": "films", "score": AUC, "kind": "classification"}
        made.append(store(None, method, value, seed, **kind, cases={"case": names, "patient": names, **columns}))
    return made


def test_several_processes_compute_what_one_does(monkeypatch):
    here, seen = os.getpid(), []
    alone = build(stored(), diagnosed=True)
    large_from_now(monkeypatch)
    monkeypatch.setattr(analysis, "_read", told(analysis._read, lambda: seen.append(os.getpid())))
    several = build(stored(), diagnosed=True)
    assert seen == []  # tables were read elsewhere
    assert os.getpid() == here
    assert several.tables == alone.tables
    assert several.diagnostics == alone.diagnostics
    assert several.across == alone.across
    assert any(table.pairs for table in several.tables)
    assert several.diagnostics


def large_from_now(monkeypatch):
    """Take every report for a large one."""
    monkeypatch.setattr(workers, "FEW", 1)
    monkeypatch.setattr(workers, "processes", lambda: 2)


def test_several_processes_draw_and_write_what_one_does(monkeypatch, tmp_path):
    report, here, seen = build(stored(), diagnosed=True), os.getpid(), []
    alone = files(report, tmp_path / "alone")
    large_from_now(monkeypatch)
    monkeypatch.setattr(style, "finished", told(style.finished, lambda: seen.append(os.getpid())))
    several = files(report, tmp_path / "several")
    assert seen == []  # figures were finished elsewhere
    assert os.getpid() == here
    assert several == alone
    assert {Path(name).suffix for name in several} == {".svg", ".pdf", ".md", ".tex", ".csv", ".json", ".html"}


def files(report, out):
    """Render a report with its figures; return everything that was made, by name."""
    made = rendered(out, report, probes=False, figures=True)
    drawn = {file.name: file.read_bytes() for file in (out / "report" / "figures").iterdir()}
    return drawn | {f"report.{form}": text for form, text in made.items()}


def told(function, tell):
    """Return a function that tells of each call."""

    def telling(*given):
        tell()
        return function(*given)

    return telling
