"""``costs``: what was spent, by task, key, node or month."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from concilium.cli.commands.estimate import estimate
from concilium.cli.output import note, print_json, stdout, table
from concilium.cli.plot import bar_chart, write_svg
from concilium.cli.session import AsJson, session
from concilium.contracts.costs import BudgetState, By, CostReport, CostRow

app = typer.Typer(help="What was spent, and what a model needs.", invoke_without_command=True)
app.command()(estimate)

_BAR = 24
_PARTS = "▏▎▍▌▋▊▉█"
_STYLE = {BudgetState.OPEN: "green", BudgetState.WARNING: "yellow"}
Column = tuple[str, Callable[[CostRow], str]]


@app.callback()
def costs(
    context: typer.Context,
    *,
    by: Annotated[By, typer.Option(help="What the sums are of.")] = By.NODE,
    month: Annotated[str | None, typer.Option(help="A month in UTC, e.g. 2026-11; absent: the one that is.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many tasks, the newest first.")] = 50,
    plot: Annotated[Path | None, typer.Option(help="Write a bar chart to this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sum what was spent: bars on a terminal, plain lines in a pipe."""
    if context.invoked_subcommand is not None:
        return
    query: dict[str, str | int] = {"by": by.value, "limit": limit} | ({"month": month} if month else {})
    found = session(context).client.call("GET", "/v1/costs", **query)
    report = CostReport.model_validate(found)
    if plot is not None:
        bars = [(_name(row, by), row.total, _money(row.total)) for row in report.rows]
        write_svg(plot, bar_chart(f"Costs by {by}, {report.month}, {report.currency}", bars))
        note(f"Wrote {plot}")
    if as_json:
        print_json(found)
        return
    _show(report)


def _name(row: CostRow, by: By) -> str:
    return row.label or row.name if by is By.KEY else row.name


def _show(report: CostReport) -> None:
    most = max((row.total for row in report.rows), default=Decimal(0))
    columns = _columns(report.by)
    if stdout.is_terminal:
        columns = [column for column in columns if any(column[1](row) for row in report.rows)]
        columns.append(("", lambda row: _bar(row.total, most)))
    titles = tuple(title for title, _ in columns)
    rows = [tuple(cell(row) for _, cell in columns) for row in report.rows]
    table(titles, rows, empty=f"Nothing has cost anything in {report.month}.")
    note(f"{report.month}: {_money(report.total)} {report.currency}")
    for budget in report.budgets:
        note(
            f"budget {budget.budget}: {budget.spent:.2f} of {budget.limit:.2f} {report.currency} "
            f"({budget.used:.0%}), {budget.state}; begins anew on {budget.resets_at:%Y-%m-%d} UTC",
            style=_STYLE.get(budget.state, "red"),
        )


def _columns(by: By) -> list[Column]:
    named = {By.TASK: "state", By.KEY: "name", By.NODE: "kind", By.MONTH: ""}
    return [
        (by.value, lambda row: row.name),
        (named[by], lambda row: row.label),
        ("runs", lambda row: str(row.runs or "")),
        ("hours", lambda row: f"{row.seconds / 3600:.2f}" if row.seconds else ""),
        ("tokens in", lambda row: str(row.input_tokens or "")),
        ("out", lambda row: str(row.output_tokens or "")),
        ("unpriced", lambda row: str(row.unpriced or "")),
        ("caused", lambda row: _money(row.caused) if row.caused else ""),
        ("monthly", lambda row: _money(row.monthly) if row.monthly else ""),
        ("share", _share),
        ("total", lambda row: _money(row.total)),
    ]


def _share(row: CostRow) -> str:
    """Return the part of monthly prices that was used, of a node also in percent."""
    if not row.share:
        return ""
    return _money(row.share) + (f" ({row.share / row.monthly:.0%})" if row.monthly else "")


def _money(amount: Decimal) -> str:
    return f"{amount:.4f}" if amount < 100 else f"{amount:.2f}"


def _bar(value: Decimal, most: Decimal) -> str:
    """Return a bar of eighths of a character."""
    eighths = int(value / most * _BAR * 8) if most else 0
    return "█" * (eighths // 8) + (_PARTS[eighths % 8 - 1] if eighths % 8 else "")
