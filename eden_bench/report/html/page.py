"""Render the page: its policy, its sections, and the templates beside this file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import jinja2
from markupsafe import Markup

from eden_bench.audit.storage import Audits
from eden_bench.printable import printable
from eden_bench.report import summary, words
from eden_bench.report.across import text as across_text
from eden_bench.report.diagnostics.diagnostic import shown
from eden_bench.report.findings import Across
from eden_bench.report.html import methods, origins, tables
from eden_bench.report.html.blocks import anchors
from eden_bench.report.tables import Report

_TEMPLATES = Path(__file__).parent / "templates"


class Picture(Protocol):
    """A figure as ``eden_bench.figures`` draws it."""

    @property
    def name(self) -> str:
        """Short name, for its anchor."""
        ...

    @property
    def title(self) -> str:
        """Heading."""
        ...

    @property
    def caption(self) -> str:
        """What is drawn, of how many."""
        ...

    @property
    def svg(self) -> str:
        """One <svg> element, or "" where the caption says all."""
        ...

    @property
    def task(self) -> str:
        """Of whose records it is, where it is of one task's, which then points to it."""
        ...


def render(report: Report, figures: Iterable[Picture] = (), audits: Audits | None = None) -> str:
    """Render a report as one HTML file.

    Args:
        report: what to show.
        figures: to stand in the page as they are; their text must be escaped already.
        audits: what ``data audit`` found, for the section on leakage.
    """
    style, script = (_read(name) for name in ("style.css", "tables.js"))
    page = (
        _environment()
        .get_template("report.html")
        .render(
            policy=policy(script),
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            figures=list(figures),
            **_sections(report, audits or {}),
        )
    )
    return printable(page)


def policy(script: str) -> str:
    """Return the content security policy: no source is allowed but this script, inline styles and inline images."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _sections(report: Report, audits: Audits) -> dict[str, Any]:
    """Return what the template shows, section by section."""
    names = anchors(report.tables)
    return {
        "banner": words.marks(report),
        "research": words.RESEARCH_ONLY,
        "can": list(summary.can_say(report)),
        "cannot": list(summary.cannot_say(report)),
        "counts": tables.counts(report),
        "overviews": tables.overviews(report, names),
        "tasks": [tables.section(table, names[table.heading]) for table in report.tables],
        "across_legend": across_text.LEGEND,
        "across": [_across(found) for found in report.across],
        "diagnostics": [
            {"about": each, "rows": [list(map(shown, row)) for row in each.rows]} for each in report.diagnostics
        ],
        "methods": methods.rows(report),
        "data": origins.datasets(report),
        "leakage": origins.leakage(report, audits),
        "environment": origins.environment(report),
        "cite": origins.citations(report),
        "passages": words.passages(report),
        "failures": report.failures,
    }


def _across(found: Across) -> dict[str, Any]:
    return {
        "title": across_text.title(found),
        "tables": found.tables,
        "columns": across_text.columns(found),
        "rows": across_text.rows(found),
        "improvement": across_text.improvement_rows(found),
        "sentences": across_text.sentences(found),
    }


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
