"""``doctor``: what is missing on this machine, and how to get it."""

from dataclasses import asdict

import typer
from rich.markup import escape

from concilium.cli.checks import Grade, examine
from concilium.cli.output import print_json, stdout
from concilium.cli.session import AsJson, session

_STYLE = {Grade.OK: "green", Grade.LIMITED: "yellow", Grade.MISSING: "red"}


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what is missing and how to get it; exit code 1 when something does not work without it."""
    findings = []
    for finding in examine(session(context).home):
        findings.append(finding)
        if not as_json:
            style = _STYLE[finding.grade]
            stdout.print(f"[{style}]{finding.grade:<8}[/] {finding.check:<8} {escape(finding.found)}")
            if finding.advice:
                stdout.print(f"{'':<17} → {escape(finding.advice)}")
    broken = any(finding.grade is Grade.MISSING for finding in findings)
    if as_json:
        print_json({"ok": not broken, "findings": [asdict(finding) for finding in findings]})
    if broken:
        raise typer.Exit(1)
