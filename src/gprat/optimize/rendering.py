"""The report of training as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat._text import as_plain_text, make_table

if TYPE_CHECKING:
    from gprat.optimize.report import Start, TrainingReport

__all__ = ["as_text"]


def as_text(report: TrainingReport) -> str:
    """Return tables of plain text, 100 characters wide at most."""
    return as_plain_text(_rendered(report))


def _rendered(report: TrainingReport) -> Group:
    sections: list[Text | Table] = [Text(_headline(report)), _hyperparameters(report)]
    if len(report.stages) > 1:
        sections.append(_stages(report))
    if len(report.starts) > 1:
        sections.append(_starts(report))
    if report.advice:
        sections.append(Text("\n".join(f"! {line}" for line in report.advice)))
    return Group(*(part for section in sections for part in (section, Text(""))))


def _headline(report: TrainingReport) -> str:
    state = "converged" if report.success else "not converged"
    rows = report.stages[-1].rows if report.stages else 0
    condition = "" if report.condition is None else f"\ncondition number {report.condition:.1e}"
    return (
        f"Training {state}: {report.message}\n"
        f"objective {-report.loss:.6g} on {rows} rows, {report.n_iterations} iterations, "
        f"{report.n_evaluations} evaluations, {report.seconds:.3g} s\n"
        f"optimizer {report.optimizer}{condition}"
    )


def _hyperparameters(report: TrainingReport) -> Table:
    table = make_table("hyperparameter", "start", "value", "gradient", "note")
    table.columns[-1].justify = "left"
    rows = zip(report.names, report.initial_values, report.values, report.gradient, strict=True)
    for name, start, value, slope in rows:
        notes = [f"at its {report.at_bounds[name]} bound"] if name in report.at_bounds else []
        notes += ["not converged"] if name in report.unconverged else []
        table.add_row(Text(name), f"{start:.4g}", f"{value:.4g}", f"{slope:.1e}", ", ".join(notes))
    return table


def _stages(report: TrainingReport) -> Table:
    table = make_table("stage", "rows", "iterations", "evaluations", "seconds", "objective")
    for number, stage in enumerate(report.stages, start=1):
        table.add_row(
            str(number),
            str(stage.rows),
            str(stage.n_iterations),
            str(stage.n_evaluations),
            f"{stage.seconds:.3g}",
            f"{-stage.loss:.6g}",
        )
    return table


def _starts(report: TrainingReport) -> Table:
    table = make_table("start", "objective", "evaluations", "outcome")
    table.columns[-1].justify = "left"
    for number, start in enumerate(report.starts):
        objective = "-" if start.loss is None else f"{-start.loss:.6g}"
        outcome = "best" if start.is_best else _outcome(start)
        table.add_row(str(number), objective, str(start.n_evaluations), Text(outcome))
    return table


def _outcome(start: Start) -> str:
    if start.failure is None:
        return "" if start.n_evaluations else "not run"
    return start.failure
