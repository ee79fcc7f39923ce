"""What the command prints of strangers' texts."""

from concilium.cli import output


def test_a_script_cannot_command_the_terminal() -> None:
    shown = output.plain("\x1b]0;PWNED\x07\x1b[2J done\r\x9b1m\n\tЁ 🙂 ok")
    assert shown == "\ufffd]0;PWNED\ufffd\ufffd[2J done\ufffd\ufffd1m\n\tЁ 🙂 ok"


def test_lines_notes_and_tables_show_no_controls(capsys) -> None:  # type: ignore[no-untyped-def]
    output.line("a\x1bb")
    output.note("c\x1bd")
    output.table(("x",), [("e\x1bf",)], "none")
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert told.out == "a\ufffdb\ne\ufffdf\n"
